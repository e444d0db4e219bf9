//! Shedding on a saturated node: a level between 0 and 3 rises while the CPUs are busy and requests pile up here, and
//! falls when they are not. Level 1 refuses all of `low`, 2 also `normal`, 3 also `high`; in between a share is refused.
//! `critical` is never shed.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::ingress::snapshot::{Criticality, Shedding};

/// The level rises by this each second the node is saturated...
const STEP_UP: f64 = 0.5;
/// ... and falls by this each second it is not: slower, so that it does not swing.
const STEP_DOWN: f64 = 0.125;
const MAX_LEVEL: f64 = 3.0;

/// One look at the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Busy share of all CPUs, 0 to 100.
    pub cpu_percent: f64,
    pub in_flight: u32,
    pub cpus: u32,
}

/// The level a second later.
pub(crate) fn next_level(rules: &Shedding, level: f64, load: Load) -> f64 {
    let busy = rules.cpu_percent > 0 && load.cpu_percent >= f64::from(rules.cpu_percent);
    let is_cause = load.in_flight >= rules.in_flight_per_cpu.saturating_mul(load.cpus).max(1);
    let step = if busy && is_cause { STEP_UP } else { -STEP_DOWN };
    (level + step).clamp(0.0, MAX_LEVEL)
}

/// Share of the requests of a criticality that is refused at a level.
pub(crate) fn refused_share(level: f64, criticality: Criticality) -> f64 {
    match criticality {
        Criticality::Critical => 0.0,
        lesser => (level - f64::from(lesser as u8)).clamp(0.0, 1.0),
    }
}

/// The level, in thousandths, as the worker threads read it.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU32);

impl Level {
    pub(crate) fn set(&self, level: f64) {
        self.0.store((level * 1_000.0) as u32, Relaxed);
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from(self.0.load(Relaxed)) / 1_000.0
    }

    /// Whether a request is refused; `chance` in [0, 1).
    pub(crate) fn refuses(&self, criticality: Criticality, chance: impl FnOnce() -> f64) -> bool {
        let level = self.0.load(Relaxed);
        level > 0 && chance() < refused_share(f64::from(level) / 1_000.0, criticality)
    }
}
