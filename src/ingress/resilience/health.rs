//! The health of one upstream as the ingress sees it, and passive outlier ejection.
//!
//! Three reasons keep an upstream out, each with its own end: it was ejected for its answers (until a time), its
//! active checks fail (until they pass), or an operator drained it (until that is taken back). Refused connections are
//! a fourth, kept beside the counters of [`UpstreamState`](crate::ingress::stats::UpstreamState).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::ingress::snapshot::Outlier;

/// Shared by all threads. A healthy upstream is only read.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures in a row.
    streak: AtomicU32,
    /// Ejections that are not yet forgotten; each makes the next longer.
    times_ejected: AtomicU32,
    /// All ejections, for statistics.
    ejections: AtomicU64,
    /// Milliseconds of the process clock.
    ejected_until: AtomicU64,
    checks_fail: AtomicBool,
    drained: AtomicBool,
    /// When it began to take requests (again): slow start counts from here.
    joined_ms: AtomicU64,
}

impl Health {
    pub(crate) fn joined_at(now_ms: u64) -> Self {
        Self { joined_ms: AtomicU64::new(now_ms), ..Self::default() }
    }

    /// Takes requests as far as its answers and checks go.
    pub(crate) fn is_good(&self, now_ms: u64) -> bool {
        self.ejected_until.load(Relaxed) <= now_ms && !self.checks_fail.load(Relaxed)
    }

    pub(crate) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until.load(Relaxed) > now_ms
    }

    pub(crate) fn fails_checks(&self) -> bool {
        self.checks_fail.load(Relaxed)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// An operator takes it out of traffic or puts it back.
    pub(crate) fn set_drained(&self, drained: bool) {
        self.drained.store(drained, Relaxed);
    }

    /// The verdict of the active checks; coming back begins slowly.
    pub(crate) fn set_checks_fail(&self, fail: bool, now_ms: u64) {
        if self.checks_fail.swap(fail, Relaxed) && !fail {
            self.joined_ms.store(now_ms, Relaxed);
        }
    }

    /// A good answer ends a row of failures.
    pub(crate) fn succeeded(&self) {
        if self.streak.load(Relaxed) != 0 {
            self.streak.store(0, Relaxed);
        }
    }

    /// A failure; `true` when the row is now long enough to eject.
    pub(crate) fn failed(&self, rules: &Outlier) -> bool {
        let streak = self.streak.fetch_add(1, Relaxed) + 1;
        rules.consecutive_failures > 0 && streak >= rules.consecutive_failures
    }

    /// Leaves it out for a while, longer each time.
    pub(crate) fn eject(&self, rules: &Outlier, now_ms: u64) {
        let times = self.times_ejected.fetch_add(1, Relaxed) + 1;
        let length = ejection_ms(rules, times);
        self.streak.store(0, Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        self.ejected_until.store(now_ms.saturating_add(length), Relaxed);
        self.joined_ms.store(now_ms.saturating_add(length), Relaxed);
    }

    /// Called now and then: a time without ejection makes the next one shorter again.
    pub(crate) fn forget_one_ejection(&self, now_ms: u64) {
        if !self.is_ejected(now_ms) {
            let _ = self.times_ejected.fetch_update(Relaxed, Relaxed, |times| times.checked_sub(1));
        }
    }

    /// All is forgiven, by hand.
    pub(crate) fn reset(&self) {
        self.streak.store(0, Relaxed);
        self.times_ejected.store(0, Relaxed);
        self.ejected_until.store(0, Relaxed);
    }

    /// Thousandths of its weight that it gets: from 100 when it joins to 1000 after `slow_start_ms`.
    pub(crate) fn share(&self, slow_start_ms: u64, now_ms: u64) -> u64 {
        if slow_start_ms == 0 {
            return 1_000;
        }
        let age = now_ms.saturating_sub(self.joined_ms.load(Relaxed));
        (age.saturating_mul(1_000) / slow_start_ms).clamp(100, 1_000)
    }
}

/// The length of the n-th ejection in a row.
pub(crate) fn ejection_ms(rules: &Outlier, times: u32) -> u64 {
    rules.base_ejection_ms.saturating_mul(u64::from(times)).min(rules.max_ejection_ms.max(rules.base_ejection_ms))
}

/// Whether one more of `all` upstreams may be out when `out` are already: never more than the share, never all.
pub(crate) fn may_eject(rules: &Outlier, out: usize, all: usize) -> bool {
    let then = out + 1;
    then < all && then * 100 <= all * rules.max_ejected_percent as usize
}
