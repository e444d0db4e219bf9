//! The few packets of git's wire protocol that Wharf writes itself: a length in four hexadecimal digits, then the data.

use bytes::Bytes;

/// The packet that ends a section.
pub(super) const FLUSH: &[u8] = b"0000";

/// Longest text put into one packet; the protocol allows 65,516 bytes.
const MAX_TEXT: usize = 8 * 1024;

/// One packet with this data.
pub(super) fn packet(data: &str) -> Vec<u8> {
    let mut end = data.len().min(MAX_TEXT);
    while !data.is_char_boundary(end) {
        end -= 1;
    }
    let data = &data[..end];
    format!("{:04x}{data}", data.len() + 4).into_bytes()
}

/// What precedes the advertisement over HTTP: the name of the service.
pub(super) fn service_header(service: &str) -> Bytes {
    let mut out = packet(&format!("# service={service}\n"));
    out.extend_from_slice(FLUSH);
    out.into()
}

/// An advertisement that is an error: git prints `fatal: remote error: …` and uploads nothing.
pub(super) fn error(message: &str) -> Vec<u8> {
    packet(&format!("ERR {message}"))
}

/// A fatal error within a push: the third band. git prints it and gives up.
pub(super) fn fatal(message: &str) -> Vec<u8> {
    packet(&format!("\u{3}{message}\n"))
}
