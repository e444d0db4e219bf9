//! A hash that is the same in every process and version, so that all ingresses send a key to the same place:
//! FNV-1a with the finaliser of MurmurHash3, which spreads what FNV leaves close together.

/// The hash of some bytes.
pub(super) fn of(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut mixed = fnv;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

/// The cookie value that stands for an upstream.
pub(super) fn token(id: &str) -> Box<str> {
    format!("{:016x}", of(id.as_bytes())).into()
}
