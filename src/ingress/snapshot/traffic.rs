//! Where the requests of a route go: split, pins, mirror, balancing.

use serde::{Deserialize, Serialize};

use super::matching::ValueMatch;

/// A group of upstreams that share a part of the traffic: a revision, or another service. Upstreams name their
/// backend; those that name none form a backend of their own with weight 1 only when the route lists no backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    pub id: String,
    /// Share relative to the route's other backends; 0 takes only pinned and mirrored requests.
    pub weight: u32,
    /// Requests that meet one of these always come here (a canary for testers).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
}

impl Default for Backend {
    fn default() -> Self {
        Self { id: String::new(), weight: 1, pins: Vec::new() }
    }
}

/// What pins a request to a backend: `{"header": {"name": "x-canary", "exact": "v2"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    Header(ValueMatch),
    Cookie(ValueMatch),
}

/// A property of the request that stands for its client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashKey {
    /// The client's address.
    #[default]
    Address,
    Header(String),
    Cookie(String),
}

/// How an upstream is chosen within its backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balance {
    pub algorithm: Algorithm,
    /// What consistent hashing hashes; requests without it are spread by chance.
    pub hash_by: HashKey,
    /// Consistent hashing passes an upstream over while it has more than this share (in percent) of the mean load.
    pub bounded_load_percent: u32,
    /// A client's later requests go to the upstream that had its first one, as long as that is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// A new upstream's share grows from a tenth to the whole over this time; 0 = at once.
    pub slow_start_ms: u64,
    /// The share of clients a backend gets is drawn per request; with a key, per client: the same client always meets
    /// the same backend while the weights stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_by: Option<HashKey>,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::PeakEwma,
            hash_by: HashKey::Address,
            bounded_load_percent: 150,
            sticky: None,
            slow_start_ms: 0,
            split_by: None,
        }
    }
}

/// Balancing algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Of two drawn by weight, the one with the lower expected latency times requests in flight.
    #[default]
    PeakEwma,
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest requests in flight per weight.
    LeastRequests,
    /// By a hash ring, so that a key stays with its upstream when others come and go.
    ConsistentHash,
}

/// Session affinity by a cookie of the ingress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sticky {
    pub cookie: String,
    /// `Max-Age` of the cookie; 0 = until the browser closes.
    pub max_age_secs: u64,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { cookie: "wharf_instance".into(), max_age_secs: 0 }
    }
}

/// A copy of requests goes to a backend whose answers are thrown away. Only requests whose body is at most 64 KiB and
/// complete are copied; copies over `max_in_flight` are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mirror {
    /// Id of one of the route's backends, usually of weight 0.
    pub backend: String,
    pub percent: f64,
    pub max_in_flight: u32,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { backend: String::new(), percent: 100.0, max_in_flight: 64 }
    }
}
