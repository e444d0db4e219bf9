//! What apps and clients see of each other: headers, keep-alive, upgrades, errors.

use super::harness::*;
use crate::ingress::snapshot::{Maintenance, Route, Settings, Snapshot, UpstreamAddress};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_on_both_sides() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    for _ in 0..5 {
        wire.send(GET).await;
        let (head, body) = wire.message().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == b"ok", "{head}");
        assert_eq!(header(&head, "connection"), None);
    }
    let status = ingress.status().await;
    assert_eq!((status.requests, status.connections.accepted, status.upstreams[0].requests), (5, 1, 5));
    assert_eq!(status.routes[0].classes, [0, 0, 5, 0, 0, 0]);
    assert_eq!(status.routes[0].latency.counts.iter().sum::<u64>(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, body)) = wire.message().await {
            let path = head.split(' ').nth(1).unwrap().to_owned() + &String::from_utf8_lossy(&body);
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len())).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nxyz\r\nGET /3 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    for want in ["/1", "/2xyz", "/3"] {
        assert_eq!(wire.message().await.unwrap().1, want.as_bytes());
    }
    wire.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_are_ours_unless_the_peer_is_trusted() {
    let server = Server::answering(OK).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n\
        X-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nX-Kept: yes\r\n\r\n";
    let untrusting = Ingress::start(vec![route("a", &[server.address])]).await;
    untrusting.raw(request).await;
    let settings = Settings { trusted_proxies: vec!["127.0.0.0/8".into()], ..Settings::default() };
    let routes = vec![route("a", &[server.address])];
    let trusting =
        Ingress::start_with(Snapshot { version: 1, boot: "t".into(), settings, routes, ..Snapshot::default() }).await;
    trusting.raw(request).await;
    let seen = server.seen();
    let check = |head: &str, want: [Option<&str>; 8]| {
        let names = [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "forwarded",
            "x-real-ip",
            "x-secret",
            "keep-alive",
            "x-kept",
        ];
        assert_eq!(names.map(|name| header(head, name)), want, "{head}");
        assert_eq!(header(head, "proxy-authorization"), None);
        assert_eq!(header(head, "connection"), None);
    };
    check(&seen[0], [Some("127.0.0.1"), Some("http"), Some("a.test"), None, None, None, None, Some("yes")]);
    check(
        &seen[1],
        [
            Some("6.6.6.6, 127.0.0.1"),
            Some("https"),
            Some("evil"),
            Some("for=6.6.6.6"),
            Some("6.6.6.6"),
            None,
            None,
            Some("yes"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_and_traces_are_kept_when_sane_and_made_otherwise() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let send = async |headers: &str| {
        let answer = ingress.raw(format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n")).await;
        (server.seen().pop().unwrap(), answer)
    };
    let (head, answer) =
        send(&format!("X-Request-Id: my-id-12345\r\ntraceparent: {parent}\r\ntracestate: a=b\r\n")).await;
    assert_eq!(header(&head, "x-request-id"), Some("my-id-12345"));
    assert_eq!(header(&answer, "x-request-id"), Some("my-id-12345"));
    assert_eq!((header(&head, "traceparent"), header(&head, "tracestate")), (Some(parent), Some("a=b")));
    let invalid = [
        "x",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    ];
    for bad in invalid {
        let (head, _) = send(&format!("X-Request-Id: bad id\"\r\ntraceparent: {bad}\r\ntracestate: a=b\r\n")).await;
        let made = header(&head, "traceparent").unwrap();
        assert!(made.len() == 55 && made != bad && !made.contains(&"0".repeat(20)), "{made}");
        assert_eq!(header(&head, "x-request-id"), Some(&made[3..35]));
        assert_eq!(header(&head, "tracestate"), None);
        assert_eq!(head.matches("traceparent").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_clients_get_plain_bodies_and_their_kind_of_keep_alive() {
    let chunked =
        Server::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .await;
    let plain = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[chunked.address]), route("b", &[plain.address])]).await;
    let answer = ingress.raw("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nabcde") && !answer.contains("chunked"), "{answer}");
    let answer = ingress.raw("GET / HTTP/1.0\r\nHost: b.test\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let mut wire = ingress.connect().await;
    for _ in 0..2 {
        wire.send("GET / HTTP/1.0\r\nHost: b.test\r\nConnection: keep-alive\r\n\r\n").await;
        let (head, _) = wire.message().await.unwrap();
        assert_eq!(header(&head, "connection"), Some("keep-alive"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_bodiless_answers_leave_the_connection_usable() {
    let server = Server::start(|mut wire| async move {
        while let Some((head, _)) = wire.message().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                _ if head.starts_with("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                _ => OK,
            };
            wire.send(answer).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    for (line, length) in [("HEAD /", Some("9")), ("GET /204", None), ("GET /304", Some("9"))] {
        wire.send(format!("{line} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        assert_eq!(header(&wire.head().await, "content-length"), length);
    }
    wire.send(GET).await;
    assert_eq!(wire.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_pass_and_expect_continue_works() {
    let server = Server::start(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "expect"), Some("100-continue"));
        wire.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(wire.exactly(3).await, b"abc");
        wire.send(OK).await;
        wire.rest().await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(wire.head().await.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n"));
    assert!(wire.head().await.starts_with("HTTP/1.1 100 Continue\r\n"));
    wire.send("abc").await;
    assert_eq!(wire.message().await.unwrap().1, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_become_tunnels_with_half_close() {
    let server = Server::start(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!((header(&head, "upgrade"), header(&head, "connection")), (Some("websocket"), Some("upgrade")));
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello").await;
        let echoed = wire.exactly(1000).await;
        wire.send(echoed).await;
        wire.closed().await;
        wire.send("after your end").await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        .await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!((header(&head, "upgrade"), header(&head, "connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(wire.exactly(5).await, b"hello");
    assert_eq!(ingress.status().await.upstreams[0].in_flight, 1);
    wire.send("x".repeat(995)).await;
    assert_eq!(wire.exactly(1000).await, ["early".as_bytes(), &[b'x'; 995]].concat());
    tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await.unwrap();
    assert_eq!(wire.rest().await, "after your end");
}

#[tokio::test(flavor = "multi_thread")]
async fn h2c_upgrades_are_not_passed_on() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    ingress.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n").await;
    let head = &server.seen()[0];
    assert_eq!(["upgrade", "http2-settings", "connection"].map(|name| header(head, name)), [None; 3], "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_sending_side_still_gets_its_answer() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send(GET).await;
    tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await.unwrap();
    assert!(wire.rest().await.ends_with("\r\n\r\nok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_pages_for_people_and_problems_for_programs() {
    let empty = Route { empty_reason: Some("scaled to 0 <b>".into()), ..route("empty", &[]) };
    let closed = Route {
        maintenance: Some(Maintenance { message: "Back at noon.".into(), retry_after_secs: Some(77) }),
        ..route("closed", &[dead().await])
    };
    let ingress = Ingress::start(vec![empty, closed, route("down", &[dead().await])]).await;
    let ask = async |host: &str, accept: &str| {
        ingress.raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")).await
    };
    let check = |answer: &str, status: u16, words: &[&str]| {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(header(answer, "cache-control"), Some("no-store"));
        let id = header(answer, "x-request-id").unwrap();
        assert_eq!(answer.matches(id).count(), 2, "{answer}");
        words.iter().for_each(|word| assert!(answer.contains(word), "{word}: {answer}"));
    };
    check(
        &ask("nobody.test", "text/html,*/*").await,
        404,
        &["<!doctype html>", "No app answers at this address", "text/html"],
    );
    check(&ask("nobody.test", "*/*").await, 404, &["application/problem+json", "\"status\":404"]);
    check(&ask("empty.test", "text/html").await, 503, &["scaled to 0 &lt;b&gt;", "retry-after: 5"]);
    check(&ask("closed.test", "*/*").await, 503, &["Back at noon.", "retry-after: 77"]);
    check(&ask("down.test", "*/*").await, 502, &["does not accept connections"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_upstream_may_come_back_while_a_request_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portal.sock");
    let mut portal = route("a", &[dead().await]);
    portal.upstreams[0].address = UpstreamAddress::Unix(path.clone());
    let away = with_policy(Route { id: "away".into(), hosts: vec!["away.test".into()], ..portal.clone() }, |policy| {
        policy.connect_retry_ms = Some(300);
    });
    let ingress = Ingress::start(vec![portal, away]).await;
    let answer = ingress.raw("GET / HTTP/1.1\r\nHost: away.test\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("control plane is restarting"), "{answer}");
    assert!(header(&answer, "retry-after").is_some());
    let mut wire = ingress.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
    until_some(|| async { (ingress.status().await.upstreams[0].connect_failures > 1).then_some(()) }).await;
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    assert!(wire.rest().await.ends_with("\r\n\r\nok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_one_valid_line_per_request() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    ingress
        .raw(
            "GET /p\u{e9}?secret=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: \"q\\\" \u{e9}\r\nConnection: close\r\n\r\n",
        )
        .await;
    ingress.raw("GET / HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n").await;
    let path = ingress.dir.path().join("data/telemetry/access.log");
    let lines = until_some(|| async {
        let text = std::fs::read_to_string(&path).ok()?;
        (text.lines().count() == 2).then_some(text)
    })
    .await;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let served = lines.iter().find(|line| line["status"] == 200).unwrap();
    assert_eq!(
        (&served["route"], &served["path"], &served["user_agent"]),
        (&"a".into(), &"/pé".into(), &"\"q\\\" é".into())
    );
    assert_eq!(served["instance"], server.address.to_string());
    assert!(!served.to_string().contains("secret"));
    assert!(lines.iter().any(|line| line["status"] == 404));
}
