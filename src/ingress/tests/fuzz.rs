//! Mutation fuzzing on stable Rust: good input is broken in small ways, for a bounded time for each target.
//!
//! `WHARF_FUZZ_MS` is the time for each target (1500 when unset), `WHARF_FUZZ_SEED` repeats a run; a failure prints the seed
//! and the input. To add a target: a corpus, a function that panics when something is wrong, a test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::pure::Get;
use crate::ingress::h1::chunked::{Chunks, Step};
use crate::ingress::h1::{request, response};
use crate::ingress::h2::flood::Gauge;
use crate::ingress::proxy_protocol;
use crate::ingress::registry::Registry;
use crate::ingress::snapshot::Snapshot;
use crate::ingress::table::{Match, Table};
use crate::ingress::validate::validate;

/// Small random numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }
}

/// Bytes that mean something to one parser or another.
const SPICE: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"ffffffffffffffff",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b.test\r\n",
    b"HTTP/1.1",
    b"\x7f",
    b"\xff",
    b"..",
    b"%2e",
    b"\"",
    b"{",
    b"}",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"PROXY ",
    b"*",
    b"*.",
    b"/",
];

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(input.len() + 1);
        let end = (at + dice.roll(12)).min(input.len());
        match dice.roll(7) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, SPICE[dice.roll(SPICE.len())].iter().copied())),
            2 if at < input.len() => input[at] = dice.roll(256) as u8,
            3 if at < input.len() => input[at] ^= 1 << dice.roll(8),
            4 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            5 => input.truncate(at),
            _ => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len() + 1);
                let to = (from + dice.roll(40)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
}

/// Runs a target over mutations of the corpus until the time is up.
fn fuzz(corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let limit = Duration::from_millis(number("WHARF_FUZZ_MS").unwrap_or(1_500));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number("WHARF_FUZZ_SEED").unwrap_or(now | 1);
    let mut dice = Dice(seed);
    let (start, mut rounds) = (Instant::now(), 0u64);
    corpus.iter().for_each(|input| target(input));
    while start.elapsed() < limit {
        for _ in 0..100 {
            let mut input = corpus[dice.roll(corpus.len())].clone();
            mutate(&mut input, corpus, &mut dice);
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                panic!("WHARF_FUZZ_SEED={seed} fails with {:?}", String::from_utf8_lossy(&input));
            }
            rounds += 1;
        }
    }
    assert!(rounds >= 100, "nothing was tried");
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn request_heads() {
    let refused = super::framing::REFUSED.iter().map(|(_, bytes, _)| bytes.as_bytes().to_vec());
    let mut corpus: Vec<Vec<u8>> = refused.collect();
    corpus.extend(texts(&[
        "GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\nAccept: text/html\r\nCookie: x=y\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
        "POST http://a.test/ HTTP/1.1\r\nHost: b\r\nContent-Length: 10\r\nConnection: close, X\r\nX: 1\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ]));
    fuzz(&corpus, |bytes| {
        let Ok(Some(head)) = request::parse(bytes, Vec::new()) else { return };
        assert!(head.len <= bytes.len() && bytes[..head.len].ends_with(b"\r\n\r\n"));
        // One end only: no reader finds a shorter head in it, and none needs more.
        assert!(!bytes[..head.len - 1].windows(4).any(|four| four == b"\r\n\r\n"));
        assert!(matches!(request::parse(&bytes[..head.len - 1], Vec::new()), Ok(None) | Err(_)));
        let plain = |span: &[u8]| !span.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        assert!(plain(head.target.get(bytes)) && plain(head.host.get(bytes)) && plain(head.method.get(bytes)));
        for line in &head.lines {
            assert!(plain(line.name.get(bytes)) && plain(line.value.get(bytes)));
        }
    });
}

#[test]
fn response_heads() {
    let corpus = texts(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        "HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: y\r\n\r\n",
    ]);
    fuzz(&corpus, |bytes| {
        for to_head in [false, true] {
            let Ok(Some(head)) = response::parse(bytes, to_head, Vec::new()) else { continue };
            assert!(head.len <= bytes.len() && (100..1000).contains(&head.status));
            assert!(head.lines.iter().all(|line| line.end as usize <= head.len));
        }
    });
}

/// Content, and whether it ended in order: `None` when refused.
fn unchunk(pieces: impl Iterator<Item = Vec<u8>>) -> Option<(Vec<u8>, bool)> {
    let (mut chunks, mut content) = (Chunks::default(), Vec::new());
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            match chunks.step(&piece[at..]).ok()? {
                Step::Data(n) => {
                    assert!(n > 0);
                    content.extend_from_slice(&piece[at..at + n]);
                    at += n;
                }
                Step::Meta(n) => {
                    assert!(n > 0);
                    at += n;
                }
                Step::More => break,
                Step::End => return Some((content, true)),
            }
        }
    }
    let ended = matches!(chunks.step(&[]), Ok(Step::End));
    Some((content, ended))
}

#[test]
fn chunked_bodies() {
    let corpus = texts(&[
        "5\r\nhello\r\n0\r\n\r\n",
        "a;x=\"y\"\r\n0123456789\r\n1\r\nz\r\n0\r\nX-Sum: 1\r\nY: z\r\n\r\n",
        "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "0005\r\nhello\r\n00\r\n\r\n",
    ]);
    fuzz(&corpus, |bytes| {
        let whole = unchunk(std::iter::once(bytes.to_vec()));
        let dribbled = unchunk(bytes.iter().map(|byte| vec![*byte]));
        assert_eq!(whole, dribbled, "the portions in which a body comes make no difference");
    });
}

#[test]
fn proxy_headers() {
    let v2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x01\xbb\x04\x00\x00".to_vec();
    let mut corpus = texts(&[
        "PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\nGET /",
        "PROXY TCP6 ::1 2001:db8::1 0 65535\r\n",
        "PROXY UNKNOWN\r\n",
    ]);
    corpus.push(v2);
    fuzz(&corpus, |bytes| {
        if let Ok(Some((length, header))) = proxy_protocol::parse(bytes) {
            assert!(length <= bytes.len() && length <= 2048);
            assert_eq!(proxy_protocol::parse(&bytes[..length]), Ok(Some((length, header))));
            assert_eq!(proxy_protocol::parse(&bytes[..length - 1]), Ok(None));
        }
    });
}

#[test]
fn snapshots_and_matching() {
    let corpus = texts(&[
        r#"{"boot":"b","generation":1,"routes":[{"id":"a","hosts":["a.test","*.b.test","*"],"path_prefix":"/x","upstreams":[{"id":"u","address":{"tcp":"1.2.3.4:80"},"weight":3}],"policy":{"max_body":null,"rate_limit":{"requests":5}},"protocol":"h2c"}]}"#,
        r#"{"boot":"b","routes":[{"id":"a","hosts":["a"],"maintenance":{"message":"x"}}],"settings":{"trusted_proxies":["10.0.0.0/8"],"proxy_protocol_from":["::1"]}}"#,
        r#"{"boot":"b","listeners":[{"id":"l","address":"0.0.0.0:5432","rules":[{"names":["x.test"],"tls":"pass","upstreams":[]},{"names":["*"],"tls":"end"}]},{"id":"m","address":"[::1]:0","protocol":"udp","rules":[{}]}]}"#,
    ]);
    fuzz(&corpus, |bytes| {
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(bytes) else { return };
        if validate(&snapshot).is_err() {
            return;
        }
        let again: Snapshot = serde_json::from_slice(&serde_json::to_vec(&snapshot).unwrap()).unwrap();
        assert_eq!(again, snapshot);
        let table = Table::compile(Arc::new(snapshot), &mut Registry::new(1));
        for host in ["a.test", "x.b.test:80", "[::1]:80", "A.TEST.", "", "*"] {
            for path in ["/", "/x", "/x/y", "/xy", "*", ""] {
                if let Match::Route(index) = table.find(host.as_bytes(), &Get(path)) {
                    assert!(
                        path.as_bytes()
                            .starts_with(table.routes[index].route.path_prefix.trim_end_matches('/').as_bytes())
                    );
                }
            }
        }
        for entry in &table.listeners.entries {
            for name in [None, Some("x.test"), Some("y.x.test")] {
                let rule = entry.rule(name);
                assert!(rule.is_none_or(|rule| rule < entry.listener.rules.len()));
            }
        }
    });
}

#[test]
fn frames_in_any_portions() {
    let mut all = crate::ingress::h2::PREFACE.to_vec();
    for kind in 0..10u8 {
        all.extend(super::h2_client::frame(kind, 0, 1, &vec![kind; usize::from(kind) * 3]));
    }
    fuzz(&[all], |bytes| {
        let judge = |size: usize| {
            let mut gauge = Gauge::new(0);
            bytes.chunks(size).map(|piece| gauge.read(piece, 0)).find(Result::is_err)
        };
        assert_eq!(judge(1), judge(bytes.len().max(1)));
    });
}
