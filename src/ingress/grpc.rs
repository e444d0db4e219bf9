//! What is special about gRPC: a call says how long its caller waits, and that holds here too.

use std::time::Duration;

use super::h1::header::Kind;
use super::h1::request::RequestHead;

/// A gRPC call: errors are told in `grpc-status`.
pub(crate) fn is_call(head: &RequestHead, bytes: &[u8]) -> bool {
    let kind = head.find(bytes, Kind::ContentType);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long the caller waits: `grpc-timeout` of a call.
pub(crate) fn timeout(head: &RequestHead, bytes: &[u8]) -> Option<Duration> {
    if !is_call(head, bytes) {
        return None;
    }
    let line = head.lines.iter().find(|line| line.name.get(bytes).eq_ignore_ascii_case(b"grpc-timeout"))?;
    parse(line.value.get(bytes))
}

/// At most eight digits and a unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_number_and_a_unit() {
        for (text, ms) in [("1S", 1_000), ("250m", 250), ("2M", 120_000), ("1H", 3_600_000), ("5000u", 5), ("0S", 0)] {
            assert_eq!(parse(text.as_bytes()), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
