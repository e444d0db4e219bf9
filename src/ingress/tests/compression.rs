//! Compression of answers: who gets it, what it changes, and that streams stay live.

use std::io::Read;
use std::process::{Command, Stdio};

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
async fn decoded(wire: &mut Wire, coding: &str, enough: impl Fn(&str) -> bool) -> String {
    let mut encoded = Vec::new();
    loop {
        let size = usize::from_str_radix(wire.until("\r\n").await.trim(), 16).unwrap();
        encoded.extend(wire.exactly(size).await);
        assert_eq!(wire.exactly(2).await, b"\r\n");
        let mut text = Vec::new();
        let mut decoder: Box<dyn Read> = match coding {
            "zstd" => Box::new(zstd::Decoder::new(&encoded[..]).unwrap()),
            "br" => Box::new(brotli::Decompressor::new(&encoded[..], 4_096)),
            _ => Box::new(flate2::read::GzDecoder::new(&encoded[..])),
        };
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
    // What a route offers is in its order of preference, which decides among what the client likes equally.
    let all = Compression::default().codings;
    for (accepts, want) in [
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("gzip, deflate, br", Some(Coding::Br)),
        ("br;q=0.9, gzip", Some(Coding::Gzip)),
        ("zstd;q=0, *", Some(Coding::Br)),
        ("*;q=0.1, gzip;q=0.2", Some(Coding::Gzip)),
        ("identity;q=0, br;q=0.001", Some(Coding::Br)),
    ] {
        assert_eq!(negotiate(&all, accepts.as_bytes()), want, "{accepts}");
    }
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
        wire.send(get("/", "Accept-Encoding: gzip;q=0.5, deflate\r\nAccept-Encoding: identity;q=0.1\r\n")).await;
        let head = wire.head().await;
        let names = ["content-encoding", "transfer-encoding", "content-length", "etag", "vary", "accept-ranges"];
        let want = [Some("gzip"), Some("chunked"), None, Some("W/\"v1\""), Some("accept-encoding"), None];
        assert_eq!(names.map(|name| header(&head, name)), want, "{head}");
        let text = decoded(&mut wire, "gzip", |_| false).await;
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
        "200 OK\r\nContent-Type: application/grpc+json",
        "200 OK\r\nContent-Type: text/css\r\nTrailer: Digest",
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
async fn server_sent_events_stay_live_through_every_coding() {
    let server = Server::start(|mut wire| async move {
        wire.message().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n").await;
        // The stream stays open: what the client has seen by then did not wait for its end.
        let _ = wire.rest().await;
    })
    .await;
    let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
    for coding in ["gzip", "br", "zstd"] {
        let mut wire = ingress.connect().await;
        wire.send(get("/", &format!("Accept-Encoding: {coding}\r\n"))).await;
        assert_eq!(header(&wire.head().await, "content-encoding"), Some(coding));
        assert_eq!(decoded(&mut wire, coding, |text| text.ends_with("one\n\n")).await, "data: one\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_itself_what_it_varies_by_says_it_once() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, _)) = wire.message().await {
            let vary = header(&head, "x-vary").unwrap().to_owned();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nVary: {vary}\r\nContent-Length: 2000");
            wire.send(format!("{head}\r\n\r\n{}", "x".repeat(2_000))).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
    let mut wire = ingress.connect().await;
    for (own, count) in [("Origin, Accept-Encoding", 1), ("*", 1), ("Origin", 2)] {
        wire.send(get("/", &format!("X-Vary: {own}\r\n"))).await;
        let (head, _) = wire.message().await.unwrap();
        assert_eq!(head.lines().filter(|line| line.to_ascii_lowercase().starts_with("vary:")).count(), count, "{own}");
    }
}

/// What curl gets, decoded by its own libraries.
async fn curl(arguments: Vec<String>) -> Vec<u8> {
    let run = move || Command::new("curl").args(arguments).stdin(Stdio::null()).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().expect("curl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_decodes_what_it_gets() {
    let page: String = (0..20_000).map(|n| format!("<li>{n}: {}</li>\n", n * n % 997)).collect();
    let (sent, length) = (page.clone(), page.len());
    let server = Server::start(move |mut wire| {
        let page = sent.clone();
        async move {
            while let Some((head, _)) = wire.message().await {
                let framing = match head.split(' ').nth(1).unwrap() {
                    "/length" => format!("Content-Length: {length}\r\n\r\n{page}"),
                    "/chunked" => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{page}\r\n0\r\n\r\n"),
                    _ => format!("Connection: close\r\n\r\n{page}"),
                };
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{framing}")).await;
                if framing.starts_with("Connection") {
                    return;
                }
            }
        }
    })
    .await;
    let ingress = Ingress::start(vec![compressed(route("a", &[server.address]))]).await;
    let mut asked = 0;
    for coding in ["gzip", "br", "zstd"] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for path in ["/length", "/chunked", "/close"] {
                let url = format!("http://a.test:{}{path}", ingress.address.port());
                let to = format!("a.test:{}:127.0.0.1", ingress.address.port());
                let accepts = format!("Accept-Encoding: {coding}");
                let arguments = ["-sS", "--compressed", version, "--resolve", &to, "-H", &accepts, &url];
                let got = curl(arguments.map(str::to_owned).to_vec()).await;
                assert!(got == page.as_bytes(), "{coding} {version} {path}: {} bytes", got.len());
                asked += 1;
            }
        }
    }
    let report = ingress.client.route_stats(None).await.unwrap().remove(0);
    assert_eq!(report.events.compressed, asked);
}
