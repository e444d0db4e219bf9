//! Compression of answers: who gets it, what it changes, and that streams stay live.

use std::io::Read;

use super::harness::*;
use crate::ingress::phases::compress::negotiate;
use crate::ingress::snapshot::{Coding, Compression, Route};

fn compressed(route: Route) -> Route {
    Route { compression: Some(Compression::default()), ..route }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n")
}

/// Reads chunks until `enough` says that what they decode to is all.
async fn decoded(wire: &mut Wire, enough: impl Fn(&str) -> bool) -> String {
    let mut encoded = Vec::new();
    loop {
        let size = usize::from_str_radix(wire.until("\r\n").await.trim(), 16).unwrap();
        encoded.extend(wire.exactly(size).await);
        assert_eq!(wire.exactly(2).await, b"\r\n");
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&encoded[..]);
        let mut piece = [0; 1_024];
        while let Ok(n @ 1..) = decoder.read(&mut piece) {
            text.extend_from_slice(&piece[..n]);
        }
        let text = String::from_utf8(text).unwrap();
        if size == 0 || enough(&text) {
            return text;
        }
    }
}

#[test]
fn clients_get_what_they_like() {
    let check = |accepts: &str, want: Option<Coding>| {
        assert_eq!(negotiate(&[Coding::Gzip], accepts.as_bytes()), want, "{accepts}")
    };
    check("gzip", Some(Coding::Gzip));
    check("br, GZIP;q=0.2", Some(Coding::Gzip));
    check("*", Some(Coding::Gzip));
    check("*;q=0.5, gzip;q=0", None);
    check("gzip;q=0.000", None);
    check("gzip;q=0.5, identity", None);
    check("gzip;q=nonsense", None);
    check("xgzip, deflate", None);
    check("", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_compressed_and_its_head_says_so() {
    let server = Server::start(|mut wire| async move {
        while wire.message().await.is_some() {
            let body = "all work and no play ".repeat(5_000);
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\nAccept-Ranges: bytes";
            wire.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
    let mut wire = ingress.connect().await;
    for _ in 0..2 {
        wire.send(get("/", "Accept-Encoding: gzip, br\r\n")).await;
        let head = wire.head().await;
        let names = ["content-encoding", "transfer-encoding", "content-length", "etag", "vary", "accept-ranges"];
        let want = [Some("gzip"), Some("chunked"), None, Some("W/\"v1\""), Some("accept-encoding"), None];
        assert_eq!(names.map(|name| header(&head, name)), want, "{head}");
        let text = decoded(&mut wire, |_| false).await;
        assert_eq!(text, "all work and no play ".repeat(5_000));
        assert_eq!(wire.exactly(0).await, b"");
    }
    wire.send(get("/", "")).await;
    let (head, body) = wire.message().await.unwrap();
    assert_eq!(
        (header(&head, "vary"), header(&head, "etag"), body.len()),
        (Some("accept-encoding"), Some("\"v1\""), 105_000)
    );
    let report = ingress.client.route_stats(None).await.unwrap().remove(0);
    assert_eq!(report.events.compressed, 2);
    assert!(ingress.status().await.routes[0].bytes_out < 120_000, "two of three answers are small");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_gain_or_must_not_change_is_left_alone() {
    let cases = [
        "200 OK\r\nContent-Type: image/png",
        "200 OK\r\nContent-Type: text/css\r\nContent-Encoding: br",
        "200 OK\r\nContent-Type: text/css\r\nCache-Control: public, no-transform",
        "206 Partial Content\r\nContent-Type: text/css\r\nContent-Range: bytes 0-1/9",
        "200 OK",
    ];
    for case in cases {
        let server = Server::start(move |mut wire| async move {
            wire.message().await;
            wire.send(format!("HTTP/1.1 {case}\r\nContent-Length: 2000\r\n\r\n{}", "x".repeat(2_000))).await;
        })
        .await;
        let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
        let mut wire = ingress.connect().await;
        wire.send(get("/", "Accept-Encoding: gzip\r\n")).await;
        let (head, body) = wire.message().await.unwrap();
        assert!(body.len() == 2_000 && header(&head, "vary").is_none(), "{case}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_stay_live_through_compression() {
    let server = Server::start(|mut wire| async move {
        wire.message().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n").await;
        // The next event comes only when the client has seen this one and says so.
        let _ = wire.rest().await;
    })
    .await;
    let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
    let mut wire = ingress.connect().await;
    wire.send(get("/", "Accept-Encoding: gzip\r\n")).await;
    assert_eq!(header(&wire.head().await, "content-encoding"), Some("gzip"));
    assert_eq!(decoded(&mut wire, |text| text.ends_with("one\n\n")).await, "data: one\n\n");
}
