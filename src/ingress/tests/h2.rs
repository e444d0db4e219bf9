//! HTTP/2 from clients: the same requests, answers and rules as in HTTP/1.1.

use tokio::io::AsyncWriteExt;

use super::h2_client::{ask, connect, request};
use super::harness::*;
use super::{h2_client, tls};
use crate::ingress::snapshot::Snapshot;

/// Answers with the request's target and body.
async fn echo() -> Server {
    let heads = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&heads);
    let mut server = Server::start(move |mut wire| {
        let seen = std::sync::Arc::clone(&seen);
        async move {
            while let Some((head, mut body)) = wire.message().await {
                if header(&head, "transfer-encoding") == Some("chunked") {
                    body = wire.chunks().await;
                }
                let target = head.split(' ').nth(1).unwrap().to_owned();
                seen.lock().unwrap().push(head);
                wire.send(format!("HTTP/1.1 200 OK\r\nX-Target: {target}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: {}\r\n\r\n", body.len())).await;
                wire.send(&body).await;
            }
        }
    })
    .await;
    server.heads = heads;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_at_a_time() {
    let server = echo().await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let all = (0..100).map(|n| {
        let client = client.clone();
        async move {
            let body = format!("body {n}").repeat(n);
            let answer = ask(&client, request("POST", &format!("/{n}?q")), body.as_bytes()).await.unwrap();
            assert_eq!((answer.head.status().as_u16(), answer.header("x-target")), (200, Some(&*format!("/{n}?q"))));
            assert_eq!(answer.body, body.as_bytes());
            assert_eq!(["connection", "keep-alive", "transfer-encoding"].map(|name| answer.header(name)), [None; 3]);
            assert!(answer.header("x-request-id").is_some());
        }
    });
    futures_util::future::join_all(all).await;
    let status = ingress.status().await;
    assert_eq!((status.requests, status.connections.accepted), (100, 1));
    assert_eq!(status.routes[0].classes, [0, 0, 100, 0, 0, 0]);
    let path = ingress.dir.path().join("data/telemetry/access.log");
    let log =
        until_some(|| async { std::fs::read_to_string(&path).ok().filter(|log| log.lines().count() == 100) }).await;
    assert!(log.lines().all(|line| line.contains("\"http\":\"2\"")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_as_http_1_1_with_the_same_headers() {
    let server = echo().await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let mut asked = request("GET", "/x?y=1");
    for (name, value) in
        [("cookie", "a=1"), ("x-own", "v"), ("cookie", "b=2"), ("x-forwarded-for", "6.6.6.6"), ("te", "trailers")]
    {
        asked.headers_mut().append(name, value.parse().unwrap());
    }
    ask(&client, asked, b"").await.unwrap();
    let head = &server.seen()[0];
    assert!(head.starts_with("GET /x?y=1 HTTP/1.1\r\nhost: a.test\r\n"), "{head}");
    let names =
        ["cookie", "x-own", "x-forwarded-for", "x-forwarded-proto", "te", "transfer-encoding", "content-length"];
    let want = [Some("a=1; b=2"), Some("v"), Some("127.0.0.1"), Some("http"), None, None, None];
    assert_eq!(names.map(|name| header(head, name)), want, "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_clients_choose_by_alpn() {
    let server = echo().await;
    let snapshot = Snapshot {
        version: 1,
        boot: "t".into(),
        generation: 1,
        routes: vec![crate::ingress::snapshot::Route {
            hosts: vec!["one.test".into()],
            ..route("a", &[server.address])
        }],
        certificates: vec![tls::certificate(&["one.test"], tls::ONE)],
        ..Snapshot::default()
    };
    let ingress = Ingress::start_with(snapshot).await;
    let stream = tls::connect_with(&ingress, "one.test", tls::ONE, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = h2_client::over(stream).await;
    let asked = http::Request::builder().uri("https://one.test/s").body(()).unwrap();
    let answer = ask(&client, asked, b"").await.unwrap();
    assert_eq!(answer.header("x-target"), Some("/s"));
    assert_eq!(header(&server.seen()[0], "x-forwarded-proto"), Some("https"));
    // Without ALPN TLS carries HTTP/1.1 only.
    let mut plain = tls::connect_with(&ingress, "one.test", tls::ONE, &[]).await.unwrap();
    plain.write_all(crate::ingress::h2::PREFACE).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut plain, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn big_bodies_pass_both_ways_within_the_windows() {
    let server = echo().await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let body: Vec<u8> = (0..5_000_000u32).map(|n| (n / 1000) as u8).collect();
    let mut known = request("PUT", "/known");
    known.headers_mut().insert("content-length", body.len().into());
    let (a, b) =
        futures_util::future::join(ask(&client, known, &body), ask(&client, request("PUT", "/unknown"), &body)).await;
    assert!(a.unwrap().body == body && b.unwrap().body == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_and_errors_are_answers() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, _)) = wire.message().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                "/early" => {
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                }
                "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            };
            wire.send(answer).await;
            if head.contains("/short") {
                return;
            }
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address]), route("none", &[])]).await;
    let client = connect(&ingress).await;
    for (method, path, status) in
        [("HEAD", "/", 200), ("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/early", 200)]
    {
        let answer = ask(&client, request(method, path), b"").await.unwrap();
        assert_eq!(answer.head.status(), status, "{path}");
    }
    let broken = ask(&client, request("GET", "/short"), b"").await.unwrap_err();
    assert_eq!(broken.reason(), Some(h2::Reason::INTERNAL_ERROR));
    let gone = http::Request::builder().uri("http://none.test/").header("accept", "text/html").body(()).unwrap();
    let answer = ask(&client, gone, b"").await.unwrap();
    assert_eq!((answer.head.status().as_u16(), answer.header("retry-after")), (503, Some("5")));
    assert!(String::from_utf8(answer.body).unwrap().contains("<!doctype html>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_leaves_the_connection_usable() {
    let server = Server::start(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
        wire.rest().await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let body = vec![b'x'; 3_000_000];
    for _ in 0..2 {
        let answer = ask(&client, request("POST", "/"), &body).await.unwrap();
        assert_eq!((answer.head.status().as_u16(), &answer.body[..]), (403, &b"no"[..]));
    }
    assert_eq!(ingress.status().await.connections.accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_while_it_comes() {
    let server = echo().await;
    let limited = with_policy(route("a", &[server.address]), |policy| policy.max_body = Some(100_000));
    let ingress = Ingress::start(vec![limited]).await;
    let client = connect(&ingress).await;
    let answer = ask(&client, request("POST", "/"), &vec![b'x'; 300_000]).await.unwrap();
    assert_eq!(answer.head.status(), 413);
    assert_eq!(ask(&client, request("POST", "/"), b"x").await.unwrap().head.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_lets_go_of_its_upstream() {
    let (told, mut gone) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut wire| {
        let told = told.clone();
        async move {
            wire.head().await;
            wire.rest().await;
            told.send(()).unwrap();
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let (response, mut send) = client.clone().ready().await.unwrap().send_request(request("GET", "/"), true).unwrap();
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 1).then_some(()) }).await;
    send.send_reset(h2::Reason::CANCEL);
    drop((response, send));
    tokio::time::timeout(LIMIT, gone.recv()).await.unwrap().unwrap();
    until_some(|| async { (ingress.status().await.requests == 1).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_open_and_says_goodbye() {
    let (release, held) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut wire| {
        let mut held = held.clone();
        async move {
            wire.head().await;
            held.wait_for(|go| *go).await.unwrap();
            wire.send(OK).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let client = connect(&ingress).await;
    let open = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, request("GET", "/"), b"").await }
    });
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 1).then_some(()) }).await;
    ingress.client.drain().await.unwrap();
    // The client is told: it sends no more on this connection.
    until_some(|| async {
        let mut asked = client.clone();
        let refused = asked.send_request(request("GET", "/late"), true).is_err();
        refused.then_some(())
    })
    .await;
    release.send_replace(true);
    assert_eq!(open.await.unwrap().unwrap().body, b"ok");
    ingress.stop().await;
}
