//! Which sockets a container listens on, from the kernel's own tables: no tool inside the image is needed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::engine::EngineError;

/// The kernel's number for a listening TCP socket.
const LISTEN: &str = "0A";

/// Reads the tables of the network namespace process `pid` lives in.
///
/// # Errors
/// When they cannot be read: Wharf must run as root on the same machine as the container.
pub(super) async fn read(pid: i64) -> Result<Vec<SocketAddr>, EngineError> {
    let mut sockets = Vec::new();
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => sockets.extend(parse(&text)),
            // A kernel without IPv6 has no second table.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && table == "tcp6" => {}
            Err(e) => {
                return Err(EngineError::Refused(format!(
                    "cannot read the container's sockets from {path} ({e}); this needs Wharf to run as root on the container's machine"
                )));
            }
        }
    }
    sockets.sort();
    sockets.dedup();
    Ok(sockets)
}

/// The listening sockets of one `/proc/PID/net/tcp` or `tcp6` table; lines that are not understood are skipped.
fn parse(table: &str) -> Vec<SocketAddr> {
    table.lines().skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// The kernel prints addresses as 32-bit words in the machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |i: usize| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for i in 0..4 {
                bytes[i * 4..i * 4 + 4].copy_from_slice(&word(i)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_listening_sockets_only() {
        let table = format!(
            "{HEAD}   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 1 1 0 100 0 0 10 0\n   \
             1: 020012AC:1F90 010012AC:C350 01 00000000:00000000 00:00000000 00000000  1000 0 2 1 0 20 4 30 10 -1\n   \
             2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 3 1 0 100 0 0 10 0\n"
        );
        let expected: Vec<SocketAddr> = ["127.0.0.1:3000", "0.0.0.0:8080"].map(|s| s.parse().unwrap()).into();
        assert_eq!(parse(&table), expected);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_ipv6() {
        let line = |address: &str| format!("{HEAD} 0: {address}:0050 0:0 0A 0 0\n");
        assert_eq!(parse(&line(&"0".repeat(32))), ["[::]:80".parse().unwrap()]);
        assert_eq!(parse(&line("00000000000000000000000001000000")), ["[::1]:80".parse().unwrap()]);
    }

    #[test]
    fn skips_what_it_does_not_understand() {
        assert!(parse(&format!("{HEAD}garbage\n 0: zz:zz 0:0 0A\n 0: 0100007F 0:0 0A\n")).is_empty());
        assert!(parse("").is_empty());
    }
}
