//! What the ingress remembers and counts about routes and upstreams, across snapshots.
//!
//! Each worker thread writes only its own shard, so counting costs no locked instruction and no shared cache line;
//! readers add the shards up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use super::histogram::Histogram;
use super::rate::Limiter;
use super::snapshot::{RateLimit, Upstream, UpstreamAddress};

/// First back-off of an upstream that refuses connections; doubles up to [`MAX_BACK_OFF_MS`].
const BACK_OFF_MS: u64 = 1_000;
const MAX_BACK_OFF_MS: u64 = 30_000;

/// Time constant of the latency average: Finagle's and Linkerd's default for peak EWMA.
const EWMA_DECAY_MS: f64 = 10_000.0;

/// A latency average fades while an upstream is not asked, so that one slow answer does not shut it out.
fn decayed(micros: u64, at_ms: u64, now_ms: u64) -> f64 {
    micros as f64 * kept(now_ms.saturating_sub(at_ms))
}

/// The share of an average that is left after so many milliseconds. Within one tick of the coarse clock, where most
/// requests are, nothing has to be computed.
fn kept(elapsed_ms: u64) -> f64 {
    if elapsed_ms == 0 { 1.0 } else { (-(elapsed_ms as f64) / EWMA_DECAY_MS).exp() }
}

/// Adds to a counter of which this thread is the only writer.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// Requests of one route as counted by one thread.
#[derive(Debug, Default)]
pub(crate) struct RouteShard {
    /// Answers by first digit of the status; index 0 holds requests that got no answer (the client went away).
    pub classes: [AtomicU64; 6],
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    /// From the complete request head to the end of the response.
    pub latency: Histogram,
}

/// Statistics of one route.
#[derive(Debug)]
pub(crate) struct RouteStats {
    shards: Box<[OnceLock<Box<RouteShard>>]>,
}

impl RouteStats {
    fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| OnceLock::new()).collect() }
    }

    /// Counts one finished request.
    pub(crate) fn record(&self, worker: usize, status: u16, bytes_in: u64, bytes_out: u64, micros: u64) {
        let shard = self.shards[worker].get_or_init(Box::default);
        let class = usize::from(status / 100).min(5);
        bump(&shard.classes[class], 1);
        bump(&shard.bytes_in, bytes_in);
        bump(&shard.bytes_out, bytes_out);
        shard.latency.record(micros);
    }

    /// The shards that were used so far.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &RouteShard> {
        self.shards.iter().filter_map(|shard| shard.get().map(AsRef::as_ref))
    }
}

/// Counters of one upstream as kept by one thread; padded so that threads do not share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct UpstreamShard {
    in_flight: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    last_used_ms: AtomicU64,
    /// Peak-sensitive moving average of the time to the response head in microseconds, and when it was updated.
    ewma_us: AtomicU64,
    ewma_at_ms: AtomicU64,
}

/// One upstream, alive as long as a table or a request uses it.
#[derive(Debug)]
pub(crate) struct UpstreamState {
    /// Unique within this process: the key of connection pools.
    pub serial: u64,
    pub route: String,
    pub id: String,
    pub address: UpstreamAddress,
    shards: Box<[UpstreamShard]>,
    /// Milliseconds of the process clock until which this upstream is avoided; 0 = not at all.
    ejected_until: AtomicU64,
    strikes: AtomicU32,
}

impl UpstreamState {
    /// A request was given to this upstream.
    pub(crate) fn begin(&self, worker: usize) {
        let shard = &self.shards[worker];
        shard.in_flight.store(shard.in_flight.load(Relaxed) + 1, Relaxed);
        bump(&shard.requests, 1);
    }

    /// The request is over.
    pub(crate) fn end(&self, worker: usize, wall_ms: u64) {
        let shard = &self.shards[worker];
        shard.in_flight.store(shard.in_flight.load(Relaxed).saturating_sub(1), Relaxed);
        shard.last_used_ms.store(wall_ms, Relaxed);
    }

    /// What a new request would cost here as far as this thread knows: the expected latency times the requests that
    /// would then be in flight. An upstream never asked costs nothing but its load.
    pub(crate) fn cost(&self, worker: usize, now_ms: u64) -> f64 {
        let shard = &self.shards[worker];
        let latency = decayed(shard.ewma_us.load(Relaxed), shard.ewma_at_ms.load(Relaxed), now_ms);
        (latency + 1.0) * f64::from(shard.in_flight.load(Relaxed) + 1)
    }

    /// Takes in a measured latency: a higher one counts at once, a lower one by and by.
    pub(crate) fn observe(&self, worker: usize, now_ms: u64, micros: u64) {
        let shard = &self.shards[worker];
        let old = decayed(shard.ewma_us.load(Relaxed), shard.ewma_at_ms.load(Relaxed), now_ms);
        let keep = kept(now_ms.saturating_sub(shard.ewma_at_ms.load(Relaxed)));
        let new = if micros as f64 > old { micros as f64 } else { micros as f64 * (1.0 - keep) + old * keep };
        shard.ewma_us.store(new as u64, Relaxed);
        shard.ewma_at_ms.store(now_ms, Relaxed);
    }

    /// Connecting failed: avoid it for a while, longer each time.
    pub(crate) fn eject(&self, worker: usize, now_ms: u64) {
        bump(&self.shards[worker].failures, 1);
        let strikes = self.strikes.fetch_add(1, Relaxed).min(5);
        self.ejected_until.store(now_ms + (BACK_OFF_MS << strikes).min(MAX_BACK_OFF_MS), Relaxed);
    }

    /// It answered: all is forgiven.
    pub(crate) fn forgive(&self) {
        if self.strikes.load(Relaxed) != 0 {
            self.strikes.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
        }
    }

    /// Whether it is avoided at this time.
    pub(crate) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until.load(Relaxed) > now_ms
    }

    /// Requests in flight, all threads.
    pub(crate) fn in_flight(&self) -> u32 {
        self.shards.iter().map(|shard| shard.in_flight.load(Relaxed)).sum()
    }

    /// Requests given to it so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shards.iter().map(|shard| shard.requests.load(Relaxed)).sum()
    }

    /// Failed connection attempts so far.
    pub(crate) fn failures(&self) -> u64 {
        self.shards.iter().map(|shard| shard.failures.load(Relaxed)).sum()
    }

    /// Unix time in ms when a request last ended here; 0 = never.
    pub(crate) fn last_used_ms(&self) -> u64 {
        self.shards.iter().map(|shard| shard.last_used_ms.load(Relaxed)).max().unwrap_or(0)
    }
}

/// Finds the states of routes and upstreams again when a new snapshot comes.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: usize,
    next_serial: u64,
    routes: HashMap<String, Weak<RouteStats>>,
    upstreams: HashMap<(String, String, UpstreamAddress), Weak<UpstreamState>>,
    limiters: HashMap<String, Weak<Limiter>>,
    pub listeners: super::l4::table::Memory,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            next_serial: 1,
            routes: HashMap::new(),
            upstreams: HashMap::new(),
            limiters: HashMap::new(),
            listeners: super::l4::table::Memory::default(),
        }
    }

    pub(crate) fn route(&mut self, id: &str) -> Arc<RouteStats> {
        if let Some(stats) = self.routes.get(id).and_then(Weak::upgrade) {
            return stats;
        }
        let stats = Arc::new(RouteStats::new(self.workers));
        self.routes.insert(id.to_owned(), Arc::downgrade(&stats));
        stats
    }

    /// The route's limiter; a changed limit starts anew.
    pub(crate) fn limiter(&mut self, route: &str, limit: &RateLimit) -> Arc<Limiter> {
        if let Some(limiter) = self.limiters.get(route).and_then(Weak::upgrade).filter(|known| known.limit == *limit) {
            return limiter;
        }
        let limiter = Arc::new(Limiter::new(limit.clone()));
        self.limiters.insert(route.to_owned(), Arc::downgrade(&limiter));
        limiter
    }

    pub(crate) fn upstream(&mut self, route: &str, upstream: &Upstream) -> Arc<UpstreamState> {
        let key = (route.to_owned(), upstream.id.clone(), upstream.address.clone());
        if let Some(state) = self.upstreams.get(&key).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(UpstreamState {
            serial: self.next_serial,
            route: key.0.clone(),
            id: key.1.clone(),
            address: key.2.clone(),
            shards: (0..self.workers).map(|_| UpstreamShard::default()).collect(),
            ejected_until: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
        });
        self.next_serial += 1;
        self.upstreams.insert(key, Arc::downgrade(&state));
        state
    }

    /// All upstreams still used by a table or by a request; forgets the others.
    pub(crate) fn live_upstreams(&mut self) -> Vec<Arc<UpstreamState>> {
        self.routes.retain(|_, stats| stats.strong_count() > 0);
        self.limiters.retain(|_, limiter| limiter.strong_count() > 0);
        self.upstreams.retain(|_, state| state.strong_count() > 0);
        let mut live: Vec<_> = self.upstreams.values().filter_map(Weak::upgrade).collect();
        live.sort_by_key(|state| state.serial);
        live
    }
}
