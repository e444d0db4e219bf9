//! The breaker of a route: while most requests fail, further ones are refused at once instead of waiting for another
//! failure. After a time one real request is let through as a probe; it closes the breaker or lengthens the pause.
//!
//! The window is a ring of ten buckets with exact counts, so that a burst of good answers cannot hide a failure before
//! it, as an average would.

use std::sync::{Mutex, PoisonError};

use crate::ingress::snapshot::Breaker as Rules;

const BUCKETS: usize = 10;
/// A probe that has not ended after this is given up, and the next one goes.
const PROBE_LIMIT_MS: u64 = 60_000;

/// What the breaker says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Let through to find out whether things are well again; its end must be told as such.
    Probe,
    Refuse {
        retry_after_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: u64,
        pause: u64,
    },
    /// A probe is on its way since then.
    Probing {
        since: u64,
        pause: u64,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    number: u64,
    all: u32,
    bad: u32,
}

/// The state machine. Pure: times and chance are arguments.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    ring: [Bucket; BUCKETS],
    /// How often it opened.
    pub trips: u64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { state: State::Closed, ring: [Bucket::default(); BUCKETS], trips: 0 }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether a request may go on.
    pub(crate) fn ask(&mut self, now_ms: u64) -> Verdict {
        match self.state {
            State::Closed => Verdict::Pass,
            State::Open { until, .. } if now_ms < until => Verdict::Refuse { retry_after_ms: until - now_ms },
            State::Probing { since, pause } if now_ms < since + PROBE_LIMIT_MS => {
                Verdict::Refuse { retry_after_ms: pause }
            }
            State::Open { pause, .. } | State::Probing { pause, .. } => {
                self.state = State::Probing { since: now_ms, pause };
                Verdict::Probe
            }
        }
    }

    /// A request that was let through has ended. `chance` in [0, 1) spreads the pauses of many ingresses.
    pub(crate) fn tell(&mut self, rules: &Rules, now_ms: u64, was_probe: bool, good: bool, chance: f64) {
        match self.state {
            State::Probing { .. } if was_probe && good => {
                self.state = State::Closed;
                self.ring = [Bucket::default(); BUCKETS];
            }
            State::Probing { pause, .. } if was_probe => self.open(rules, now_ms, pause.saturating_mul(2), chance),
            State::Closed => {
                let bucket = self.bucket(rules, now_ms);
                bucket.all += 1;
                bucket.bad += u32::from(!good);
                if !good && self.is_bad(rules, now_ms) {
                    self.open(rules, now_ms, rules.open_ms, chance);
                }
            }
            // Ended after the breaker had opened: it says nothing new.
            State::Open { .. } | State::Probing { .. } => {}
        }
    }

    /// The probe ended without an answer (its client left): the next request is one.
    pub(crate) fn abandon_probe(&mut self) {
        if let State::Probing { since, pause } = self.state {
            self.state = State::Open { until: since, pause };
        }
    }

    fn open(&mut self, rules: &Rules, now_ms: u64, pause: u64, chance: f64) {
        let pause = pause.clamp(1, rules.max_open_ms.max(1));
        // Up to half as long again, so that probes of several ingresses do not come together.
        let spread = (pause as f64 * 0.5 * chance) as u64;
        self.state = State::Open { until: now_ms + pause + spread, pause };
        self.trips += 1;
    }

    fn bucket(&mut self, rules: &Rules, now_ms: u64) -> &mut Bucket {
        let number = now_ms / width(rules);
        let bucket = &mut self.ring[number as usize % BUCKETS];
        if bucket.number != number {
            *bucket = Bucket { number, ..Bucket::default() };
        }
        bucket
    }

    fn is_bad(&self, rules: &Rules, now_ms: u64) -> bool {
        let oldest = (now_ms / width(rules) + 1).saturating_sub(BUCKETS as u64);
        let recent = || self.ring.iter().filter(|bucket| bucket.number >= oldest);
        let all: u64 = recent().map(|bucket| u64::from(bucket.all)).sum();
        let bad: u64 = recent().map(|bucket| u64::from(bucket.bad)).sum();
        all >= u64::from(rules.min_requests.max(1)) && bad * 100 >= all * u64::from(rules.failure_percent)
    }
}

fn width(rules: &Rules) -> u64 {
    (rules.window_ms / BUCKETS as u64).max(1)
}

/// The breaker of a route, shared by all threads.
#[derive(Debug)]
pub(crate) struct Breaker {
    pub rules: Rules,
    machine: Mutex<Machine>,
}

impl Breaker {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, machine: Mutex::new(Machine::new()) }
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        act(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the end of a request.
    pub(crate) fn tell(&self, now_ms: u64, was_probe: bool, status: u16, micros: u64, chance: f64) {
        let slow = self.rules.slow_ms > 0 && micros > self.rules.slow_ms * 1_000;
        self.with(|machine| machine.tell(&self.rules, now_ms, was_probe, status < 500 && !slow, chance));
    }
}
