//! The quick way through heads that are plain: complete, CRLF everywhere, no byte out of the ordinary.
//!
//! It only ever says yes or "look closer". What it accepts, the thorough reading accepts too, with the same result; a
//! test holds it to that with heads of all kinds.

use super::header::{Line, MAX_HEADERS, Span, classify};

/// Bytes of a header name or a method (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
/// Bytes of a path and query that need no thought (RFC 3986).
const TARGET: [bool; 256] =
    table(b"/?-._~%!$&'()*+,;=:@0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

const fn table(members: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < members.len() {
        table[members[at] as usize] = true;
        at += 1;
    }
    table
}

/// How many bytes at the start are members.
fn run(bytes: &[u8], members: &[bool; 256]) -> usize {
    bytes.iter().position(|byte| !members[usize::from(*byte)]).unwrap_or(bytes.len())
}

/// How many bytes at the start are text: no control character, not even a tab.
fn text(bytes: &[u8]) -> usize {
    let is_control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
    let mut at = 0;
    // Sixteen at a time, without an early end, so that they are compared in one step.
    for chunk in bytes.chunks_exact(16) {
        if chunk.iter().fold(false, |any, byte| any | is_control(byte)) {
            break;
        }
        at += 16;
    }
    at + bytes[at..].iter().position(is_control).unwrap_or(bytes.len() - at)
}

/// Method and target of a plain HTTP/1.1 request line in origin form, and where it ends.
pub(super) fn request_line(bytes: &[u8]) -> Option<(Span, Span, usize)> {
    let method_end = run(bytes, &TOKEN);
    let target_at = method_end + 1;
    if method_end == 0 || bytes.get(method_end..target_at + 1)? != b" /" {
        return None;
    }
    let target_end = target_at + run(&bytes[target_at..], &TARGET);
    let end = target_end + b" HTTP/1.1\r\n".len();
    if bytes.get(target_end..end)? != b" HTTP/1.1\r\n" {
        return None;
    }
    Some((span(0, method_end), span(target_at, target_end), end))
}

/// Status and reason of a plain HTTP/1.1 status line, and where it ends.
pub(super) fn status_line(bytes: &[u8]) -> Option<(u16, Span, usize)> {
    let digits: [u8; 3] = bytes.get(9..12)?.try_into().ok()?;
    if !bytes.starts_with(b"HTTP/1.1 ") || !digits.iter().all(u8::is_ascii_digit) || bytes.get(12) != Some(&b' ') {
        return None;
    }
    let status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let reason_end = 13 + text(&bytes[13..]);
    let reason = bytes.get(13..reason_end)?;
    let is_plain = status >= 100 && !reason.is_empty() && reason.is_ascii() && !reason.starts_with(b" ");
    (is_plain && bytes.get(reason_end..reason_end + 2)? == b"\r\n")
        .then(|| (status, span(13, reason_end), reason_end + 2))
}

/// Reads the header lines that begin at `at`, up to the empty line; returns where the head ends.
pub(super) fn lines(bytes: &[u8], mut at: usize, lines: &mut Vec<Line>) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"\r\n") {
            return Some(at + 2);
        }
        let name_len = run(rest, &TOKEN);
        if name_len == 0 || rest.get(name_len) != Some(&b':') || lines.len() == MAX_HEADERS {
            return None;
        }
        let after_colon = &rest[name_len + 1..];
        let space = after_colon.iter().position(|byte| *byte != b' ')?;
        let value_len = text(&after_colon[space..]);
        let value = after_colon[space..space + value_len].trim_ascii_end();
        let value_at = at + name_len + 1 + space;
        let end = value_at + value_len + 2;
        if bytes.get(end - 2..end)? != b"\r\n" {
            return None;
        }
        lines.push(Line {
            kind: classify(&rest[..name_len]),
            name: span(at, at + name_len),
            value: span(value_at, value_at + value.len()),
            end: end as u32,
        });
        at = end;
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}
