//! What the control plane tells the ingress: one complete route table per message.
//!
//! A snapshot is never a difference. The writer numbers its snapshots within one `boot` (an id it makes at start);
//! the ingress refuses a generation older than the one it uses, so a late message can never move traffic backwards.
//! Fields this version does not know are ignored and every field has a default, so writer and reader may be of
//! different ages; `version` changes only when an old reader would misread a new table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod access;
mod edits;
mod matching;
mod resilience;
mod traffic;

pub use super::l4::model::{Listener, Rule, Tls, Transport};
pub use access::{Access, BasicAuth, BasicUser, ForwardAuth};
pub use edits::{Coding, Compression, HeaderEdits, PathRewrite, Redirect, Rewrite};
pub use matching::{Matching, PathMatch, ValueMatch};
pub use resilience::{ActiveCheck, Breaker, Concurrency, Criticality, Outlier, Retry, Shedding, WaitingRoom};
pub use traffic::{Algorithm, Backend, Balance, HashKey, Mirror, Pin, Sticky};

/// The snapshot format this build reads and writes.
pub const VERSION: u32 = 1;

/// A complete route table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Format version, see [`VERSION`].
    #[serde(default = "version")]
    pub version: u32,
    /// Id of the writer's epoch: generations are compared only within one boot.
    #[serde(default)]
    pub boot: String,
    /// Number of this table within its boot; grows by at least one with each change.
    #[serde(default)]
    pub generation: u64,
    /// The writer knows that its own view is unsure (the container engine did not answer, say). Routes that would
    /// lose their last upstream are then kept until the ingress finds by itself that the old upstreams are gone.
    #[serde(default)]
    pub suspect: bool,
    /// Settings of the whole data plane.
    #[serde(default)]
    pub settings: Settings,
    /// All routes, in any order.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Ports that are exposed as they are, beside HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Certificates for TLS, by server name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Answers to a certificate authority over plain HTTP (`http-01`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_challenges: Vec<HttpChallenge>,
    /// Answers to a certificate authority in the TLS handshake (`tls-alpn-01`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_challenges: Vec<Certificate>,
}

/// What is answered at `/.well-known/acme-challenge/TOKEN` of a host, before anything else is asked of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpChallenge {
    pub host: String,
    pub token: String,
    pub answer: String,
}

/// A certificate with its private key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Exact names, `*.name` (one label), or `*` for every name that has no other.
    pub names: Vec<String>,
    /// The chain in PEM, own certificate first.
    pub chain_pem: String,
    /// The private key in PEM. Never shown: the control socket leaves it out of what it answers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_pem: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

fn version() -> u32 {
    VERSION
}

/// Settings that hold for every connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Addresses or networks (`10.0.0.0/8`, `::1`) of proxies in front of us whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<String>,
    /// Addresses or networks of load balancers whose connections all begin with a PROXY header (version 1 or 2).
    pub proxy_protocol_from: Vec<String>,
    /// Open client connections, all threads together; more are closed on arrival. 0 = as many as file descriptors allow.
    pub max_connections: u32,
    /// Open connections of one client address.
    pub max_connections_per_address: u32,
    /// Port that HTTPS redirects point to.
    pub https_port: u16,
    /// How long an idle keep-alive connection of a client stays open.
    pub keep_alive_ms: u64,
    /// How long a client may take to send a complete request head once it began.
    pub head_timeout_ms: u64,
    /// Requests that an HTTP/2 client may have open at a time on one connection.
    pub max_streams: u32,
    /// Which requests are given up first when the node has too much to do.
    pub shedding: Shedding,
    /// Which requests have a line in the access log.
    pub access_log: AccessLog,
}

/// Which requests have a line in the access log. Counters count all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    #[default]
    All,
    /// Those answered with a status from 400 on, and those broken off.
    Errors,
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            proxy_protocol_from: Vec::new(),
            max_connections: 0,
            max_connections_per_address: 20_000,
            https_port: 443,
            keep_alive_ms: 75_000,
            head_timeout_ms: 15_000,
            max_streams: 128,
            shedding: Shedding::default(),
            access_log: AccessLog::default(),
        }
    }
}

/// One route: which requests it takes and who answers them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Unique and stable: statistics follow it from one snapshot to the next.
    pub id: String,
    /// Exact names (`shop.example.com`), wildcards (`*.example.com`, any depth) or `*` for every host.
    pub hosts: Vec<String>,
    /// Whole path segments: `/api` takes `/api` and `/api/x`, not `/apix`. Empty or `/` takes all.
    #[serde(default)]
    pub path_prefix: String,
    /// Who answers. May be empty, see [`Route::empty_reason`].
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// What the upstreams speak.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whose route this is, for logs and metrics.
    #[serde(default)]
    pub owner: Owner,
    /// Limits and deadlines.
    #[serde(default)]
    pub policy: Policy,
    /// When set, every request is answered with 503 and this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Why there is no upstream, shown on the error page: "scaled to 0", "the first deploy is running".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_reason: Option<String>,
    /// Conditions beside host and prefix. For the order in which routes are tried see `table`.
    #[serde(default, skip_serializing_if = "Matching::is_any")]
    pub matching: Matching,
    /// Traffic split; empty = all upstreams are one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub balance: Balance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub rewrite: Rewrite,
    /// Answers every request with a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub request_headers: HeaderEdits,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub response_headers: HeaderEdits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    #[serde(default, skip_serializing_if = "Access::is_open")]
    pub access: Access,
    /// Search engines are kept away: `X-Robots-Tag` on every answer, and a `robots.txt` that forbids all (previews).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noindex: bool,
    /// HTML for answers the ingress itself gives, by status (`"503"`), class (`"5xx"`), `"maintenance"` or `"*"`;
    /// `{status}`, `{title}`, `{detail}` and `{request_id}` are filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub error_pages: BTreeMap<String, String>,
    #[serde(default)]
    pub criticality: Criticality,
    /// Requests wait for an upstream while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_room: Option<WaitingRoom>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What upstreams speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge; gRPC servers do. Upgrades (WebSocket) still go over HTTP/1.1.
    H2c,
}

/// One instance that answers requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    /// Instance id, for logs and status.
    pub id: String,
    /// Where it listens.
    pub address: UpstreamAddress,
    /// Share of the traffic relative to the route's other upstreams; 0 takes none.
    #[serde(default = "one")]
    pub weight: u32,
    /// Gets no new requests; those in flight finish.
    #[serde(default)]
    pub draining: bool,
    /// Id of the backend it belongs to; empty where the route has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
}

fn one() -> u32 {
    1
}

/// Address of an upstream: `{"tcp": "10.0.0.2:8080"}` or `{"unix": "/run/wharf/portal.sock"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamAddress {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix stream socket; when it is down, connecting is retried (see [`Policy::connect_retry_ms`]).
    Unix(PathBuf),
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Names for logs and metrics; the ingress decides nothing by them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Owner {
    pub tenant: String,
    pub project: String,
    pub environment: String,
    pub service: String,
    pub revision: String,
}

/// Maintenance mode of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintenance {
    /// Shown to visitors; empty takes a neutral sentence.
    pub message: String,
    /// Sent as `Retry-After`.
    pub retry_after_secs: Option<u32>,
}

/// Limits and deadlines of a route. Times are in milliseconds and kept with a resolution of about 100 ms; 0 = no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Largest request body in bytes; `null` = no limit (git pushes).
    pub max_body: Option<u64>,
    /// One attempt to connect to an upstream.
    pub connect_timeout_ms: u64,
    /// From the request (or the last byte of its body) to the head of the response.
    pub response_timeout_ms: u64,
    /// Longest silence while a body is moving, either way.
    pub idle_timeout_ms: u64,
    /// Longest silence in a tunnel (WebSocket and other upgrades).
    pub tunnel_idle_timeout_ms: u64,
    /// Further attempts when an upstream fails before it answered and repeating is safe.
    pub retries: u32,
    /// Most requests in a time; `null` = no limit. Refused ones get 429.
    pub rate_limit: Option<RateLimit>,
    /// Plain HTTP requests are redirected to HTTPS.
    pub https_redirect: bool,
    /// `Strict-Transport-Security` with this age is added to answers over TLS; 0 = not.
    pub hsts_secs: u64,
    /// How long connecting is retried when nothing listens; unset: 5 s for Unix upstreams, 0 for TCP.
    pub connect_retry_ms: Option<u64>,
    /// From the request's arrival to the head of the response, all attempts together; 0 = no limit beyond the others.
    pub total_timeout_ms: u64,
    pub retry: Retry,
    /// Further rate limits beside `rate_limit`; a request must pass all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// `null` = upstreams are only avoided while they refuse connections.
    pub outlier: Option<Outlier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_check: Option<ActiveCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_body: Some(100 << 20),
            connect_timeout_ms: 5_000,
            response_timeout_ms: 60_000,
            idle_timeout_ms: 300_000,
            tunnel_idle_timeout_ms: 3_600_000,
            retries: 2,
            rate_limit: None,
            https_redirect: false,
            hsts_secs: 0,
            connect_retry_ms: None,
            total_timeout_ms: 0,
            retry: Retry::default(),
            rate_limits: Vec::new(),
            outlier: Some(Outlier::default()),
            active_check: None,
            breaker: None,
            concurrency: None,
        }
    }
}

/// A rate limit: `requests` per `window_ms`, evenly spaced, with up to `burst` at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// Told to clients in `RateLimit-Policy`; empty takes `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub requests: u32,
    pub window_ms: u64,
    pub burst: u32,
    pub key: RateKey,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { name: String::new(), requests: 600, window_ms: 60_000, burst: 100, key: RateKey::Address }
    }
}

/// Who shares a rate limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateKey {
    /// Each client address has its own.
    #[default]
    Address,
    /// All clients of the route together.
    Route,
    /// All routes of the route's tenant together; the limits must be the same in each.
    Tenant,
    /// Each value of this header has its own (an API key); requests without it count by address.
    Header(String),
}

impl Policy {
    pub(crate) fn connect_timeout(&self) -> Duration {
        limit(self.connect_timeout_ms)
    }
    pub(crate) fn response_timeout(&self) -> Duration {
        limit(self.response_timeout_ms)
    }
    pub(crate) fn idle_timeout(&self) -> Duration {
        limit(self.idle_timeout_ms)
    }
    pub(crate) fn tunnel_idle_timeout(&self) -> Duration {
        limit(self.tunnel_idle_timeout_ms)
    }
}

/// A time limit; 0 stands for one that is never reached.
fn limit(ms: u64) -> Duration {
    Duration::from_millis(if ms == 0 { u64::MAX } else { ms })
}
