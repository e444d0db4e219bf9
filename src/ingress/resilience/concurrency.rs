//! How many requests may be at the upstreams of a route (or a group of routes) at once, fixed or adaptive, and who is
//! refused first as that fills up.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::gradient::{Bounds, Gradient};
use crate::ingress::snapshot::{Concurrency, Criticality};

/// Share of the limit (in percent) open to the group's most critical routes, to those one step below, and so on.
const SHARES: [u32; 4] = [100, 80, 70, 60];
/// Latencies below this say nothing about queues.
const MIN_RTT_US: u64 = 100;

/// The limit of a group, shared by all threads.
#[derive(Debug)]
pub(crate) struct Limit {
    pub rules: Concurrency,
    in_flight: AtomicU32,
    limit: AtomicU32,
    /// The highest criticality among the group's routes.
    top: AtomicU8,
    gradient: Mutex<Gradient>,
}

impl Limit {
    pub(crate) fn new(rules: Concurrency) -> Self {
        let initial = if rules.adaptive { rules.initial.clamp(rules.min, rules.max) } else { rules.max };
        let gradient = Mutex::new(Gradient::new(f64::from(initial)));
        Self { rules, in_flight: AtomicU32::new(0), limit: AtomicU32::new(initial), top: AtomicU8::new(0), gradient }
    }

    /// A route of this criticality belongs to the group.
    pub(crate) fn joined_by(&self, criticality: Criticality) {
        self.top.fetch_max(criticality as u8, Relaxed);
    }

    pub(crate) fn current(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A place for a request of this criticality: how many were in flight with it, or `None` when it is refused.
    pub(crate) fn enter(&self, criticality: Criticality) -> Option<u32> {
        let share = share(self.current(), self.top.load(Relaxed), criticality);
        let taken = self.in_flight.fetch_update(Relaxed, Relaxed, |now| (now < share).then_some(now + 1));
        taken.ok().map(|before| before + 1)
    }

    /// Gives the place back; `answered` is the latency when an upstream answered.
    pub(crate) fn leave(&self, now_ms: u64, in_flight: u32, answered: Option<u64>) {
        self.in_flight.fetch_sub(1, Relaxed);
        let Some(micros) = answered.filter(|micros| self.rules.adaptive && *micros >= MIN_RTT_US) else { return };
        let bounds = Bounds { min: f64::from(self.rules.min), max: f64::from(self.rules.max) };
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = gradient.sample(bounds, now_ms, micros, in_flight) {
            self.limit.store(limit as u32, Relaxed);
        }
    }
}

/// The part of a limit that requests of a criticality may fill; never nothing.
pub(crate) fn share(limit: u32, top: u8, criticality: Criticality) -> u32 {
    let steps = top.saturating_sub(criticality as u8);
    (limit * SHARES[usize::from(steps).min(SHARES.len() - 1)] / 100).max(1)
}
