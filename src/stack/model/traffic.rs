//! What callers may expect of a service, what its routes let in, and how calls to it are kept from failing.

use serde::{Deserialize, Serialize};

use super::is_default;

/// A service level objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Share of good requests, in hundred-thousandths: 99 900 is 99.9 %.
    pub availability: u32,
    /// How fast they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyObjective>,
    /// Days the error budget is counted over.
    pub window_days: u16,
}

/// So much of the requests within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyObjective {
    /// Share of the requests, in hundred-thousandths: 95 000 is 95 %.
    pub share: u32,
    /// Milliseconds.
    pub ms: u32,
}

/// What the routes of a service let in. Absent: the platform's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Requests per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateLimit>,
    /// Requests under way at the same time, per instance; more wait for a short time, then get 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Bytes a request body may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// Milliseconds to connect to an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u32>,
    /// Milliseconds until an answer begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u32>,
    /// Milliseconds without a byte on an open connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u32>,
}

/// Requests per time, counted by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// So many requests …
    pub requests: u32,
    /// … in so many seconds.
    pub per_seconds: u32,
    /// So many may come at once. Absent: as `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Counted apart for each of these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: RateKey,
}

/// What requests are counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateKey {
    /// The caller's address.
    #[default]
    Address,
    /// The whole route.
    Route,
    /// The value of this header.
    Header(String),
}

/// How calls to a service are kept from failing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resilience {
    /// Repeats of requests that failed and may be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Refuses at once while the service fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Leaves out single instances that fail more than the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierEjection>,
}

/// Repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Tries beyond the first.
    pub attempts: u32,
    /// Repeats as a share of all requests, in per cent: a budget that keeps repeats from making an outage worse.
    pub budget_percent: u32,
    /// Milliseconds one try may take. Absent: the request time-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_timeout_ms: Option<u32>,
}

/// A circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Per cent of failures at which it opens.
    pub error_percent: u32,
    /// Requests in the window before it may open.
    pub min_requests: u32,
    /// Seconds looked at.
    pub window_seconds: u32,
    /// Seconds it stays open before one request tries again.
    pub open_seconds: u32,
}

/// Leaving out single instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierEjection {
    /// Failures in a row.
    pub failures: u32,
    /// Seconds it is left out the first time; grows with each time.
    pub eject_seconds: u32,
    /// Per cent of the instances that may be left out at the same time.
    pub max_percent: u32,
}
