//! Keeps asking the running instances, each at its own pace: often while it starts, seldom when it is healthy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::handle::{Scheduler, lock};
use super::memory::ProbeTarget;
use crate::kernel::clock::Timestamp;
use crate::stack::Protocol;

/// Probes at the same time.
const AT_ONCE: usize = 64;
/// Longest sleep between two looks at what is due.
const LONGEST_SLEEP_MS: i64 = 1_000;
/// A refused connection is looked into this long after the start at the earliest, and this often.
const LOOK_CLOSER_AFTER_MS: i64 = 1_500;

/// When a run was asked last.
struct Asked {
    run: Timestamp,
    at: Timestamp,
    looked_closer_at: Timestamp,
    under_way: bool,
}

impl Scheduler {
    /// Runs for ever.
    pub(super) async fn keep_probing(&self) {
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        let mut probes: JoinSet<String> = JoinSet::new();
        loop {
            let now = self.inner.parts.clock.now();
            let wish = Arc::clone(&lock(&self.inner.wish));
            let targets = lock(&self.inner.memory).probe_targets(&wish.desired);
            asked.retain(|id, a| targets.iter().any(|t| t.id == *id && t.run == a.run));
            let mut sleep_ms = LONGEST_SLEEP_MS;
            for target in targets.into_iter().filter(|t| t.check.protocol != Protocol::Process) {
                let last = asked.entry(target.id.clone()).or_insert_with(|| Asked::never(target.run));
                let due = last.at.plus_ms(target.health.interval_ms(&target.check, now));
                if last.under_way || (now >= due && probes.len() >= AT_ONCE) {
                    continue;
                }
                if now < due {
                    sleep_ms = sleep_ms.min(due.since_ms(now));
                    continue;
                }
                let closer = last.ask(&target, now);
                let this = self.clone();
                probes.spawn(async move { this.probe(target, closer).await });
            }
            let sleep = Duration::from_millis(u64::try_from(sleep_ms.max(1)).unwrap_or(1));
            tokio::select! {
                Some(done) = probes.join_next() => {
                    if let Ok(id) = done && let Some(last) = asked.get_mut(&id) {
                        last.under_way = false;
                    }
                }
                () = self.inner.probe_wake.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    async fn probe(&self, target: ProbeTarget, look_closer: bool) -> String {
        let result = self.inner.ask.ask(&target, look_closer).await;
        let now = self.inner.parts.clock.now();
        let wish = Arc::clone(&lock(&self.inner.wish));
        let changed = lock(&self.inner.memory).probed(&wish.desired, &target.id, target.run, result, now);
        if changed {
            self.nudge();
        }
        target.id
    }
}

impl Asked {
    fn never(run: Timestamp) -> Self {
        let long_ago = Timestamp(i64::MIN / 2);
        Self { run, at: long_ago, looked_closer_at: long_ago, under_way: false }
    }

    /// Notes that it is being asked; says whether a refusal may be looked into.
    fn ask(&mut self, target: &ProbeTarget, now: Timestamp) -> bool {
        self.at = now;
        self.under_way = true;
        let misplaced = target.health.misplaced_since.is_some();
        let old_enough = now.since_ms(target.health.watched_since) >= LOOK_CLOSER_AFTER_MS;
        // One that was found misplaced is looked into every time, or the finding would be lost in between.
        let closer = misplaced || (old_enough && now.since_ms(self.looked_closer_at) >= LOOK_CLOSER_AFTER_MS);
        if closer {
            self.looked_closer_at = now;
        }
        closer
    }
}
