//! What the ingress says about itself; types shared by the control server and its client.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::histogram::{BUCKETS, Histogram, SCALE};
use super::stats::{RouteStats, UpstreamState};

/// Answer to `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    pub uptime_secs: u64,
    /// Boot and generation of the table in use.
    pub boot: String,
    pub generation: u64,
    /// Where plain HTTP is spoken.
    pub listening: Vec<SocketAddr>,
    /// Where HTTPS is spoken.
    pub listening_tls: Vec<SocketAddr>,
    /// A successor is taking over or connections are being drained.
    pub draining: bool,
    pub connections: Connections,
    pub requests: u64,
    /// Lines the access log had to drop.
    pub log_dropped: u64,
    /// Routes whose old upstreams are kept against a suspect snapshot.
    pub held_routes: Vec<String>,
    /// How much is refused because the node is saturated: 0 nothing, 1 all of low criticality, 2 also normal, 3 also high.
    pub shedding_level: f64,
    /// All upstreams of the table, and removed ones that still have requests in flight.
    pub upstreams: Vec<UpstreamStatus>,
    pub routes: Vec<RouteStatus>,
    /// Ports beside HTTP.
    pub listeners: Vec<ListenerStatus>,
}

pub use super::l4::stats::ListenerStatus;

/// Client connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    pub open: u32,
    pub accepted: u64,
    /// Closed on arrival because a limit was reached.
    pub turned_away: u64,
    /// Ended because what they sent was not a valid request head.
    pub refused: u64,
}

/// One upstream as this ingress sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamStatus {
    pub route: String,
    pub id: String,
    pub address: String,
    /// Requests (and tunnels) being served by it right now.
    pub in_flight: u32,
    pub requests: u64,
    /// Connection attempts that failed.
    pub connect_failures: u64,
    /// Unix time in ms when a request last ended here; 0 = never.
    pub last_used_ms: u64,
    /// It is in the table; otherwise it only finishes what it has.
    pub in_table: bool,
    pub draining: bool,
    /// Avoided for now because it refused connections or failed requests.
    pub ejected: bool,
    /// Times it was ejected for failing requests.
    pub ejections: u64,
    /// Attempts that went wrong: 5xx, resets, time-outs, refused connections.
    pub failures: u64,
    /// Left out because its active checks fail.
    pub checks_fail: bool,
    /// Taken out of traffic by an operator.
    pub drained: bool,
    /// Answers of the 5xx class.
    pub errors: u64,
    /// Time to the head of its responses.
    #[serde(skip_serializing_if = "Latency::is_empty")]
    pub latency: Latency,
}

/// Counters of one route since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteStatus {
    pub id: String,
    /// Answers by class: `[none, 1xx, 2xx, 3xx, 4xx, 5xx]`; none = the client left before an answer.
    pub classes: [u64; 6],
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub latency: Latency,
}

/// Base-2 exponential histogram of request durations in microseconds; bucket `offset + i` counts values in
/// `(2^((offset+i)/2^scale), 2^((offset+i+1)/2^scale)]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    pub scale: u32,
    pub offset: u32,
    pub counts: Vec<u64>,
    pub sum_us: u64,
}

/// Answer to `GET /v1/pulse`: what whoever makes the tables must know all the time, and no more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pulse {
    /// Boot and generation of the table in use.
    pub boot: String,
    pub generation: u64,
    /// Upstreams with requests under way; with `?counts=1` all that had any since the process started.
    pub upstreams: Vec<Beat>,
}

/// One upstream of one route. The counters are 0 unless they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    pub id: String,
    pub in_flight: u32,
    pub requests: u64,
    /// Answers of the 5xx class and requests that got none.
    pub errors: u64,
    #[serde(skip_serializing_if = "Latency::is_empty")]
    pub latency: Latency,
}

/// Gathers the pulse.
pub(crate) fn pulse(engine: &Engine, counts: bool) -> Pulse {
    let table = engine.table();
    let beat = |state: &UpstreamState| {
        let quiet = Beat { id: state.id.clone(), in_flight: state.in_flight(), ..Beat::default() };
        if !counts {
            return quiet;
        }
        Beat {
            requests: state.requests(),
            errors: errors(state) + state.failures(),
            latency: latency(state.answers().map(|a| &a.latency)),
            ..quiet
        }
    };
    let matters = |state: &UpstreamState| state.in_flight() > 0 || (counts && state.requests() + state.failures() > 0);
    let live = engine.live_upstreams();
    let upstreams = live.iter().filter(|state| matters(state)).map(|state| beat(state)).collect();
    Pulse { boot: table.snapshot.boot.clone(), generation: table.snapshot.generation, upstreams }
}

fn errors(state: &UpstreamState) -> u64 {
    state.answers().map(|a| a.errors.load(std::sync::atomic::Ordering::Relaxed)).sum()
}

/// Gathers the status; `draining` is known by the process.
pub(crate) fn gather(engine: &Engine, draining: bool) -> Status {
    let table = engine.table();
    let shared = &engine.shared;
    let now_ms = shared.started.elapsed().as_millis() as u64;
    let mut in_table = std::collections::HashMap::new();
    for route in &table.routes {
        for (upstream, state) in route.route.upstreams.iter().zip(&route.upstreams) {
            in_table.insert(state.serial, upstream.draining);
        }
    }
    in_table.extend(table.listeners.upstreams());
    let upstreams = engine
        .live_upstreams()
        .iter()
        .filter(|state| in_table.contains_key(&state.serial) || state.in_flight() > 0)
        .map(|state| UpstreamStatus {
            route: state.route.clone(),
            id: state.id.clone(),
            address: state.address.to_string(),
            in_flight: state.in_flight(),
            requests: state.requests(),
            connect_failures: state.failures(),
            last_used_ms: state.last_used_ms(),
            in_table: in_table.contains_key(&state.serial),
            draining: in_table.get(&state.serial).copied().unwrap_or(true),
            ejected: state.is_ejected(now_ms) || state.health.is_ejected(now_ms),
            ejections: state.health.ejections(),
            failures: state.bad_answers(),
            checks_fail: state.health.fails_checks(),
            drained: state.health.is_drained(),
            errors: errors(state),
            latency: latency(state.answers().map(|a| &a.latency)),
        })
        .collect();
    Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_secs: shared.started.elapsed().as_secs(),
        boot: table.snapshot.boot.clone(),
        generation: table.snapshot.generation,
        listening: engine.addresses.clone(),
        listening_tls: engine.tls_addresses.clone(),
        draining,
        connections: Connections {
            open: shared.open(),
            accepted: shared.accepted.sum(),
            turned_away: shared.turned_away.sum(),
            refused: shared.refused.sum(),
        },
        requests: shared.requests.sum(),
        log_dropped: shared.log.dropped(),
        held_routes: engine.held(),
        shedding_level: shared.shedding.get(),
        upstreams,
        listeners: engine.listeners(),
        routes: table.routes.iter().map(|route| route_status(&route.route.id, &route.stats)).collect(),
    }
}

fn route_status(id: &str, stats: &RouteStats) -> RouteStatus {
    use std::sync::atomic::Ordering::Relaxed;
    let mut status = RouteStatus { id: id.to_owned(), ..RouteStatus::default() };
    for shard in stats.shards() {
        for (sum, class) in status.classes.iter_mut().zip(&shard.classes) {
            *sum += class.load(Relaxed);
        }
        status.bytes_in += shard.bytes_in.load(Relaxed);
        status.bytes_out += shard.bytes_out.load(Relaxed);
    }
    status.latency = latency(stats.shards().map(|shard| &shard.latency));
    status
}

/// The sum of several threads' histograms.
fn latency<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Latency {
    let mut counts = [0u64; BUCKETS];
    let mut sum_us = 0;
    histograms.for_each(|histogram| histogram.add_to(&mut counts, &mut sum_us));
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let end = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
    Latency { scale: SCALE, offset: first as u32, counts: counts[first..end].to_vec(), sum_us }
}

impl Latency {
    fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The counts by the upper bound of their bucket in microseconds, ascending.
    #[must_use]
    pub fn bounds(&self) -> Vec<(u64, u64)> {
        let per_doubling = f64::from(1u32 << self.scale.min(20));
        let bound = |i: usize| (f64::from(self.offset) + i as f64 + 1.0) / per_doubling;
        let buckets = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        buckets.map(|(i, n)| (bound(i).exp2().ceil() as u64, *n)).collect()
    }
}
