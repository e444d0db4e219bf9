//! Keeps asking the running instances, each at its own pace: often while it starts, seldom when it is healthy.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::handle::{Scheduler, lock};
use super::memory::ProbeTarget;
use crate::kernel::clock::Timestamp;

/// Probes at the same time.
const AT_ONCE: usize = 64;
/// Longest sleep between two looks at what is due.
const LONGEST_SLEEP_MS: i64 = 1_000;
/// Instances are asked in rounds, so that many of them do not make a look at all of them necessary for each: the rounds
/// are a fifth of an instance's interval apart, where that is a second or more.
const ROUNDS_PER_INTERVAL: i64 = 5;
const CALM_INTERVAL_MS: i64 = 1_000;
/// A refused connection is looked into this long after the start at the earliest, and this often.
const LOOK_CLOSER_AFTER_MS: i64 = 1_500;

/// When a run was asked last.
struct Asked {
    run: Timestamp,
    at: Timestamp,
    looked_closer_at: Timestamp,
    under_way: bool,
    /// The round of looking that found it last; what is not found any more is forgotten.
    seen: u64,
}

/// What one look at everything found.
struct Look {
    due: Vec<ProbeTarget>,
    /// When to look again.
    next: Timestamp,
}

impl Scheduler {
    /// Runs for ever.
    pub(super) async fn keep_probing(&self) {
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        let mut probes: JoinSet<String> = JoinSet::new();
        let mut waiting: VecDeque<(ProbeTarget, bool)> = VecDeque::new();
        for round in 0.. {
            let now = self.inner.parts.clock.now();
            let look = self.look_who_is_due(&mut asked, round, now);
            waiting.extend(look.due.into_iter().filter_map(|target| {
                let closer = asked.get_mut(&target.id)?.ask(&target, now);
                Some((target, closer))
            }));
            self.wait_for_round(&mut asked, &mut probes, &mut waiting, look.next).await;
        }
    }

    fn look_who_is_due(&self, asked: &mut BTreeMap<String, Asked>, round: u64, now: Timestamp) -> Look {
        let wish = Arc::clone(&lock(&self.inner.wish));
        let mut next = now.plus_ms(LONGEST_SLEEP_MS);
        let due = lock(&self.inner.memory).probe_targets(&wish.desired, |id, run, check, health| {
            if asked.get(id).is_none_or(|a| a.run != run) {
                asked.insert(id.to_owned(), Asked::never(run));
            }
            let Some(last) = asked.get_mut(id) else { return false };
            last.seen = round;
            let interval = health.interval_ms(check, now);
            let at = last.at.plus_ms(interval);
            let is_due = now >= at && !last.under_way;
            let again = if is_due || last.under_way { now.plus_ms(interval) } else { at };
            let calm = interval >= CALM_INTERVAL_MS;
            let rounded = if calm { again.max(now.plus_ms(interval / ROUNDS_PER_INTERVAL)) } else { again };
            next = next.min(rounded);
            is_due
        });
        asked.retain(|_, a| a.seen == round);
        Look { due, next }
    }

    /// Asks those that wait for a place, until it is time to look again or something may have changed.
    async fn wait_for_round(
        &self,
        asked: &mut BTreeMap<String, Asked>,
        probes: &mut JoinSet<String>,
        waiting: &mut VecDeque<(ProbeTarget, bool)>,
        next: Timestamp,
    ) {
        loop {
            while probes.len() < AT_ONCE
                && let Some((target, closer)) = waiting.pop_front()
            {
                let this = self.clone();
                probes.spawn(async move { this.probe(target, closer).await });
            }
            let wait = next.since_ms(self.inner.parts.clock.now()).max(1);
            tokio::select! {
                Some(done) = probes.join_next() => {
                    if let Ok(id) = done && let Some(last) = asked.get_mut(&id) {
                        last.under_way = false;
                    }
                }
                () = self.inner.probe_wake.notified() => return,
                () = tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(1))) => return,
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
        Self { run, at: long_ago, looked_closer_at: long_ago, under_way: false, seen: 0 }
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
