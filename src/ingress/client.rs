//! The control plane's way to the ingress: a client of the control socket.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::reports::{Demands, Diff, RouteReport};
use super::snapshot::Snapshot;
use super::status::{Pulse, Status};

/// One request on the control socket must be answered within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between looks in [`Client::wait_applied`].
const POLL: Duration = Duration::from_millis(50);

/// Why a request to the ingress failed.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("no ingress answers on {}: {source}", socket.display())]
    Unreachable { socket: PathBuf, source: std::io::Error },
    #[error("the ingress broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the ingress did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It uses a newer table of the same boot: whoever sends this one is out of date.
    #[error("the ingress refused the snapshot: {detail}")]
    Older { detail: String },
    /// A successor is taking over: send it again in a moment.
    #[error("the ingress is busy: {detail}")]
    Busy { detail: String },
    #[error("the ingress answered {status}: {detail}")]
    Refused { status: u16, detail: String },
    #[error("the ingress answered in an unknown way: {0}")]
    Answer(#[from] serde_json::Error),
}

/// What became of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Applied {
    pub generation: u64,
    /// Routes whose old upstreams were kept against a suspect snapshot.
    pub held_routes: Vec<String>,
}

/// Client of one ingress; cheap to clone, connects anew for each request.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the control socket at this path (`RUN/ingress.sock`).
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Sends a snapshot; returns when every thread of the ingress uses it.
    pub async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<Applied, ClientError> {
        let body = serde_json::to_vec(snapshot)?;
        Ok(serde_json::from_slice(&self.request(Method::PUT, "/v1/snapshot", body).await?)?)
    }

    /// The table in use.
    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        Ok(serde_json::from_slice(&self.request(Method::GET, "/v1/snapshot", Vec::new()).await?)?)
    }

    /// What the ingress says about itself.
    pub async fn status(&self) -> Result<Status, ClientError> {
        Ok(serde_json::from_slice(&self.request(Method::GET, "/v1/status", Vec::new()).await?)?)
    }

    /// What whoever makes the tables must know all the time; with `counts`, what each upstream has answered.
    pub async fn pulse(&self, counts: bool) -> Result<Pulse, ClientError> {
        let path = if counts { "/v1/pulse?counts=1" } else { "/v1/pulse" };
        Ok(serde_json::from_slice(&self.request(Method::GET, path, Vec::new()).await?)?)
    }

    /// Statistics of all routes, or of one.
    pub async fn route_stats(&self, route: Option<&str>) -> Result<Vec<RouteReport>, ClientError> {
        let query = route.map_or(String::new(), |route| format!("?route={}", encode(route)));
        Ok(serde_json::from_slice(&self.request(Method::GET, &format!("/v1/routes/stats{query}"), Vec::new()).await?)?)
    }

    /// Routes without an upstream that clients ask for: returns when there is news after `number` (0 at first), or after
    /// `wait` (at most 25 s).
    pub async fn demand(&self, number: u64, wait: Duration) -> Result<Demands, ClientError> {
        let path = format!("/v1/demand?after={number}&wait_ms={}", wait.as_millis());
        Ok(serde_json::from_slice(&self.request(Method::GET, &path, Vec::new()).await?)?)
    }

    /// What a snapshot would change, without using it.
    pub async fn diff(&self, snapshot: &Snapshot) -> Result<Diff, ClientError> {
        let body = serde_json::to_vec(snapshot)?;
        Ok(serde_json::from_slice(&self.request(Method::POST, "/v1/diff", body).await?)?)
    }

    /// Takes an upstream out of traffic, in all routes or one; with `undo` puts it back.
    pub async fn drain_upstream(&self, id: &str, route: Option<&str>, undo: bool) -> Result<(), ClientError> {
        let route = route.map_or(String::new(), |route| format!("&route={}", encode(route)));
        let path = format!("/v1/upstreams/drain?id={}{route}&undo={undo}", encode(id));
        self.request(Method::POST, &path, Vec::new()).await.map(|_| ())
    }

    /// Which route would take a request.
    pub async fn find_route(&self, host: &str, path: &str, method: &str) -> Result<serde_json::Value, ClientError> {
        let query = format!("host={}&path={}&method={}", encode(host), encode(path), encode(method));
        let path = format!("/v1/routes/match?{query}");
        Ok(serde_json::from_slice(&self.request(Method::GET, &path, Vec::new()).await?)?)
    }

    /// Forgets `connections`, `passwords`, `limits`, `ejections`, or `all` of them.
    pub async fn purge(&self, what: &str) -> Result<(), ClientError> {
        self.request(Method::POST, &format!("/v1/purge?what={}", encode(what)), Vec::new()).await.map(|_| ())
    }

    /// What the process logs.
    pub async fn log_level(&self) -> Result<String, ClientError> {
        let answer: LogFilter = serde_json::from_slice(&self.request(Method::GET, "/v1/log-level", Vec::new()).await?)?;
        Ok(answer.filter)
    }

    /// Changes what the process logs: `info`, `info,wharf::ingress=debug`.
    pub async fn set_log_level(&self, filter: &str) -> Result<(), ClientError> {
        self.request(Method::PUT, "/v1/log-level", filter.as_bytes().to_vec()).await.map(|_| ())
    }

    /// Asks it to finish what is open and exit.
    pub async fn drain(&self) -> Result<(), ClientError> {
        self.request(Method::POST, "/v1/drain", Vec::new()).await.map(|_| ())
    }

    /// Waits until the ingress uses this generation (or a later one) of this boot.
    pub async fn wait_applied(&self, boot: &str, generation: u64, limit: Duration) -> Result<Status, ClientError> {
        let end = Instant::now() + limit;
        loop {
            match self.status().await {
                Ok(status) if status.boot == boot && status.generation >= generation => return Ok(status),
                Err(error) if Instant::now() >= end => return Err(error),
                Ok(_) if Instant::now() >= end => return Err(ClientError::TimedOut(limit)),
                _ => sleep(POLL).await,
            }
        }
    }

    async fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
        timeout(REQUEST_TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|_| ClientError::TimedOut(REQUEST_TIMEOUT))?
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("ingress"));
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        driving.abort();
        if status.is_success() {
            return Ok(bytes);
        }
        let detail = detail(&bytes);
        Err(match status {
            StatusCode::CONFLICT => ClientError::Older { detail },
            StatusCode::SERVICE_UNAVAILABLE => ClientError::Busy { detail },
            status => ClientError::Refused { status: status.as_u16(), detail },
        })
    }
}

#[derive(Deserialize)]
struct LogFilter {
    filter: String,
}

/// A value as it stands in a query.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |problem| problem.detail)
}
