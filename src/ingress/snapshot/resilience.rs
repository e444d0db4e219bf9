//! What protects a route's instances and its clients from trouble. Where the defaults come from: `docs/ingress.md`.

use serde::{Deserialize, Serialize};

/// How much a route matters when there is not enough for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    Low,
    #[default]
    Normal,
    High,
    Critical,
}

/// Further attempts, see [`super::Policy::retries`] for how many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Answers after which a repeatable request is tried elsewhere, where there is another upstream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_status: Vec<u16>,
    /// Retries may be this share of the requests of the last 10 s...
    pub budget_percent: u32,
    /// ... plus so many a second, so that quiet routes can retry too.
    pub budget_min_per_sec: u32,
    /// Time for one attempt to bring the head of a response; then the next one begins. 0 = as long as there is.
    pub per_try_timeout_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { on_status: Vec::new(), budget_percent: 20, budget_min_per_sec: 10, per_try_timeout_ms: 0 }
    }
}

/// Passive health: upstreams that answer badly are left out for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outlier {
    /// So many failures in a row (5xx, reset, time-out) eject; 0 = never.
    pub consecutive_failures: u32,
    /// Ejected when this share of at least `min_requests` in the last 10 s failed; 0 = never.
    pub failure_percent: u32,
    pub min_requests: u32,
    /// First ejection; the n-th lasts n times as long, at most `max_ejection_ms`.
    pub base_ejection_ms: u64,
    pub max_ejection_ms: u64,
    /// At most this share of a backend's upstreams is out at a time; never the last one.
    pub max_ejected_percent: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_percent: 50,
            min_requests: 20,
            base_ejection_ms: 30_000,
            max_ejection_ms: 300_000,
            max_ejected_percent: 50,
        }
    }
}

/// Active health: the ingress asks every upstream of the route by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActiveCheck {
    /// GET of this path must answer 2xx or 3xx; empty: connecting is enough.
    pub path: String,
    pub host: String,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// Good answers in a row until it takes requests again.
    pub healthy_after: u32,
    /// Bad answers in a row until it takes none.
    pub unhealthy_after: u32,
}

impl Default for ActiveCheck {
    fn default() -> Self {
        Self {
            path: "/".into(),
            host: String::new(),
            interval_ms: 5_000,
            timeout_ms: 2_000,
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}

/// A breaker for the route as a whole: while its upstreams mostly fail, requests are refused at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Opens when this share of at least `min_requests` in `window_ms` failed (5xx, reset, time-out) or was slow.
    pub failure_percent: u32,
    pub min_requests: u32,
    pub window_ms: u64,
    /// Answers that take longer count as failed; 0 = none do.
    pub slow_ms: u64,
    /// First time it stays open; doubles while probes fail, up to `max_open_ms`.
    pub open_ms: u64,
    pub max_open_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failure_percent: 50,
            min_requests: 20,
            window_ms: 10_000,
            slow_ms: 0,
            open_ms: 1_000,
            max_open_ms: 60_000,
        }
    }
}

/// How many requests may be at the upstreams at once. As it fills up, less critical requests are refused first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Concurrency {
    /// Routes with the same group share one limit (two routes to one service); empty = this route alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Fixed limit, or the upper end of the adaptive one.
    pub max: u32,
    /// The limit follows the latency that is measured (Gradient2); else it is `max`.
    pub adaptive: bool,
    /// Lower end of the adaptive limit.
    pub min: u32,
    /// Where the adaptive limit begins.
    pub initial: u32,
    /// The header `x-criticality` may lower a request's criticality below the route's.
    pub by_header: bool,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { group: String::new(), max: 200, adaptive: true, min: 4, initial: 20, by_header: false }
    }
}

/// Scale to zero: requests that find no upstream wait for one, and the control plane is told (`GET /v1/demand`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitingRoom {
    pub max_waiting: u32,
    pub max_wait_ms: u64,
}

impl Default for WaitingRoom {
    fn default() -> Self {
        Self { max_waiting: 100, max_wait_ms: 60_000 }
    }
}

/// Shedding while the whole node is saturated: CPU above the limit and requests piling up here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shedding {
    /// Busy share of all CPUs that counts as saturated; 0 = never shed.
    pub cpu_percent: u32,
    /// Requests in flight per CPU from which the ingress counts as a cause.
    pub in_flight_per_cpu: u32,
}

impl Default for Shedding {
    fn default() -> Self {
        Self { cpu_percent: 95, in_flight_per_cpu: 8 }
    }
}
