//! An ingress in this process, upstreams that do what a test says, and a client that sends raw bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::ingress::snapshot::{Policy, Route, Snapshot, Upstream, UpstreamAddress};
use crate::ingress::status::Status;
use crate::ingress::{Client, IngressConfig, run};

/// Nothing in these tests takes longer unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running ingress with its own directories.
pub(crate) struct Ingress {
    pub address: SocketAddr,
    pub client: Client,
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Ingress {
    pub(crate) async fn start(routes: Vec<Route>) -> Self {
        Self::start_with(Snapshot { version: 1, boot: "test".into(), generation: 1, routes, ..Snapshot::default() })
            .await
    }

    pub(crate) async fn start_with(snapshot: Snapshot) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path().to_owned());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            run(config, async {
                let _ = stopped.await;
            })
            .await
            .unwrap();
        });
        let client = Client::new(dir.path().join("run/ingress.sock"));
        let status = until_some(|| async { client.status().await.ok() }).await;
        client.put_snapshot(&snapshot).await.unwrap();
        Self { address: status.listening[0], client, dir, stop: Some(stop), running }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends bytes on a new connection and returns all that comes back until it is closed.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        wire.rest().await
    }

    pub(crate) async fn status(&self) -> Status {
        self.client.status().await.unwrap()
    }

    /// Uses new routes, as the next generation.
    pub(crate) async fn routes(&self, generation: u64, routes: Vec<Route>) {
        let snapshot = Snapshot { version: 1, boot: "test".into(), generation, routes, ..Snapshot::default() };
        self.client.put_snapshot(&snapshot).await.unwrap();
    }

    /// Stops it in order and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.stop.take().map(|stop| stop.send(()));
        timeout(LIMIT, self.running).await.unwrap().unwrap();
    }
}

pub(crate) fn config(dir: PathBuf) -> IngressConfig {
    IngressConfig {
        run_dir: dir.join("run"),
        data_dir: dir.join("data"),
        http: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        https: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        workers: 2,
        drain: Duration::from_secs(5),
        config_file: None,
        log_level: None,
    }
}

/// A route `id` for `id.test` to these upstreams.
pub(crate) fn route(id: &str, upstreams: &[SocketAddr]) -> Route {
    Route {
        id: id.into(),
        hosts: vec![format!("{id}.test")],
        upstreams: upstreams.iter().map(|address| upstream(*address)).collect(),
        ..Route::default()
    }
}

pub(crate) fn upstream(address: SocketAddr) -> Upstream {
    Upstream {
        id: address.to_string(),
        address: UpstreamAddress::Tcp(address),
        weight: 1,
        draining: false,
        backend: String::new(),
    }
}

pub(crate) fn with_policy(mut route: Route, change: impl FnOnce(&mut Policy)) -> Route {
    change(&mut route.policy);
    route
}

/// A connection with what was read ahead.
pub(crate) struct Wire {
    pub stream: TcpStream,
    ahead: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have closed already: that is for the reading to find out.
        let _ = timeout(LIMIT, self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn more(&mut self) -> usize {
        timeout(LIMIT, self.stream.read_buf(&mut self.ahead)).await.expect("nothing came in time").unwrap_or(0)
    }

    /// Reads until the text has come, and returns all up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.ahead, text.as_bytes()) {
                let taken: Vec<u8> = self.ahead.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            assert!(self.more().await > 0, "closed before {text:?}; got {:?}", String::from_utf8_lossy(&self.ahead));
        }
    }

    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    pub(crate) async fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            assert!(self.more().await > 0, "closed after {} of {n} bytes", self.ahead.len());
        }
        self.ahead.drain(..n).collect()
    }

    /// At most so many bytes: fewer when the connection has ended.
    pub(crate) async fn up_to(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n && self.more().await > 0 {}
        let n = n.min(self.ahead.len());
        self.ahead.drain(..n).collect()
    }

    /// The content of a chunked body, up to its end.
    pub(crate) async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = {
                let line = self.until("\r\n").await;
                let digits = line.trim().split(';').next().unwrap_or_default();
                usize::from_str_radix(digits, 16).unwrap()
            };
            if size == 0 {
                while self.until("\r\n").await != "\r\n" {}
                return body;
            }
            body.extend(self.exactly(size).await);
            self.exactly(2).await;
        }
    }

    /// A head and the body its Content-Length announces; `None` when the connection is closed before.
    pub(crate) async fn message(&mut self) -> Option<(String, Vec<u8>)> {
        while find(&self.ahead, b"\r\n\r\n").is_none() {
            if self.more().await == 0 {
                return None;
            }
        }
        let head = self.head().await;
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        Some((head, self.exactly(length).await))
    }

    /// All until the connection is closed.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.ahead)).into_owned()
    }

    /// Waits for the other side to close; anything more it sends is an error.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.rest().await, "");
    }
}

fn find(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

/// The value of a header, name in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// An upstream whose connections are each handled by a function.
pub(crate) struct Server {
    pub address: SocketAddr,
    /// Request heads received by [`Server::answering`].
    pub heads: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<F>(handle: impl Fn(Wire) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handle)
    }

    pub(crate) fn on<F>(listener: TcpListener, handle: impl Fn(Wire) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(Wire::new(stream)));
            }
        });
        Self { address, heads: Arc::default(), accepting }
    }

    /// Answers every request with the same bytes and keeps the connection.
    pub(crate) async fn answering(response: &'static str) -> Self {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let mut server = Self::start(move |mut wire| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some((head, _)) = wire.message().await {
                    seen.lock().unwrap().push(head);
                    wire.send(response).await;
                }
            }
        })
        .await;
        server.heads = heads;
        server
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A small complete response.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An address on which nothing listens.
pub(crate) async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Polls until there is a value.
pub(crate) async fn until_some<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "what was waited for did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
