//! A small HTTP client that hides nothing: no retries, no pool, no redirects. A lost request is seen as lost.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A connection that is kept.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn get(&mut self, host: &str, path: &str) -> Result<Reply> {
        self.send("GET", host, path, "", "")
    }

    /// One request; `headers` are whole lines, each with its CRLF.
    pub(crate) fn send(&mut self, method: &str, host: &str, path: &str, headers: &str, body: &str) -> Result<Reply> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> Result<Reply> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| odd(&first))?;
        let mut headers = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            headers.push_str(&line.to_ascii_lowercase());
            headers.push('\n');
        }
        let value = |name: &str| headers.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let mut body = Vec::new();
        if value("transfer-encoding:") == Some("chunked") {
            while let Some(mut chunk) = self.chunk()? {
                body.append(&mut chunk);
            }
        } else {
            let length = value("content-length:").and_then(|v| v.parse().ok()).unwrap_or(0);
            body.resize(length, 0);
            self.0.read_exact(&mut body)?;
        }
        Ok(Reply { status, body: String::from_utf8_lossy(&body).into_owned(), headers })
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| odd(&line))?;
        let mut chunk = vec![0; length];
        self.0.read_exact(&mut chunk)?;
        self.line()?;
        Ok((length > 0).then_some(chunk))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(Error::other("the connection was closed before the answer was there"));
        }
        Ok(line.trim_end().to_owned())
    }
}

fn odd(line: &str) -> Error {
    Error::other(format!("not an HTTP answer: `{line}`"))
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, host: &str, path: &str) -> Result<Reply> {
    Connection::open(port)?.get(host, path)
}

/// Constant load on one app: half of it over connections that are kept, half over new ones.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// Senders of a load; each keeps its own pace.
const SENDERS: u32 = 8;

impl Load {
    /// Starts about `rate` requests a second.
    pub(crate) fn start(port: u16, host: &str, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let pause = Duration::from_secs(1) * SENDERS / rate;
        let threads = (0..SENDERS)
            .map(|n| {
                let (stop, sent, host) = (Arc::clone(&stop), Arc::clone(&sent), host.to_owned());
                std::thread::spawn(move || send(port, &host, n % 2 == 0, pause, &stop, &sent))
            })
            .collect();
        Self { stop, sent, threads }
    }

    /// Ends it; there must have been requests, and none may have failed.
    pub(crate) fn none_failed(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let failures: Vec<String> = self.threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        let sent = self.sent.load(Ordering::SeqCst);
        assert!(sent > 0, "no request was sent");
        assert!(
            failures.is_empty(),
            "{} of {sent} requests failed, first {:?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
        sent
    }
}

fn send(port: u16, host: &str, keep: bool, pause: Duration, stop: &AtomicBool, sent: &AtomicU64) -> Vec<String> {
    let began = Instant::now();
    let mut failures = Vec::new();
    let mut kept = None;
    while !stop.load(Ordering::SeqCst) {
        let at = Instant::now();
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(port),
        };
        let outcome = connection.and_then(|mut c| c.get(host, "/").map(|reply| (c, reply)));
        sent.fetch_add(1, Ordering::SeqCst);
        match outcome {
            Ok((connection, reply)) if reply.status == 200 => {
                let closes = reply.headers.contains("connection: close");
                kept = (keep && !closes).then_some(connection);
            }
            Ok((_, reply)) => failures.push(format!("{:.1?}: {} {}", began.elapsed(), reply.status, reply.body)),
            Err(error) => failures.push(format!("{:.1?}: {error} (kept: {keep})", began.elapsed())),
        }
        std::thread::sleep(pause.saturating_sub(at.elapsed()));
    }
    failures
}
