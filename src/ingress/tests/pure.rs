//! Parts without sockets: matching, chunks, parsing, validation, histogram.

use std::sync::Arc;

use proptest::prelude::*;

use super::harness::route;
use crate::ingress::error::SnapshotError;
use crate::ingress::h1::chunked::{Chunks, Step};
use crate::ingress::h1::{request, response};
use crate::ingress::histogram::bucket;
use crate::ingress::rate::gcra;
use crate::ingress::registry::Registry;
use crate::ingress::snapshot::{RateKey, RateLimit, Route, Snapshot};
use crate::ingress::table::{Match, Table};
use crate::ingress::validate::{Network, validate};
use crate::ingress::view::RequestView;

/// A GET of a path.
pub(super) struct Get<'a>(pub &'a str);

impl RequestView for Get<'_> {
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn path(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn query(&self) -> &[u8] {
        b""
    }
    fn header(&self, _: &str, _: usize) -> Option<&[u8]> {
        None
    }
}

fn snapshot(routes: Vec<Route>) -> Snapshot {
    Snapshot { version: 1, boot: "t".into(), generation: 1, routes, ..Snapshot::default() }
}

fn table(rules: &[(&str, &str)]) -> Table {
    let routes = rules.iter().enumerate().map(|(index, (host, prefix))| Route {
        id: index.to_string(),
        hosts: vec![(*host).into()],
        path_prefix: (*prefix).into(),
        ..Route::default()
    });
    let snapshot = snapshot(routes.collect());
    validate(&snapshot).unwrap();
    Table::compile(Arc::new(snapshot), &mut Registry::new(1))
}

#[test]
fn matching_prefers_exact_hosts_then_long_wildcards_then_long_prefixes() {
    let table = table(&[
        ("a.example.com", ""),
        ("a.example.com", "/api"),
        ("a.example.com", "/api/v2/"),
        ("*.example.com", ""),
        ("*.deep.example.com", ""),
        ("b.example.com", "/only"),
        ("*", "/health"),
    ]);
    let check = |host: &str, path: &str, want: Match| {
        assert_eq!(table.find(host.as_bytes(), &Get(path)), want, "{host} {path}");
    };
    check("a.example.com", "/", Match::Route(0));
    check("A.Example.COM:8080", "/x", Match::Route(0));
    check("a.example.com.", "/x", Match::Route(0));
    check("a.example.com", "/api", Match::Route(1));
    check("a.example.com", "/api/", Match::Route(1));
    check("a.example.com", "/apix", Match::Route(0));
    check("a.example.com", "/api/v2", Match::Route(2));
    check("a.example.com", "/api/v2/x", Match::Route(2));
    check("c.example.com", "/", Match::Route(3));
    check("x.y.example.com", "/", Match::Route(3));
    check("x.deep.example.com", "/", Match::Route(4));
    check("deep.example.com", "/", Match::Route(3));
    check("b.example.com", "/only/x", Match::Route(5));
    check("b.example.com", "/other", Match::Route(3));
    check("example.com", "/", Match::UnknownPath);
    check("example.com", "/health", Match::Route(6));
    check("", "/", Match::UnknownPath);
    check(&"x".repeat(400), "/", Match::UnknownHost);
}

#[test]
fn validation_names_the_place() {
    let check = |change: fn(&mut Snapshot), words: &str| {
        let mut snapshot = snapshot(vec![route("a", &[]), route("b", &[])]);
        change(&mut snapshot);
        let error = validate(&snapshot).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check(|s| s.version = 2, "format 2");
    check(|s| s.boot.clear(), "boot");
    check(|s| s.routes[1].id = "a".into(), "route `a`");
    check(|s| s.routes[1].hosts = vec!["A.test".into()], "which route `a` has already");
    check(|s| s.routes[1].hosts.clear(), "has no host");
    check(|s| s.routes[1].hosts = vec!["a b".into()], "`a b`");
    check(|s| s.routes[1].path_prefix = "api".into(), "path prefix");
    check(|s| s.settings.trusted_proxies = vec!["10.0.0.0/40".into()], "10.0.0.0/40");
    assert!(matches!(validate(&Snapshot::default()), Err(SnapshotError::Version { found: 0 })));
}

#[test]
fn snapshots_of_other_versions_stay_readable() {
    let text = r#"{"boot":"b","generation":7,"later":1,"routes":[{"id":"r","hosts":["h"],"new":{},"policy":{"max_body":null,"x":1},
        "upstreams":[{"id":"i","address":{"tcp":"127.0.0.1:1"}}]}]}"#;
    let snapshot: Snapshot = serde_json::from_str(text).unwrap();
    assert_eq!((snapshot.version, snapshot.routes[0].policy.max_body), (1, None));
    assert_eq!(snapshot.routes[0].policy.retries, 2);
    validate(&snapshot).unwrap();
}

#[test]
fn networks_contain_their_addresses() {
    let inside = |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
    assert!(inside("10.0.0.0/8", "10.255.0.1") && !inside("10.0.0.0/8", "11.0.0.1"));
    assert!(inside("0.0.0.0/0", "1.2.3.4") && !inside("0.0.0.0/0", "::1"));
    assert!(inside("192.0.2.1", "::ffff:192.0.2.1"));
    assert!(inside("2001:db8::/32", "2001:db8:1::1") && !inside("2001:db8::/32", "2001:db9::1"));
}

#[test]
fn gcra_lets_a_burst_through_and_then_one_per_interval() {
    let limit = RateLimit { requests: 10, window_ms: 1_000, burst: 3, key: RateKey::Route, ..RateLimit::default() };
    let mut due = 0;
    let mut at = |now: u64| {
        let (next, answer) = gcra(due, now, &limit);
        due = next;
        answer
    };
    assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
    assert_eq!(at(0), Err(100_000));
    assert_eq!(at(60_000), Err(40_000));
    assert_eq!([at(100_000), at(100_000)], [Ok(()), Err(100_000)]);
    assert_eq!([at(9_000_000), at(9_000_000), at(9_000_000), at(9_000_000)], [Ok(()), Ok(()), Ok(()), Err(100_000)]);
}

#[test]
fn histogram_buckets_are_quarter_doublings() {
    assert_eq!([0, 1, 2, 4, 1024].map(bucket), [0, 0, 3, 7, 39]);
    assert_eq!(bucket(u64::MAX), 103);
    for micros in 2..100_000u64 {
        let (low, high) = (2f64.powf(bucket(micros) as f64 / 4.0), 2f64.powf((bucket(micros) + 1) as f64 / 4.0));
        assert!(low - 1e-6 < micros as f64 && micros as f64 <= high + 1e-6, "{micros}");
    }
}

/// Runs a chunked body through the machine, cut at `cut`; the content and the bytes left over.
fn unchunk(body: &[u8], cut: usize) -> Option<(Vec<u8>, usize)> {
    let (mut chunks, mut content, mut used) = (Chunks::default(), Vec::new(), 0);
    for part in [&body[..cut], &body[cut..]] {
        let mut at = 0;
        loop {
            match chunks.step(&part[at..]).ok()? {
                Step::Data(n) => {
                    content.extend_from_slice(&part[at..at + n]);
                    at += n;
                }
                Step::Meta(n) => at += n,
                Step::More => break,
                Step::End => return Some((content, body.len() - used - at)),
            }
        }
        used += part.len();
    }
    None
}

proptest! {
    #[test]
    fn chunks_come_out_as_they_went_in(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), cut in any::<prop::sample::Index>()) {
        let mut body = Vec::new();
        for part in &parts {
            body.extend_from_slice(format!("{:X};ext=1\r\n", part.len()).as_bytes());
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\nNEXT");
        prop_assert_eq!(unchunk(&body, cut.index(body.len())), Some((parts.concat(), 4)));
    }

    #[test]
    fn parsers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = request::parse(&bytes, Vec::new());
        let _ = response::parse(&bytes, false, Vec::new());
        let _ = unchunk(&bytes, bytes.len() / 2);
    }

    /// Whatever mixture of tricky lines a head is made of: what is accepted has one meaning only.
    #[test]
    fn accepted_heads_have_one_framing(lines in prop::collection::vec(prop::sample::select(TRICKY), 0..6), end in prop::sample::select(ENDS)) {
        let mut head = b"POST /x HTTP/1.1\r\nHost: a\r\n".to_vec();
        for line in &lines {
            head.extend_from_slice(line.as_bytes());
            head.extend_from_slice(end.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        if let Ok(Some(parsed)) = request::parse(&head, Vec::new()) {
            prop_assert_eq!(parsed.len, head.len());
            let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
            prop_assert!(text.matches("\ncontent-length").count() + text.matches("\ntransfer-encoding").count() <= 1);
            prop_assert!(text.matches("\nhost:").count() == 1);
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}

const TRICKY: &[&str] = &[
    "Content-Length: 0",
    "Content-Length: 5",
    "content-length:5 ",
    "Content-Length: 5,5",
    "Content-Length : 5",
    "Transfer-Encoding: chunked",
    "transfer-encoding:\tchunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding:",
    " Transfer-Encoding: chunked",
    "Host: b",
    "X: y",
    "X: y\r",
    "X: y\n z",
    "Connection: content-length",
    "X\0: y",
    "X",
    ": y",
    "Content-Length: 5\rTransfer-Encoding: chunked",
];
const ENDS: &[&str] = &["\r\n", "\r\n", "\r\n", "\n", "\r\r\n"];
