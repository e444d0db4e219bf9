//! What a hostile client may try in HTTP/2, in frames written by hand.

use super::h2_client::*;
use super::harness::*;
use crate::ingress::snapshot::{Settings, Snapshot};

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

async fn start() -> (Server, Ingress) {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    (server, ingress)
}

/// The fields of a request, some changed, some added.
fn with<'a>(change: &[(&'a [u8], &'a [u8])]) -> Vec<u8> {
    let mut all: Vec<_> = GET.to_vec();
    for (name, value) in change {
        match all.iter_mut().find(|(known, _)| known == name && name.starts_with(b":")) {
            Some(pseudo) => pseudo.1 = value,
            None => all.push((name, value)),
        }
    }
    fields(&all)
}

/// The status line a response's head stands for (indexes of HPACK's static table, or a literal).
fn status_of(end: &End) -> Option<u16> {
    match end {
        End::Answered(0x88) => Some(200),
        End::Answered(0x8c) => Some(400),
        End::Answered(0x8d) => Some(404),
        End::Answered(_) => Some(0),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_smuggled_into_http_1_1() {
    let (server, ingress) = start().await;
    // `(what, fields)`: each is refused, by an answer or by ending the stream, and never reaches the upstream.
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("CRLF in value", with(&[(b"x", b"a\r\ntransfer-encoding: chunked")])),
        ("LF in value", with(&[(b"x", b"a\nb: c")])),
        ("CR in value", with(&[(b"x", b"a\rb")])),
        ("NUL in value", with(&[(b"x", b"a\0b")])),
        ("CRLF in name", with(&[(b"x\r\ny", b"a")])),
        ("colon in name", with(&[(b"x: y", b"a")])),
        ("space in name", with(&[(b"transfer-encoding ", b"chunked")])),
        ("upper case in name", with(&[(b"Transfer-Encoding", b"chunked")])),
        ("empty name", with(&[(b"", b"a")])),
        ("Transfer-Encoding", with(&[(b"transfer-encoding", b"chunked")])),
        ("Connection", with(&[(b"connection", b"close")])),
        ("Keep-Alive", with(&[(b"keep-alive", b"5")])),
        ("Proxy-Connection", with(&[(b"proxy-connection", b"close")])),
        ("Upgrade", with(&[(b"upgrade", b"websocket")])),
        ("TE beyond trailers", with(&[(b"te", b"chunked")])),
        ("CRLF in path", with(&[(b":path", b"/ HTTP/1.1\r\nHost: b.test\r\n\r\nGET /evil")])),
        ("space in path", with(&[(b":path", b"/ HTTP/1.1")])),
        ("empty path", with(&[(b":path", b"")])),
        ("relative path", with(&[(b":path", b"evil")])),
        ("star with GET", with(&[(b":path", b"*")])),
        ("CRLF in method", with(&[(b":method", b"GET / HTTP/1.1\r\nX: y")])),
        ("space in method", with(&[(b":method", b"GET /x")])),
        ("CRLF in authority", with(&[(b":authority", b"a.test\r\nx: y")])),
        ("slash in authority", with(&[(b":authority", b"a.test/x")])),
        ("user in authority", with(&[(b":authority", b"u@a.test")])),
        ("other Host", with(&[(b"host", b"b.test")])),
        ("two Host", with(&[(b"host", b"a.test"), (b"host", b"a.test")])),
        ("CR in scheme", with(&[(b":scheme", b"http\r\nx: y")])),
        ("unknown pseudo header", with(&[(b":evil", b"x")])),
        ("pseudo header after others", [with(&[(b"x", b"y")]), fields(&[(b":path", b"/evil")])].concat()),
        ("two :path", [fields(&GET), fields(&[(b":path", b"/evil")])].concat()),
        ("two :authority", [fields(&GET), fields(&[(b":authority", b"b.test")])].concat()),
        (":status in a request", [fields(&GET), fields(&[(b":status", b"200")])].concat()),
        ("no :method", fields(&GET[1..])),
        ("no :path", fields(&GET[..3])),
        ("neither :authority nor Host", fields(&[GET[0], GET[1], GET[3]])),
        ("two Content-Length", with(&[(b"content-length", b"0"), (b"content-length", b"5")])),
        ("Content-Length list", with(&[(b"content-length", b"0, 0")])),
        ("Content-Length plus", with(&[(b"content-length", b"+0")])),
        ("Content-Length without a body", with(&[(b"content-length", b"5")])),
        ("unknown expectation", with(&[(b"expect", b"wonders")])),
        ("CONNECT", fields(&[(b":method", b"CONNECT"), (b":authority", b"a.test:443")])),
        ("TRACE", with(&[(b":method", b"TRACE")])),
        (":protocol without CONNECT", with(&[(b":protocol", b"websocket")])),
    ];
    for (what, block) in cases {
        let mut wire = raw(&ingress).await;
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
        let end = end_of(&mut wire, 1).await;
        let refused = matches!(end, End::Reset(PROTOCOL_ERROR) | End::GoAway(_) | End::Closed)
            || status_of(&end).is_some_and(|status| status != 200);
        assert!(refused, "{what}: {end:?}");
    }
    assert_eq!(server.seen(), Vec::<String>::new());
    let mut wire = raw(&ingress).await;
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&GET))).await;
    assert_eq!(status_of(&end_of(&mut wire, 1).await), Some(200), "the same, unchanged, is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_the_length_it_was_announced_with() {
    let server = Server::start(|mut wire| async move {
        while let Some((_, body)) = wire.message().await {
            assert_eq!(body, b"12345");
            wire.send(OK).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let head = with(&[(b":method", b"POST"), (b"content-length", b"5")]);
    for (what, parts, served) in [
        ("equal", vec![&b"123"[..], b"45"], true),
        ("shorter", vec![&b"1234"[..]], false),
        ("longer", vec![&b"12345"[..], b"GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n"], false),
    ] {
        let mut wire = raw(&ingress).await;
        wire.send(frame(HEADERS, END_HEADERS, 1, &head)).await;
        for (n, part) in parts.iter().enumerate() {
            let flags = if n + 1 == parts.len() { END_STREAM } else { 0 };
            wire.send(frame(0, flags, 1, part)).await;
        }
        let end = end_of(&mut wire, 1).await;
        assert_eq!(status_of(&end) == Some(200), served, "{what}: {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_framing_inside_a_body_is_content() {
    let server = Server::start(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        assert_eq!(wire.chunks().await, b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n");
        wire.send(OK).await;
        wire.closed().await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = raw(&ingress).await;
    wire.send(frame(HEADERS, END_HEADERS, 1, &with(&[(b":method", b"POST")]))).await;
    wire.send(frame(0, END_STREAM, 1, b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
    assert_eq!(status_of(&end_of(&mut wire, 1).await), Some(200));
}

/// Sends until the other side has had enough; how the connection ended and how many pieces it took.
async fn flood(ingress: &Ingress, pieces: usize, piece: impl Fn(u32) -> Vec<u8>) -> (End, usize) {
    let mut wire = raw(ingress).await;
    for n in 0..pieces {
        wire.send(piece(n as u32)).await;
    }
    (end_of(&mut wire, u32::MAX).await, pieces)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_the_connection_and_leaves_nothing_behind() {
    // An upstream that never answers: every request would hold a connection.
    let server = Server::start(|mut wire| async move { drop(wire.rest().await) }).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let (end, _) = flood(&ingress, 2_000, |n| {
        let head = frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &fields(&GET));
        [head, frame(3, 0, 2 * n + 1, &8u32.to_be_bytes())].concat()
    })
    .await;
    assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Closed), "{end:?}");
    let status = until_some(|| async {
        let status = ingress.status().await;
        (status.connections.open == 0 && status.upstreams[0].in_flight == 0).then_some(status)
    })
    .await;
    assert!(status.upstreams[0].requests <= 220, "{} requests went on", status.upstreams[0].requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_cheap_frames_end_the_connection() {
    let server = Server::start(|mut wire| async move { drop(wire.rest().await) }).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let settings = |_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let ping = |n: u32| frame(6, 0, 0, &[n.to_be_bytes(), [0; 4]].concat());
    let priority = |n: u32| frame(2, 0, 2 * n + 3, &[0, 0, 0, 1, 15]);
    let window = |_| frame(8, 0, 0, &1u32.to_be_bytes());
    let unknown = |_| frame(0x77, 0, 0, b"junk");
    for (what, end) in [
        ("SETTINGS", flood(&ingress, 3_000, settings).await.0),
        ("PING", flood(&ingress, 3_000, ping).await.0),
        ("PRIORITY", flood(&ingress, 3_000, priority).await.0),
        ("WINDOW_UPDATE", flood(&ingress, 12_000, window).await.0),
        ("unknown", flood(&ingress, 3_000, unknown).await.0),
    ] {
        assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Closed), "{what}: {end:?}");
    }
    // Empty DATA on an open stream.
    let mut wire = raw(&ingress).await;
    wire.send(frame(HEADERS, END_HEADERS, 1, &with(&[(b":method", b"POST")]))).await;
    for _ in 0..3_000 {
        wire.send(frame(0, 0, 1, b"")).await;
    }
    let end = end_of(&mut wire, 1).await;
    assert!(matches!(end, End::GoAway(ENHANCE_YOUR_CALM) | End::Closed), "empty DATA: {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_not_collected() {
    let (server, ingress) = start().await;
    // CONTINUATION without end.
    let mut wire = raw(&ingress).await;
    wire.send(frame(HEADERS, END_STREAM, 1, &fields(&GET))).await;
    let block = fields(&[(b"x", &[b'y'; 200])]).repeat(20);
    for _ in 0..2_000 {
        wire.send(frame(9, 0, 1, &block)).await;
    }
    let end = end_of(&mut wire, 1).await;
    assert!(matches!(end, End::GoAway(_) | End::Closed), "{end:?}");
    // A head that is small on the wire and huge when unpacked: one indexed field, repeated.
    let mut wire = raw(&ingress).await;
    let mut bomb = fields(&GET);
    bomb.extend([0x40, 1, b'x', 127, 73]);
    bomb.extend([b'y'; 200]);
    bomb.extend([0xbe; 10_000]);
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
    let end = end_of(&mut wire, 1).await;
    assert!(status_of(&end) != Some(200), "{end:?}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_than_allowed_are_open() {
    let server = Server::start(|mut wire| async move { drop(wire.rest().await) }).await;
    let settings = Settings { max_streams: 3, ..Settings::default() };
    let routes = vec![route("a", &[server.address])];
    let snapshot = Snapshot { version: 1, boot: "t".into(), generation: 1, settings, routes, ..Snapshot::default() };
    let ingress = Ingress::start_with(snapshot).await;
    let mut wire = raw(&ingress).await;
    // The settings have to be acknowledged before they count.
    while next(&mut wire).await.is_some_and(|(kind, flags, ..)| (kind, flags) != (4, 0)) {}
    wire.send(frame(4, 1, 0, &[])).await;
    for n in 0..4 {
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &fields(&GET))).await;
    }
    let end = end_of(&mut wire, 7).await;
    assert!(matches!(end, End::Reset(7 | 1) | End::GoAway(_)), "{end:?}");
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 3).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    let server = Server::answering(OK).await;
    let settings = Settings { head_timeout_ms: 300, keep_alive_ms: 300, ..Settings::default() };
    let routes = vec![route("a", &[server.address])];
    let snapshot = Snapshot { version: 1, boot: "t".into(), generation: 1, settings, routes, ..Snapshot::default() };
    let ingress = Ingress::start_with(snapshot).await;
    // Half a preface; nothing after the preface; half a head.
    let mut half = ingress.connect().await;
    half.send(b"PRI * HTTP/2.0\r\n\r\n").await;
    let mut silent = raw(&ingress).await;
    let mut slow = raw(&ingress).await;
    let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&GET));
    slow.send(&head[..head.len() - 3]).await;
    assert!(half.rest().await.starts_with("HTTP/1.1 408 "));
    assert_eq!(end_of(&mut silent, 1).await, End::GoAway(0));
    assert_eq!(end_of(&mut slow, 1).await, End::GoAway(0));
    drop((silent, slow));
    until_some(|| async { (ingress.status().await.connections.open == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_holds_nothing_for_ever() {
    let server = Server::start(|mut wire| async move {
        wire.head().await;
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 5 << 20, "x".repeat(5 << 20))).await;
        wire.rest().await;
    })
    .await;
    let slow = with_policy(route("a", &[server.address]), |policy| policy.idle_timeout_ms = 300);
    let ingress = Ingress::start(vec![slow]).await;
    let mut wire = raw(&ingress).await;
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&GET))).await;
    // The window of 65,535 bytes is never opened again.
    assert_eq!(status_of(&end_of(&mut wire, 1).await), Some(200));
    assert_eq!(end_of(&mut wire, 1).await, End::Reset(2));
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 0).then_some(()) }).await;
}
