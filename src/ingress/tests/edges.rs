//! Rules that stand in a standard or in the settings and are easily lost: traces sent twice, sessions taken up again,
//! limits on connections, what the access log leaves out.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::harness::*;
use super::tls::{ONE, certificate};
use crate::ingress::snapshot::{AccessLog, Route, Settings, Snapshot};

fn snapshot(routes: Vec<Route>, settings: Settings) -> Snapshot {
    let certificates = vec![certificate(&["one.test"], ONE)];
    Snapshot { version: 1, boot: "t".into(), generation: 1, routes, settings, certificates, ..Snapshot::default() }
}

/// <https://www.w3.org/TR/trace-context/>: the header stands alone, versions to come are taken for what is known of
/// them, and a state without its parent is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_taken_over_only_by_the_rules() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let known = format!("00-{trace}-{span}-01");
    let cases = [
        (format!("traceparent: {known}"), true),
        (format!("TraceParent: {known}"), true),
        (format!("traceparent:  {known} "), true),
        (format!("traceparent: cc-{trace}-{span}-01"), true),
        (format!("traceparent: cc-{trace}-{span}-01-what-will-be"), true),
        (format!("traceparent: 00-{trace}-{span}-00"), true),
        (format!("traceparent: cc-{trace}-{span}-01.what-will-be"), false),
        (format!("traceparent: 00-{trace}-{span}"), false),
        (format!("traceparent: 00-{trace}-{span}-1"), false),
        (format!("traceparent: 00-{trace}-0000000000000000-01"), false),
        (format!("traceparent: 00-{trace}-{span}-0X"), false),
        (format!("trace-parent: {known}"), false),
        (format!("traceparent: {known}\r\ntraceparent: {known}"), false),
        (format!("traceparent: {known}\r\ntraceparent: 00-{}-{span}-01", "1".repeat(32)), false),
        (format!("traceparent: {known},{known}"), false),
    ];
    for (sent, taken) in cases {
        let head = format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{sent}\r\n");
        ingress.raw(format!("{head}tracestate: a=1\r\nTraceState: b=2\r\n\r\n")).await;
        let seen = server.seen().pop().unwrap().to_ascii_lowercase();
        assert_eq!(seen.matches("\r\ntraceparent: ").count(), 1, "{sent}: {seen}");
        let parent = header(&seen, "traceparent").unwrap();
        assert!(parent.starts_with("00-") && (&parent[3..35] == trace) == taken, "{sent}: {parent}");
        let states: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("tracestate: ")).collect();
        assert_eq!(states, if taken { vec!["a=1", "b=2"] } else { vec![] }, "{sent}: states in their order");
    }
}

fn client(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ONE.0.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_both_versions_are_taken_up_again_over_a_table_swap() {
    let server = Server::answering(OK).await;
    let secure = Route { hosts: vec!["one.test".into()], ..route("one", &[server.address]) };
    let ingress = Ingress::start_with(snapshot(vec![secure.clone()], Settings::default())).await;
    let address = ingress.status().await.listening_tls[0];
    for (n, version) in [&rustls::version::TLS12, &rustls::version::TLS13].into_iter().enumerate() {
        let config = client(version);
        let mut kinds = Vec::new();
        for turn in 0..3 {
            let stream = TcpStream::connect(address).await.unwrap();
            let connecting =
                TlsConnector::from(Arc::clone(&config)).connect(ServerName::try_from("one.test").unwrap(), stream);
            let mut stream = timeout(LIMIT, connecting).await.unwrap().unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            // Tickets of TLS 1.3 come behind the handshake, with the answer.
            timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            let session = stream.get_ref().1;
            let want = if n == 0 { ProtocolVersion::TLSv1_2 } else { ProtocolVersion::TLSv1_3 };
            assert_eq!(session.protocol_version(), Some(want));
            kinds.push(session.handshake_kind().unwrap());
            if turn == 1 {
                let mut next = snapshot(vec![secure.clone()], Settings::default());
                next.generation = 10 + n as u64;
                ingress.client.put_snapshot(&next).await.unwrap();
            }
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_on_arrival_and_counted() {
    let server = Server::answering(OK).await;
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let ingress = Ingress::start_with(snapshot(vec![route("a", &[server.address])], settings)).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut wire = ingress.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert!(wire.message().await.unwrap().0.starts_with("HTTP/1.1 200 "));
        open.push(wire);
    }
    ingress.connect().await.closed().await;
    assert_eq!(ingress.status().await.connections.turned_away, 1);
    drop(open.pop());
    until_some(|| async {
        let mut wire = ingress.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
        wire.rest().await.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_holds_what_is_asked_of_it() {
    let server = Server::answering(OK).await;
    for (level, want) in [(AccessLog::Errors, vec![404]), (AccessLog::All, vec![200, 404])] {
        let settings = Settings { access_log: level, ..Settings::default() };
        let ingress = Ingress::start_with(snapshot(vec![route("a", &[server.address])], settings)).await;
        for host in ["a.test", "nobody.test"] {
            ingress.raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        }
        let path = ingress.dir.path().join("data/telemetry/access.log");
        assert_eq!(ingress.status().await.requests, 2, "all are counted");
        let lines = until_some(|| async {
            let text = std::fs::read_to_string(&path).ok()?;
            (text.lines().count() >= want.len()).then_some(text)
        })
        .await;
        let mut statuses: Vec<u64> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].as_u64().unwrap())
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, want);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_passed_on_as_they_come() {
    let (release, go) = tokio::sync::watch::channel(0);
    let server = Server::start(move |mut wire| {
        let mut go = go.clone();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n").await;
            for n in 1..=3 {
                go.wait_for(|turn| *turn >= n).await.unwrap();
                wire.send(format!("id: {n}\ndata: event {n}\n\n")).await;
            }
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
    // Each event is made only when the one before has been seen.
    for n in 1..=3 {
        release.send_replace(n);
        assert!(wire.until(&format!("data: event {n}\n\n")).await.contains(&format!("id: {n}\n")));
    }
    wire.until("0\r\n\r\n").await;
}
