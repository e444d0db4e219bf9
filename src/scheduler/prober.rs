//! Asks instances how they are: a TCP connection, an HTTP request, a command inside, with a deadline, not too many at a time. What
//! the answers mean is decided in [`super::health`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::health::Probe;
use super::memory::ProbeTarget;
use crate::engine::{Engine, ExecEnd};
use crate::kernel::error::chain;
use crate::stack::Protocol;

/// Bytes of an HTTP answer that are looked at: enough for its first line.
const ANSWER_BYTES: usize = 512;
/// Docker's own name server listens on this address inside every container.
const DOCKER_DNS: [u8; 4] = [127, 0, 0, 11];
/// Wrong addresses named in one sentence.
const NAMED: usize = 3;
/// A lookup of the sockets of a container may take so long.
const LISTENING_DEADLINE: Duration = Duration::from_secs(2);
/// The engine may take so long besides the command it runs.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// The way to ask; a trait so that instances of an engine in memory can be asked too.
pub(super) trait Ask: Send + Sync {
    /// One probe. `look_closer` allows the costlier question where it listens, when it refuses connections.
    fn ask<'a>(&'a self, target: &'a ProbeTarget, look_closer: bool) -> BoxFuture<'a, Probe>;
}

/// Asks over the network.
pub(super) struct NetworkProber {
    pub engine: Arc<dyn Engine>,
}

impl Ask for NetworkProber {
    fn ask<'a>(&'a self, target: &'a ProbeTarget, look_closer: bool) -> BoxFuture<'a, Probe> {
        Box::pin(async move {
            let outside = match target.address {
                Some(address) => self.ask_outside(target, address, look_closer).await,
                None => Probe::Passed,
            };
            match (&target.check.command, outside) {
                (Some(command), Probe::Passed) => ask_inside(&*self.engine, target, command).await,
                (_, outside) => outside,
            }
        })
    }
}

/// Runs the health command inside the instance.
pub(super) async fn ask_inside(engine: &dyn Engine, target: &ProbeTarget, command: &[String]) -> Probe {
    let within = deadline(target);
    // The engine keeps the time itself; this is for an engine that does not answer.
    let asked = tokio::time::timeout(within + ENGINE_PATIENCE, engine.exec(&target.id, command, within)).await;
    let program = command.first().map_or("", String::as_str);
    let detail = match asked {
        Ok(Ok(ExecEnd::Exited { code: 0, .. })) => return Probe::Passed,
        Ok(Ok(ExecEnd::Exited { code, last_line })) if last_line.is_empty() => {
            format!("fails its health command `{program}` with exit code {code}")
        }
        Ok(Ok(ExecEnd::Exited { code, last_line })) => {
            format!("fails its health command `{program}` with exit code {code}: {last_line}")
        }
        Ok(Ok(ExecEnd::StillRunning)) => {
            format!("has a health command `{program}` that does not end within {} ms", within.as_millis())
        }
        Ok(Err(error)) => format!("could not be asked by its health command: {}", chain(&error)),
        Err(_) => "could not be asked by its health command: the engine does not answer".to_owned(),
    };
    Probe::Failed { detail }
}

fn deadline(target: &ProbeTarget) -> Duration {
    Duration::from_millis(u64::from(target.check.timeout_ms))
}

impl NetworkProber {
    async fn ask_outside(&self, target: &ProbeTarget, address: SocketAddr, look_closer: bool) -> Probe {
        let deadline = deadline(target);
        let result = match target.check.protocol {
            Protocol::Process => return Probe::Passed,
            Protocol::Tcp => tokio::time::timeout(deadline, connect(address)).await.map(|r| r.map(drop)),
            Protocol::Http => tokio::time::timeout(deadline, request(target, address)).await,
        };
        match result {
            Ok(Ok(())) => Probe::Passed,
            Ok(Err(Refusal::Connect)) if look_closer => self.where_it_listens(target, address).await,
            Ok(Err(Refusal::Connect)) => not_listening(address),
            Ok(Err(Refusal::Answer(detail))) => Probe::Failed { detail },
            Err(_) => Probe::Failed {
                detail: format!("does not answer on port {} within {} ms", address.port(), deadline.as_millis()),
            },
        }
    }

    async fn where_it_listens(&self, target: &ProbeTarget, address: SocketAddr) -> Probe {
        match tokio::time::timeout(LISTENING_DEADLINE, self.engine.listening(&target.id)).await {
            Ok(Ok(sockets)) => diagnose(address.port(), &sockets),
            // Not being able to look closer takes nothing from what is known.
            Ok(Err(_)) | Err(_) => not_listening(address),
        }
    }
}

fn not_listening(address: SocketAddr) -> Probe {
    Probe::Failed { detail: format!("does not accept connections on 0.0.0.0:{} yet", address.port()) }
}

/// What the sockets of an instance say about why nobody gets through to it. Pure.
pub(super) fn diagnose(port: u16, sockets: &[SocketAddr]) -> Probe {
    let own: Vec<&SocketAddr> = sockets.iter().filter(|s| s.ip() != IpAddr::from(DOCKER_DNS)).collect();
    let right = own.iter().any(|s| s.port() == port && !s.ip().is_loopback());
    if own.is_empty() || right {
        return not_listening(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    let named: Vec<String> = own.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if own.len() > NAMED { " and others" } else { "" };
    let hint = "read the PORT variable and bind to 0.0.0.0";
    Probe::Misplaced { detail: format!("listens on {}{more}, expected 0.0.0.0:{port} ({hint})", named.join(", ")) }
}

enum Refusal {
    /// Nobody takes the connection.
    Connect,
    /// The connection was taken, and the answer is not a good one.
    Answer(String),
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Refusal> {
    TcpStream::connect(address).await.map_err(|_| Refusal::Connect)
}

/// One `GET`; good when answered with 2xx or 3xx.
async fn request(target: &ProbeTarget, address: SocketAddr) -> Result<(), Refusal> {
    let mut stream = connect(address).await?;
    let path = target.check.path.as_deref().unwrap_or("/");
    let broken = |e: std::io::Error| Refusal::Answer(format!("breaks off the request GET {path} ({e})"));
    // `localhost` is what frameworks that check the host name allow by default.
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Wharf-Health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    let mut buffer = [0; ANSWER_BYTES];
    while answer.len() < ANSWER_BYTES && !answer.contains(&b'\n') {
        match stream.read(&mut buffer).await.map_err(broken)? {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    judge_answer(path, &answer).map_err(Refusal::Answer)
}

/// Whether the first bytes of an answer say 2xx or 3xx. Pure.
pub(super) fn judge_answer(path: &str, answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(code) => Err(format!("answers GET {path} with {code}, expected 2xx or 3xx")),
        None => Err(format!("answers GET {path} with something that is not HTTP")),
    }
}
