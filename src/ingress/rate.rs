//! Rate limits by the generic cell rate algorithm (GCRA): one number per key says when the next request would be due
//! if all came evenly spaced; a request is let through while that is no further ahead than the burst allows.
//!
//! Shared by all threads, so the limit is exact; only routes that have a limit pay for it. Clients are told by the
//! header fields of the IETF's HTTPAPI working group, `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::snapshot::{RateKey, RateLimit};
use super::view::RequestView;

/// Keys remembered per limit. When full, those whose allowance is whole again are forgotten; if there is none,
/// new keys share one entry, so that a flood of addresses cannot use up memory nor escape the limit.
const MAX_KEYS: usize = 50_000;
/// The entry of requests that have no key of their own.
const SHARED: u64 = 0;

/// One limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub limit: RateLimit,
    /// `RateLimit-Policy` for it.
    pub policy: String,
    start: Instant,
    /// Keys by a hash that differs in each process, so that nobody can choose keys that meet.
    hasher: RandomState,
    /// Theoretical arrival time of the next request by key, in microseconds since `start`.
    due: Mutex<HashMap<u64, u64>>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Microseconds until the next one would be let through; `None`: this one was.
    pub wait_us: Option<u64>,
    /// Requests that would be let through right now.
    pub remaining: u64,
    /// Microseconds until the allowance is whole again.
    pub reset_us: u64,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let name = if limit.name.is_empty() { "default" } else { &limit.name };
        let policy = format!("\"{name}\";q={};w={}", limit.requests, limit.window_ms.div_ceil(1_000));
        Self { limit, policy, start: Instant::now(), hasher: RandomState::new(), due: Mutex::default() }
    }

    /// Whose allowance a request uses.
    pub(crate) fn key(&self, request: &dyn RequestView, client: impl FnOnce() -> IpAddr) -> u64 {
        let value = match &self.limit.key {
            RateKey::Route | RateKey::Tenant => return SHARED,
            RateKey::Address => None,
            RateKey::Header(name) => request.header(name, 0),
        };
        match value {
            Some(value) => self.hasher.hash_one(value),
            // The host part of an IPv6 address is the client's to choose.
            None => match client() {
                IpAddr::V4(address) => self.hasher.hash_one(address.octets()),
                IpAddr::V6(address) => self.hasher.hash_one(&address.octets()[..8]),
            },
        }
    }

    /// Counts a request against the limit.
    pub(crate) fn take(&self, key: u64, now: Instant) -> Taken {
        let now = now.saturating_duration_since(self.start).as_micros() as u64;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MAX_KEYS && !due.contains_key(&key) {
            due.retain(|_, due| *due > now);
        }
        let key = if due.len() >= MAX_KEYS && !due.contains_key(&key) { SHARED } else { key };
        let entry = due.entry(key).or_insert(0);
        let (next, answer) = gcra(*entry, now, &self.limit);
        *entry = next;
        Taken {
            wait_us: answer.err(),
            remaining: remaining(next, now, &self.limit),
            reset_us: next.saturating_sub(now),
        }
    }

    /// `RateLimit` for what became of a request.
    pub(crate) fn tell(&self, taken: Taken) -> String {
        let name = if self.limit.name.is_empty() { "default" } else { &self.limit.name };
        format!("\"{name}\";r={};t={}", taken.remaining, taken.reset_us.div_ceil(1_000_000))
    }

    /// Everybody has the whole allowance again.
    pub(crate) fn reset(&self) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Microseconds between two requests, and how far ahead of them a burst may be.
fn spacing(limit: &RateLimit) -> (u64, u64) {
    let interval = (limit.window_ms.saturating_mul(1000) / u64::from(limit.requests.max(1))).max(1);
    (interval, interval.saturating_mul(u64::from(limit.burst.max(1) - 1)))
}

/// The decision itself: the new due time, and the wait when the request is refused.
pub(crate) fn gcra(due: u64, now: u64, limit: &RateLimit) -> (u64, Result<(), u64>) {
    let (interval, tolerance) = spacing(limit);
    let earliest = due.saturating_sub(tolerance);
    if now < earliest {
        return (due, Err(earliest - now));
    }
    (due.max(now) + interval, Ok(()))
}

/// How many requests would be let through at this moment.
pub(crate) fn remaining(due: u64, now: u64, limit: &RateLimit) -> u64 {
    let (interval, tolerance) = spacing(limit);
    match (now + tolerance).checked_sub(due.max(now)) {
        Some(slack) => slack / interval + 1,
        None => 0,
    }
}
