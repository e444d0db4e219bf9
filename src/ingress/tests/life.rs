//! Table swaps, draining, crashes and upgrades under load: no request may fail.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::harness::*;
use crate::ingress::snapshot::Snapshot;
use crate::ingress::{Client, IngressConfig, run};

/// Clients that send one request after the other until stopped.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..clients)
            .map(|n| tokio::spawn(client(address, n % 2 == 0, Arc::clone(&stop), Arc::clone(&done))))
            .collect();
        Self { stop, done, clients }
    }

    /// Waits until so many more requests were answered.
    async fn more(&self, requests: u64) {
        let goal = self.done.load(SeqCst) + requests;
        until_some(|| async { (self.done.load(SeqCst) >= goal).then_some(()) }).await;
    }

    /// Stops; what went wrong.
    async fn finish(self) -> Vec<String> {
        self.stop.store(true, SeqCst);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

/// A client keeps its connection as long as the server says it may.
async fn client(address: SocketAddr, keep_alive: bool, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut open: Option<Wire> = None;
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: {connection}\r\n\r\n");
    while !stop.load(SeqCst) {
        let mut wire = match open.take() {
            Some(wire) => wire,
            None => match TcpStream::connect(address).await {
                Ok(stream) => Wire::new(stream),
                Err(error) => {
                    failures.push(error.to_string());
                    continue;
                }
            },
        };
        wire.send(&request).await;
        match wire.message().await {
            Some((head, body)) if head.starts_with("HTTP/1.1 200 ") && body == b"ok" => {
                done.fetch_add(1, SeqCst);
                open = (header(&head, "connection") != Some("close")).then_some(wire);
            }
            Some((head, _)) => failures.push(head),
            None => failures.push("closed without an answer".into()),
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn table_swaps_and_draining_under_load_fail_no_request() {
    let (first, second) = (Server::answering(OK).await, Server::answering(OK).await);
    let ingress = Ingress::start(vec![route("a", &[first.address])]).await;
    let load = Load::start(ingress.address, 8);
    for generation in 2..30 {
        let (new, old) = if generation % 2 == 0 { (&second, &first) } else { (&first, &second) };
        let mut both = route("a", &[new.address, old.address]);
        both.upstreams[1].draining = true;
        ingress.routes(generation * 2, vec![both]).await;
        load.more(20).await;
        ingress.routes(generation * 2 + 1, vec![route("a", &[new.address])]).await;
        // What has left the table gets nothing more once its requests are done.
        let id = old.address.to_string();
        until_some(|| async { ingress.status().await.upstreams.iter().all(|up| up.id != id).then_some(()) }).await;
        let before = old.seen().len();
        load.more(20).await;
        assert_eq!(old.seen().len(), before);
    }
    assert_eq!(load.finish().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_upstream_finishes_what_it_has() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut wire| {
        let mut wait = wait.clone();
        async move {
            wire.message().await;
            wait.wait_for(|go| *go).await.unwrap();
            wire.send(OK).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 1).then_some(()) }).await;
    ingress.routes(2, vec![]).await;
    let status = ingress.status().await;
    assert_eq!((status.upstreams[0].in_flight, status.upstreams[0].in_table), (1, false));
    go.send_replace(true);
    assert_eq!(wire.message().await.unwrap().1, b"ok");
    until_some(|| async { ingress.status().await.upstreams.is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_open_requests_and_closes_idle_connections() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut wire| {
        let mut wait = wait.clone();
        async move {
            wire.message().await;
            wait.wait_for(|go| *go).await.unwrap();
            wire.send(OK).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let (address, client) = (ingress.address, ingress.client.clone());
    let (mut busy, mut idle) = (ingress.connect().await, ingress.connect().await);
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    until_some(|| async { (ingress.status().await.connections.open == 2).then_some(()) }).await;
    let stopping = tokio::spawn(ingress.stop());
    until_some(|| async { TcpStream::connect(address).await.err() }).await;
    go.send_replace(true);
    let (head, _) = busy.message().await.unwrap();
    assert_eq!(header(&head, "connection"), Some("close"));
    idle.closed().await;
    stopping.await.unwrap();
    assert!(client.status().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_both_families_are_served_and_a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let port = dead().await.port();
    let both = IngressConfig {
        http: vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0u16; 8], port))],
        ..config(dir.path().to_owned())
    };
    let running = tokio::spawn(run(both.clone(), std::future::pending()));
    let client = Client::new(dir.path().join("run/ingress.sock"));
    let status = until_some(|| async { client.status().await.ok() }).await;
    assert!(!status.listening.is_empty(), "{status:?}");
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = IngressConfig { run_dir: elsewhere.path().into(), data_dir: elsewhere.path().into(), ..both };
    let error = run(other, std::future::pending()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on 0.0.0.0:{port}")), "{error}");
    running.abort();
}

/// Not a test of its own: the entry of the processes that the tests below start.
#[test]
fn process_entry() {
    let Some(dir) = std::env::var_os("WHARF_TEST_INGRESS_DIR") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(config(dir.into()), std::future::pending())).unwrap();
}

/// An ingress in a process of its own; killed when dropped.
struct Process(Child);

impl Process {
    fn start(dir: &Path) -> Self {
        let entry = "ingress::tests::life::process_entry";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", entry, "--nocapture", "--test-threads=1"])
            .env("WHARF_TEST_INGRESS_DIR", dir)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    async fn serving(&self, client: &Client) -> SocketAddr {
        let pid = self.0.id();
        until_some(|| async {
            client.status().await.ok().filter(|status| status.pid == pid).map(|status| status.listening[0])
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_it_serves_the_right_routes_from_disk() {
    let server = Server::answering(OK).await;
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(dir.path().join("run/ingress.sock"));
    let mut process = Process::start(dir.path());
    process.serving(&client).await;
    for generation in 1..=3 {
        let routes = vec![route("a", &[server.address]), route(&format!("g{generation}"), &[server.address])];
        let snapshot = Snapshot { version: 1, boot: "b".into(), generation, routes, ..Snapshot::default() };
        client.put_snapshot(&snapshot).await.unwrap();
    }
    let before = client.snapshot().await.unwrap();
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    assert!(client.status().await.is_err());
    let process = Process::start(dir.path());
    let address = process.serving(&client).await;
    assert_eq!(client.snapshot().await.unwrap(), before);
    for (host, status) in [("a", 200), ("g3", 200), ("g2", 404)] {
        let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
        wire.send(format!("GET / HTTP/1.1\r\nHost: {host}.test\r\nConnection: close\r\n\r\n")).await;
        assert!(wire.rest().await.starts_with(&format!("HTTP/1.1 {status} ")), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_fail_no_request() {
    let server = Server::answering(OK).await;
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(dir.path().join("run/ingress.sock"));
    let mut process = Process::start(dir.path());
    let address = process.serving(&client).await;
    let snapshot = Snapshot {
        version: 1,
        boot: "b".into(),
        generation: 1,
        routes: vec![route("a", &[server.address])],
        ..Snapshot::default()
    };
    client.put_snapshot(&snapshot).await.unwrap();
    let load = Load::start(address, 6);
    let mut old = Vec::new();
    for _ in 0..5 {
        load.more(50).await;
        let next = Process::start(dir.path());
        assert_eq!(next.serving(&client).await, address);
        old.push(std::mem::replace(&mut process, next));
        load.more(50).await;
    }
    // Each predecessor ends by itself once its connections have.
    for mut process in old {
        until_some(|| {
            let ended = process.0.try_wait().unwrap();
            async move { ended }
        })
        .await;
    }
    assert_eq!(load.finish().await, Vec::<String>::new());
    let snapshot = Snapshot { generation: 2, ..snapshot };
    client.put_snapshot(&snapshot).await.unwrap();
}
