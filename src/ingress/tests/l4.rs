//! TCP and UDP ports: passed on, told apart by server name, followed live, bounded, handed over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::harness::*;
use super::tls::{ONE, TWO, certificate, client};
use crate::ingress::snapshot::{Listener, Rule, Snapshot, Tls, Transport};
use crate::ingress::status::ListenerStatus;
use crate::ingress::{Client, run};

/// A listener on a free port.
fn listener(id: &str, upstreams: &[SocketAddr]) -> Listener {
    serde_json::from_value(serde_json::json!({
        "id": id, "address": "127.0.0.1:0",
        "rules": [{ "upstreams": upstreams.iter().map(|address| upstream(*address)).collect::<Vec<_>>() }],
        "owner": { "tenant": "acme", "service": "db" },
    }))
    .unwrap()
}

fn snapshot(generation: u64, listeners: Vec<Listener>) -> Snapshot {
    let certificates = vec![certificate(&["one.test"], ONE)];
    Snapshot { version: 1, boot: "t".into(), generation, listeners, certificates, ..Snapshot::default() }
}

/// Says its name, then echoes.
async fn echo(name: &'static str) -> Server {
    Server::start(move |mut wire| async move {
        wire.send(name).await;
        loop {
            let piece = wire.up_to(1).await;
            if piece.is_empty() {
                return;
            }
            wire.send(piece).await;
        }
    })
    .await
}

async fn status(ingress: &Ingress, id: &str) -> ListenerStatus {
    ingress.status().await.listeners.into_iter().find(|listener| listener.id == id).unwrap()
}

async fn address(ingress: &Ingress, id: &str) -> SocketAddr {
    status(ingress, id).await.listening.unwrap()
}

async fn connect(ingress: &Ingress, id: &str) -> Wire {
    Wire::new(TcpStream::connect(address(ingress, id).await).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_is_passed_on_counted_and_logged() {
    let (dead, server) = (dead().await, echo("hello ").await);
    let ingress = Ingress::start_with(snapshot(1, vec![listener("db", &[dead, server.address])])).await;
    for _ in 0..4 {
        let mut wire = connect(&ingress, "db").await;
        assert_eq!(wire.exactly(6).await, b"hello ");
        wire.send("abc").await;
        assert_eq!(wire.exactly(3).await, b"abc");
        wire.stream.shutdown().await.unwrap();
        wire.closed().await;
    }
    let counted = until_some(|| async {
        let status = status(&ingress, "db").await;
        (status.open == 0).then_some(status)
    })
    .await;
    assert_eq!((counted.total, counted.bytes_in, counted.bytes_out, counted.failed), (4, 12, 36, 0));
    let path = ingress.dir.path().join("data/telemetry/access.log");
    let log = until_some(|| async { std::fs::read_to_string(&path).ok().filter(|log| log.lines().count() == 4) }).await;
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["protocol"], &line["listener"], &line["tenant"]),
            (&"tcp".into(), &"db".into(), &"acme".into())
        );
        assert_eq!((&line["bytes_in"], &line["instance"]), (&3.into(), &server.address.to_string().into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_follow_the_snapshot_and_open_connections_are_drained() {
    let (one, two) = (echo("one").await, echo("two").await);
    let ingress = Ingress::start_with(snapshot(1, vec![listener("a", &[one.address])])).await;
    let port = address(&ingress, "a").await;
    let mut old = connect(&ingress, "a").await;
    assert_eq!(old.exactly(3).await, b"one");
    // Other upstreams for the same port: new connections see them at once, the open one goes on.
    ingress.client.put_snapshot(&snapshot(2, vec![listener("a", &[two.address])])).await.unwrap();
    assert_eq!(address(&ingress, "a").await, port);
    assert_eq!(connect(&ingress, "a").await.exactly(3).await, b"two");
    old.send("still").await;
    assert_eq!(old.exactly(5).await, b"still");
    // The port leaves: nobody new, and the open one is cut when its time is up.
    let short = Listener { drain_ms: 300, ..listener("a", &[two.address]) };
    ingress.client.put_snapshot(&snapshot(3, vec![short])).await.unwrap();
    ingress.client.put_snapshot(&snapshot(4, vec![])).await.unwrap();
    assert!(TcpStream::connect(port).await.is_err(), "the port is closed");
    old.send("x").await;
    assert_eq!(old.exactly(1).await, b"x", "what is open gets its time");
    old.closed().await;
    // And comes back.
    ingress.client.put_snapshot(&snapshot(5, vec![listener("a", &[one.address])])).await.unwrap();
    assert_eq!(connect(&ingress, "a").await.exactly(3).await, b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_said_and_tried_again() {
    let (server, taken) = (echo("hi").await, tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = taken.local_addr().unwrap();
    let wanted = Listener { address, ..listener("a", &[server.address]) };
    let ingress = Ingress::start_with(snapshot(1, vec![wanted, listener("b", &[server.address])])).await;
    let failed = status(&ingress, "a").await;
    assert!(failed.listening.is_none() && failed.error.as_ref().unwrap().contains(&address.to_string()), "{failed:?}");
    assert_eq!(connect(&ingress, "b").await.exactly(2).await, b"hi", "the rest is served");
    drop(taken);
    until_some(|| async { status(&ingress, "a").await.listening }).await;
    assert_eq!(connect(&ingress, "a").await.exactly(2).await, b"hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_names_decide_and_tls_ends_here_or_there() {
    // `two.test` is served by an upstream that speaks TLS itself: another ingress.
    let (inner, plain) = (echo("inner").await, echo("plain").await);
    let mut of_two = listener("tls", &[inner.address]);
    of_two.rules[0] = Rule { names: vec!["two.test".into()], tls: Tls::End, ..of_two.rules[0].clone() };
    let mut behind = snapshot(1, vec![of_two]);
    behind.certificates = vec![certificate(&["two.test"], TWO)];
    let behind = Ingress::start_with(behind).await;
    let mut front = listener("front", &[]);
    let upstreams = |address| vec![upstream(address)];
    front.rules = vec![
        Rule { names: vec!["two.test".into()], tls: Tls::Pass, upstreams: upstreams(address(&behind, "tls").await) },
        Rule { names: vec!["one.test".into()], tls: Tls::End, upstreams: upstreams(plain.address) },
    ];
    let ingress = Ingress::start_with(snapshot(1, vec![front])).await;
    for (name, certificate, greeting) in [("two.test", TWO, "inner"), ("one.test", ONE, "plain")] {
        let stream = connect(&ingress, "front").await.stream;
        let mut stream = client(stream, name, certificate, &[]).await.unwrap();
        let mut got = [0; 8];
        stream.write_all(b"abc").await.unwrap();
        timeout(LIMIT, stream.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, format!("{greeting}abc").as_bytes());
        assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    }
    let stream = connect(&ingress, "front").await.stream;
    assert!(client(stream, "three.test", ONE, &[]).await.is_err(), "nobody has this name");
    let mut wire = connect(&ingress, "front").await;
    wire.send("GET / HTTP/1.1\r\n\r\n").await;
    wire.closed().await;
    let counted = until_some(|| async {
        let status = status(&ingress, "front").await;
        (status.refused == 2).then_some(status)
    })
    .await;
    assert_eq!(counted.total, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_silent_ones_end() {
    let server = echo("hi").await;
    let few = Listener { max_connections: 2, idle_timeout_ms: Some(300), ..listener("few", &[server.address]) };
    let one = Listener { max_connections_per_address: 1, ..listener("one", &[server.address]) };
    let ingress = Ingress::start_with(snapshot(1, vec![few, one])).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut wire = connect(&ingress, "few").await;
        assert_eq!(wire.exactly(2).await, b"hi");
        open.push(wire);
    }
    connect(&ingress, "few").await.closed().await;
    assert_eq!(status(&ingress, "few").await.refused, 1);
    for mut wire in open {
        wire.closed().await;
    }
    until_some(|| async { (status(&ingress, "few").await.open == 0).then_some(()) }).await;
    let mut first = connect(&ingress, "one").await;
    assert_eq!(first.exactly(2).await, b"hi");
    connect(&ingress, "one").await.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_passes_both_ways_unchanged_and_a_half_closed_connection_goes_on() {
    // What a dump and its restore do: a lot one way, the end, then a lot the other way.
    let dump: Arc<Vec<u8>> = Arc::new((0..24_000_000u32).map(|n| (n ^ (n >> 7) ^ (n >> 15)) as u8).collect());
    let given = Arc::clone(&dump);
    let server = Server::start(move |mut wire| {
        let dump = Arc::clone(&given);
        async move {
            assert!(wire.up_to(usize::MAX).await == *dump, "all of it came, in order");
            wire.send(&*dump).await;
        }
    })
    .await;
    let ingress = Ingress::start_with(snapshot(1, vec![listener("db", &[server.address])])).await;
    let mut wire = connect(&ingress, "db").await;
    wire.send(&*dump).await;
    wire.stream.shutdown().await.unwrap();
    // A pause in the middle, so that copying and moving inside the kernel take turns.
    assert!(wire.exactly(5_000_000).await[..] == dump[..5_000_000]);
    assert!(wire.up_to(usize::MAX).await[..] == dump[5_000_000..]);
    let counted = until_some(|| async {
        let status = status(&ingress, "db").await;
        (status.open == 0).then_some(status)
    })
    .await;
    assert_eq!((counted.bytes_in, counted.bytes_out), (24_000_000, 24_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_says_who_the_client_is() {
    let server = echo("hi").await;
    let port = Listener { proxy_protocol: true, ..listener("db", &[server.address]) };
    let ingress = Ingress::start_with(snapshot(1, vec![port])).await;
    let mut wire = connect(&ingress, "db").await;
    wire.send("PROXY TCP4 192.0.2.7 192.0.2.1 1000 5432\r\nabc").await;
    assert_eq!(wire.exactly(5).await, b"hiabc");
    drop(wire);
    let mut other = connect(&ingress, "db").await;
    other.send("no header\r\n").await;
    other.closed().await;
    let path = ingress.dir.path().join("data/telemetry/access.log");
    let log = until_some(|| async { std::fs::read_to_string(&path).ok().filter(|log| log.lines().count() == 2) }).await;
    assert!(log.contains("\"client\":\"192.0.2.7\"") && log.contains("bad_proxy_header"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_both_ways_in_sessions() {
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = upstream.local_addr().unwrap();
    tokio::spawn(async move {
        let mut space = [0; 2000];
        loop {
            let (n, from) = upstream.recv_from(&mut space).await.unwrap();
            let answer = [from.port().to_string().as_bytes(), b" ", &space[..n]].concat();
            upstream.send_to(&answer, from).await.unwrap();
        }
    });
    let port = Listener {
        protocol: Transport::Udp,
        idle_timeout_ms: Some(1500),
        max_connections: 2,
        ..listener("dns", &[server])
    };
    let ingress = Ingress::start_with(snapshot(1, vec![port])).await;
    let address = address(&ingress, "dns").await;
    let asked = async |socket: &UdpSocket, text: &str, patience: Duration| {
        socket.send_to(text.as_bytes(), address).await.unwrap();
        let mut space = [0; 2000];
        let (n, from) = timeout(patience, socket.recv_from(&mut space)).await.ok()?.unwrap();
        assert_eq!(from, address);
        Some(String::from_utf8_lossy(&space[..n]).into_owned())
    };
    let ask = async |socket: &UdpSocket, text: &str| asked(socket, text, LIMIT).await;
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let first = ask(&a, "one").await.unwrap();
    let second = ask(&a, "two").await.unwrap();
    let (session, other) = (first.split(' ').next().unwrap(), ask(&b, "x").await.unwrap());
    assert_eq!(second, format!("{session} two"), "one client stays in one session");
    assert!(!other.starts_with(session), "another has its own");
    let c = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(asked(&c, "too many", Duration::from_millis(300)).await, None);
    let ended = until_some(|| async {
        let status = status(&ingress, "dns").await;
        (status.open == 0).then_some(status)
    })
    .await;
    assert_eq!((ended.total, ended.refused, ended.bytes_in), (2, 1, 7));
    // Silence for longer than a session lasts; the clock of the worker stands still meanwhile.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert!(ask(&c, "now").await.unwrap().ends_with(" now"));
    let path = ingress.dir.path().join("data/telemetry/access.log");
    until_some(|| async { std::fs::read_to_string(&path).ok().filter(|log| log.matches("\"udp\"").count() >= 2) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_make_no_sense_are_refused_with_their_place() {
    let ingress = Ingress::start(vec![]).await;
    let named =
        |names: &[&str], tls| Rule { names: names.iter().map(|name| (*name).into()).collect(), tls, upstreams: vec![] };
    let with = |rules| Listener { rules, ..listener("x", &[]) };
    let mut fixed = listener("x", &[]);
    fixed.address = "127.0.0.1:9".parse().unwrap();
    for (listeners, word) in [
        (vec![listener("x", &[]), listener("x", &[])], "no other listener"),
        (vec![fixed.clone(), Listener { id: "y".into(), ..fixed }], "where another"),
        (vec![with(vec![])], "no rule"),
        (vec![with(vec![named(&[], Tls::Ignore), named(&[], Tls::Ignore)])], "without reading TLS"),
        (vec![with(vec![named(&["a"], Tls::Pass), named(&["A"], Tls::End)])], "same server name"),
        (vec![with(vec![named(&["a b"], Tls::Pass)])], "no name"),
        (vec![with(vec![named(&["a"], Tls::Pass), named(&[], Tls::Ignore)])], "what to do about TLS"),
        (vec![Listener { protocol: Transport::Udp, ..with(vec![named(&[], Tls::End)]) }], "UDP"),
    ] {
        let error = ingress.client.put_snapshot(&snapshot(9, listeners)).await.unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_go_to_the_successor_and_nobody_is_turned_away() {
    let server = echo("hi").await;
    let dir = tempfile::tempdir().unwrap();
    let start = || tokio::spawn(run(config(dir.path().to_owned()), std::future::pending()));
    let control = Client::new(dir.path().join("run/ingress.sock"));
    let first = start();
    until_some(|| async { control.status().await.ok() }).await;
    let udp = Listener { protocol: Transport::Udp, ..listener("udp", &[server.address]) };
    control.put_snapshot(&snapshot(1, vec![listener("db", &[server.address]), udp])).await.unwrap();
    let before: Vec<_> =
        control.status().await.unwrap().listeners.into_iter().map(|one| one.listening.unwrap()).collect();
    let mut open = Wire::new(TcpStream::connect(before[0]).await.unwrap());
    assert_eq!(open.exactly(2).await, b"hi");
    let second = start();
    // The first one drains: what is open there goes on until the limit of draining.
    open.send("still").await;
    assert_eq!(open.exactly(5).await, b"still");
    until_some(|| async {
        let mut wire = Wire::new(TcpStream::connect(before[0]).await.unwrap());
        assert_eq!(wire.exactly(2).await, b"hi", "every connection is served, whoever does it");
        first.is_finished().then_some(())
    })
    .await;
    let after: Vec<_> =
        control.status().await.unwrap().listeners.into_iter().map(|one| one.listening.unwrap()).collect();
    assert_eq!(after, before);
    second.abort();
}
