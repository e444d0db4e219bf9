//! The quick way through plain heads never disagrees with the thorough one.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::header::Line;
use super::{request, response};

const REQUEST_LINES: [&str; 12] = [
    "GET / HTTP/1.1\r\n",
    "POST /a/b?c=d%20e&f=[] HTTP/1.1\r\n",
    "HEAD //x HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "GET http://h/x HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT /x HTTP/1.1\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET /a b HTTP/1.1\r\n",
    "GET /#x HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "G@T / HTTP/1.1\r\n",
];
const STATUS_LINES: [&str; 9] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 404 Not Found\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 200\r\n",
    "HTTP/1.1 099 Low\r\n",
    "HTTP/1.1 200  Two\r\n",
    "HTTP/1.1 200 OK\n",
];
const FIELDS: [&str; 24] = [
    "Host: a.example\r\n",
    "host:b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: x\r\n",
    "content-length:0 \r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close, X-Mine\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "X-Mine: some longer value, with words; and=more \"quoted\"  \r\n",
    "Empty:\r\n",
    "Spaces:    \r\n",
    "Tab:\tvalue\r\n",
    "Inner: a\tb\r\n",
    "High: caf\u{e9}\r\n",
    "Space : x\r\n",
    " folded: x\r\n",
    ": x\r\n",
    "NoColon\r\n",
    "Bare: lf\n",
    "Cr: a\rb\r\n",
    "Nul: a\0b\r\n",
];

/// A head of known pieces, sometimes cut short or with one byte changed, and what may follow it.
fn heads(first: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let fields = vec(select(&FIELDS[..]), 0..6);
    let rest = select(&["\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "\n", "\r", ""][..]);
    (select(first), fields, rest, any::<prop::sample::Index>(), any::<u8>(), 0..8u8).prop_map(
        |(first, fields, rest, index, byte, change)| {
            let mut head = [first, &fields.concat(), rest].concat().into_bytes();
            let at = index.index(head.len());
            match change {
                0 => head[at] = byte,
                1 => head.truncate(at),
                _ => {}
            }
            head
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_read_alike(head in heads(&REQUEST_LINES)) {
        let (quick, thorough) = (request::parse(&head, Vec::new()), request::parse_any(&head, Vec::new()));
        prop_assert_eq!(format!("{quick:?}"), format!("{thorough:?}"), "{}", String::from_utf8_lossy(&head));
    }

    #[test]
    fn responses_are_read_alike(head in heads(&STATUS_LINES), to_head in any::<bool>()) {
        let quick = response::parse(&head, to_head, Vec::new());
        let thorough = response::parse_any(&head, to_head, Vec::new());
        prop_assert_eq!(format!("{quick:?}"), format!("{thorough:?}"), "{}", String::from_utf8_lossy(&head));
    }
}

#[test]
fn an_ordinary_head_takes_the_quick_way() {
    let head =
        b"GET /shop?q=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: some/1.0 (words; more words)\r\nAccept: */*\r\n\r\n";
    let (_, _, at) = super::plain::request_line(head).unwrap();
    let mut lines: Vec<Line> = Vec::new();
    assert_eq!(super::plain::lines(head, at, &mut lines), Some(head.len()));
    assert_eq!(lines.len(), 3);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 3\r\n\r\n";
    let (status, _, at) = super::plain::status_line(head).unwrap();
    assert_eq!(status, 200);
    assert_eq!(super::plain::lines(head, at, &mut lines), Some(head.len()));
}
