//! The PROXY protocol, versions 1 and 2: what a load balancer in front says about the connection it passes on.
//!
//! Only those are heard whom the settings name, and from them nothing else is taken: a connection that does not begin
//! with a header is closed, and so is one whose header could be read in two ways. Everybody else who sends one gets the
//! answer any other nonsense gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, CRLF included.
const MAX_V1: usize = 107;
/// Longest header of version 2 taken: the addresses and a good lot of extensions.
const MAX_V2: usize = 2048;

/// Who speaks with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The balancer speaks for itself (a health check), or does not know: the connection is what it looks like.
    Local,
    Proxied {
        client: SocketAddr,
        /// Where the client connected to.
        server: SocketAddr,
    },
}

/// Reads a header from the start of the bytes: its length and what it says, or `None` when it is not complete yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(usize, Header)>, &'static str> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] == SIGNATURE[..known] {
        return if bytes.len() < 16 { Ok(None) } else { version_2(bytes) };
    }
    let known = bytes.len().min(6);
    if bytes[..known] != b"PROXY "[..known] {
        return Err("it does not begin with a PROXY header");
    }
    let line = &bytes[..bytes.len().min(MAX_V1)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some((end + 2, version_1(&line[6..end])?))),
        None if line.len() == MAX_V1 || line.contains(&b'\n') => Err("its PROXY header does not end"),
        None => Ok(None),
    }
}

fn version_1(rest: &[u8]) -> Result<Header, &'static str> {
    const INVALID: &str = "its PROXY header is not valid";
    let text = std::str::from_utf8(rest).ok().filter(|text| text.bytes().all(|byte| byte >= b' ')).ok_or(INVALID)?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Header::Local);
    }
    let parts: Vec<&str> = text.split(' ').collect();
    let [family, client, server, client_port, server_port] = parts[..] else { return Err(INVALID) };
    let address = |text: &str| -> Result<IpAddr, &'static str> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| INVALID),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| INVALID),
            _ => Err(INVALID),
        }
    };
    let port = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| plain).ok_or(INVALID)
    };
    Ok(Header::Proxied {
        client: SocketAddr::new(address(client)?, port(client_port)?),
        server: SocketAddr::new(address(server)?, port(server_port)?),
    })
}

fn version_2(bytes: &[u8]) -> Result<Option<(usize, Header)>, &'static str> {
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > MAX_V2 {
        return Err("its PROXY header is too long");
    }
    let is_local = match bytes[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err("the version or command of its PROXY header is not known"),
    };
    // The header has come as far as it goes, or it cannot be judged.
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let ip4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&body[at..at + 4]).unwrap_or_default());
    let ip6 = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&body[at..at + 16]).unwrap_or_default());
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let (header, extensions) = match (bytes[13], body.len()) {
        (0x00, _) => (Header::Local, body),
        (0x11, 12..) => {
            let (client, server) = (SocketAddr::new(ip4(0), port(8)), SocketAddr::new(ip4(4), port(10)));
            (Header::Proxied { client, server }, &body[12..])
        }
        (0x21, 36..) => {
            let (client, server) = (SocketAddr::new(ip6(0), port(32)), SocketAddr::new(ip6(16), port(34)));
            (Header::Proxied { client, server }, &body[36..])
        }
        (0x11 | 0x21, _) => return Err("its PROXY header is shorter than its addresses"),
        _ if is_local => (Header::Local, &body[..0]),
        _ => return Err("its PROXY header is not about TCP over IP"),
    };
    if bytes[13] != 0x00 {
        check_extensions(&bytes[..length], length - extensions.len())?;
    }
    Ok(Some((length, if is_local { Header::Local } else { header })))
}

/// Extensions are not used, but have to fit, and a checksum has to be right.
fn check_extensions(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    const CRC32C: u8 = 0x03;
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else {
            return Err("an extension of its PROXY header is cut off");
        };
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        let Some(sum) = header.get(value..at) else { return Err("an extension of its PROXY header is cut off") };
        if kind == CRC32C {
            let mut copy = header.to_vec();
            copy[value..at].fill(0);
            if sum != crc32c(&copy).to_be_bytes() {
                return Err("the checksum of its PROXY header is wrong");
            }
        }
    }
    Ok(())
}

/// CRC-32C (Castagnoli), bit by bit: a header is short and comes once.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 })
    })
}

/// Takes the header off a connection; what comes behind it stays unread. The deadline is the caller's.
pub(crate) async fn take(stream: &mut TcpStream) -> Result<Header, String> {
    let mut header = Vec::new();
    let mut space = [0u8; 256];
    loop {
        let n = stream.peek(&mut space).await.map_err(|error| error.to_string())?;
        if n == 0 {
            return Err("it was closed before its PROXY header was complete".into());
        }
        let before = header.len();
        header.extend_from_slice(&space[..n]);
        let parsed = parse(&header)?;
        // Of a header that is not complete all belongs to it.
        let used = parsed.map_or(n, |(length, _)| length - before);
        stream.read_exact(&mut space[..used]).await.map_err(|error| error.to_string())?;
        if let Some((_, header)) = parsed {
            return Ok(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    const TCP4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0x01, 0xbb];

    #[test]
    fn good_headers_say_who_it_is() {
        let said = |client: &str, server: &str| Header::Proxied {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
        };
        let mut tcp6 = [0u8; 36];
        (tcp6[15], tcp6[31], tcp6[33], tcp6[35]) = (1, 2, 7, 8);
        let mut checked = [&TCP4[..], &[3, 0, 4, 0, 0, 0, 0]].concat();
        let sum = crc32c(&v2(0x21, 0x11, &checked));
        checked[15..].copy_from_slice(&sum.to_be_bytes());
        let good: Vec<(Vec<u8>, Header)> = vec![
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n".to_vec(), said("1.2.3.4:1000", "5.6.7.8:80")),
            (b"PROXY TCP6 ::1 2001:db8::1 0 65535\r\n".to_vec(), said("[::1]:0", "[2001:db8::1]:65535")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Header::Local),
            (b"PROXY UNKNOWN ffff:f ffff 1 2\r\n".to_vec(), Header::Local),
            (v2(0x21, 0x11, &TCP4), said("10.0.0.1:12345", "10.0.0.2:443")),
            (v2(0x21, 0x21, &tcp6), said("[::1]:7", "[::2]:8")),
            (v2(0x20, 0x11, &TCP4), Header::Local),
            (v2(0x20, 0x00, &[]), Header::Local),
            (v2(0x21, 0x00, b"whatever"), Header::Local),
            (v2(0x21, 0x11, &[&TCP4[..], &[4, 0, 2, 9, 9]].concat()), said("10.0.0.1:12345", "10.0.0.2:443")),
            (v2(0x21, 0x11, &checked), said("10.0.0.1:12345", "10.0.0.2:443")),
        ];
        for (bytes, header) in good {
            let behind = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&behind), Ok(Some((bytes.len(), header))), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100], b"\r\n"].concat();
        let bad: Vec<Vec<u8>> = vec![
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n".to_vec(),
            b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 +2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
            b"PROXY UNKNOWNX\r\n".to_vec(),
            long,
            v2(0x11, 0x11, &TCP4),
            v2(0x22, 0x11, &TCP4),
            v2(0x21, 0x12, &TCP4),
            v2(0x21, 0x31, &[0; 216]),
            v2(0x21, 0x11, &TCP4[..11]),
            v2(0x21, 0x21, &TCP4),
            v2(0x21, 0x11, &[&TCP4[..], &[4, 0, 3, 9, 9]].concat()),
            v2(0x21, 0x11, &[&TCP4[..], &[4]].concat()),
            v2(0x21, 0x11, &[&TCP4[..], &[3, 0, 4, 1, 2, 3, 4]].concat()),
            v2(0x21, 0x11, &[0; 4000]),
        ];
        for bytes in bad {
            assert!(parse(&bytes).is_err(), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0..3) {
            let all = match kind {
                0 => bytes,
                1 => [&b"PROXY "[..], &bytes].concat(),
                _ => [&SIGNATURE[..], &bytes].concat(),
            };
            if let Ok(Some((length, _))) = parse(&all) {
                prop_assert!(length <= all.len());
                prop_assert_eq!(parse(&all[..length]).unwrap().unwrap().0, length);
            }
        }
    }
}
