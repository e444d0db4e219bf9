//! What the control socket answers beside [`Status`](super::status::Status); shared by server and client.

use serde::{Deserialize, Serialize};

/// Answer to `GET /v1/demand`: routes without an upstream that clients are asking for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demands {
    /// Ask for news after this number next time.
    pub number: u64,
    pub routes: Vec<Demand>,
}

/// One wanted route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demand {
    pub route: String,
    /// The owner's service, to spare a look-up.
    pub service: String,
    /// Requests held right now.
    pub waiting: u32,
    /// Requests turned away because the waiting room was full.
    pub refused: u64,
    /// Unix times in ms: when the first request came that found no upstream, and the last.
    pub since_unix_ms: i64,
    pub last_unix_ms: i64,
}

/// Answer to `POST /v1/diff`: what a posted table would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Diff {
    pub settings_changed: bool,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<RouteChange>,
    pub unchanged: usize,
}

/// How one route would change: the paths of the fields, as `policy.retries: 2 -> 3`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteChange {
    pub route: String,
    pub fields: Vec<String>,
}

/// Answer to `GET /v1/routes/stats`: one route since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteReport {
    pub route: String,
    pub service: String,
    /// Answers by class: `[none, 1xx, 2xx, 3xx, 4xx, 5xx]`.
    pub classes: [u64; 6],
    pub latency: Quantiles,
    pub events: Events,
    /// Open breaker, when the route has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyReport>,
    /// By backend, where the route has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendReport>,
}

/// Upper bounds of latency quantiles in microseconds (known to within 19 %); 0 without requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantiles {
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    pub mean_us: u64,
}

/// Requests of one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendReport {
    pub backend: String,
    pub classes: [u64; 6],
    pub latency: Quantiles,
}

/// State of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerReport {
    pub open: bool,
    pub trips: u64,
}

/// State of a concurrency limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConcurrencyReport {
    pub limit: u32,
    pub in_flight: u32,
}

/// What the functions of a route did, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Attempts after the first.
    pub retries: u64,
    /// Retries that the budget did not allow.
    pub retries_refused: u64,
    /// Upstreams ejected for their answers.
    pub ejections: u64,
    /// Refused by a rate limit.
    pub limited: u64,
    /// Refused by the open breaker.
    pub broken: u64,
    /// Refused by the concurrency limit, or shed because the node was saturated.
    pub shed: u64,
    /// Refused by address lists, basic auth or forward auth.
    pub denied: u64,
    /// Held in the waiting room, and turned away from it.
    pub waited: u64,
    pub waits_refused: u64,
    /// Copies sent to the mirror, and left out because too many were on their way.
    pub mirrored: u64,
    pub mirrors_dropped: u64,
    /// Answers compressed.
    pub compressed: u64,
}
