//! Rate limits by the generic cell rate algorithm (GCRA): one number per key says when the next request would be due
//! if all came evenly spaced; a request is let through while that is no further ahead than the burst allows.
//!
//! Shared by all threads, so the limit is exact; only routes that have a limit pay for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::snapshot::{RateKey, RateLimit};

/// Addresses remembered per route. When full, those whose allowance is whole again are forgotten; if there is none,
/// new addresses share one entry, so that a flood of addresses cannot use up memory nor escape the limit.
const MAX_KEYS: usize = 50_000;

/// The limiter of one route.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub limit: RateLimit,
    start: Instant,
    /// Theoretical arrival time of the next request by key, in microseconds since `start`.
    due: Mutex<HashMap<Option<IpAddr>, u64>>,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, start: Instant::now(), due: Mutex::default() }
    }

    /// Lets a request through, or says after how many microseconds the next one would be.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), u64> {
        let now = now.saturating_duration_since(self.start).as_micros() as u64;
        let key = match self.limit.key {
            RateKey::Address => Some(address),
            RateKey::Route => None,
        };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MAX_KEYS && !due.contains_key(&key) {
            due.retain(|_, due| *due > now);
        }
        let key = if due.len() >= MAX_KEYS && !due.contains_key(&key) { None } else { key };
        let entry = due.entry(key).or_insert(0);
        let (next, answer) = gcra(*entry, now, &self.limit);
        *entry = next;
        answer
    }
}

/// The decision itself: the new due time, and the wait when the request is refused.
pub(crate) fn gcra(due: u64, now: u64, limit: &RateLimit) -> (u64, Result<(), u64>) {
    let interval = limit.window_ms.saturating_mul(1000) / u64::from(limit.requests.max(1));
    let tolerance = interval.saturating_mul(u64::from(limit.burst.max(1) - 1));
    let earliest = due.saturating_sub(tolerance);
    if now < earliest {
        return (due, Err(earliest - now));
    }
    (due.max(now) + interval, Ok(()))
}
