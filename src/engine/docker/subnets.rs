//! Address ranges for networks beyond Docker's own pools. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Where our ranges come from: 1,024 networks of 254 addresses.
const FIRST: u32 = u32::from_be_bytes([10, 201, 0, 0]);
const COUNT: u32 = 1_024;
const PREFIX: u8 = 24;

/// An IPv4 range. The default route, which covers everything, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    first: u32,
    prefix: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// Of two ranges either one contains the other or they are apart.
    fn overlaps(self, other: Self) -> bool {
        let mask = self.mask() & other.mask();
        self.first & mask == other.first & mask
    }
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').ok_or(())?;
        let address: Ipv4Addr = address.parse().map_err(|_| ())?;
        let prefix = prefix.parse().ok().filter(|p| (1..=32).contains(p)).ok_or(())?;
        Ok(Self { first: address.into(), prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

/// The ranges the kernel has routes for, from the text of `/proc/net/route`.
pub(super) fn routes(table: &str) -> Vec<Subnet> {
    // The kernel prints the words in the machine's byte order.
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(|w| u32::from_be_bytes(w.to_ne_bytes()));
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (first, mask) = (word(fields.get(1)?)?, word(fields.get(7)?)?);
        let prefix = u8::try_from(mask.count_ones()).ok().filter(|p| *p > 0)?;
        Some(Subnet { first, prefix })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// The first of our ranges that touches none of those taken.
pub(super) fn free(taken: &[Subnet]) -> Option<Subnet> {
    (0..COUNT)
        .map(|i| Subnet { first: FIRST + (i << (32 - PREFIX)), prefix: PREFIX })
        .find(|candidate| !taken.iter().any(|t| t.overlaps(*candidate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(texts: &[&str]) -> Vec<Subnet> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn takes_the_first_free_range() {
        let check = |taken: &[&str], expected: &str| assert_eq!(free(&subnets(taken)).unwrap().to_string(), expected);
        check(&[], "10.201.0.0/24");
        check(&["172.17.0.0/16", "10.201.0.0/24", "10.201.1.128/25"], "10.201.2.0/24");
        check(&["10.201.0.0/16", "192.168.0.0/24"], "10.202.0.0/24");
        assert_eq!(free(&subnets(&["10.0.0.0/8"])), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_kernels_routes() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                     eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n\
                     eth0 0000C90A 00000000 0001 0 0 0 0000FFFF 0 0 0\nbroken\n";
        assert_eq!(routes(table), subnets(&["10.201.0.0/16"]));
    }

    #[test]
    fn refuses_what_is_no_range() {
        assert!(["10.0.0.0", "10.0.0.0/0", "10.0.0.0/33", "fd00::/8", ""].iter().all(|t| t.parse::<Subnet>().is_err()));
    }
}
