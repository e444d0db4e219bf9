//! Rolling: old instances leave as new ones have passed, and never more than may be missing. The same rule, with old and
//! new exchanged, takes a failed version back.

use std::collections::BTreeSet;

use super::course::Pace;
use super::division::Keep;
use super::scene::{Condition, Scene, Seat};
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::scheduler::model::{DesiredEnvironment, Release, Target};
use crate::scheduler::policy::planted;
use crate::stack::Service;

/// The instances of one version of a service.
struct Side<'a, 'b> {
    set: &'b [Seat<'a>],
    service: &'a Service,
    wanted: u32,
}

/// A service in two versions.
pub(super) struct Sides<'a, 'b> {
    old: Side<'a, 'b>,
    new: Side<'a, 'b>,
}

/// How one instance stands, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Counts as there.
    Good,
    /// Healthy, but not for long enough, or missing from the engine's newest list.
    Nearly,
    /// On its way.
    Coming,
    Bad,
}

impl<'a, 'b> Sides<'a, 'b> {
    /// Both versions of a service that both releases have.
    pub(super) fn of(
        scene: &'b Scene<'a>,
        desired: &'a DesiredEnvironment,
        serving: &'a Release,
        target: &'a Target,
        name: &ServiceName,
    ) -> Self {
        let side = |release: &'a Release| {
            let service = &release.stack.services[name];
            Side { set: scene.set(release, name), service, wanted: desired.replicas(name, service) }
        };
        Self { old: side(serving), new: side(&target.release) }
    }

    /// The old instances that shall still be there.
    pub(super) fn keep_old(&self, pace: &Pace, scene: &Scene<'a>, target: &Target) -> Keep {
        if target.progress.withdrawn.is_some() {
            return self.old.grow(self.new.left(&self.old, pace, scene), pace, true);
        }
        let left = self.old.left(&self.new, pace, scene);
        if left >= self.old.wanted { Keep::All } else { Keep::Some(self.old.best(left, scene)) }
    }

    /// The new instances that may be there by now.
    pub(super) fn keep_new(&self, pace: &Pace, scene: &Scene<'a>, target: &Target) -> Keep {
        if target.progress.withdrawn.is_some() {
            return Keep::Some(self.new.best(self.new.left(&self.old, pace, scene), scene));
        }
        let may_grow = target.progress.paused.is_none() && self.new.has_rested(pace, scene);
        self.new.grow(self.old.left(&self.new, pace, scene), pace, may_grow)
    }
}

impl<'a> Side<'a, '_> {
    /// How one instance counts, when it must have been healthy for so long.
    fn rank(&self, slot: u32, settle_ms: i64, scene: &Scene<'a>) -> Rank {
        match scene.condition(self.set, slot, self.service) {
            Condition::Healthy { seat } if !seat.is_doubted() => {
                let settled = healthy_since(seat).is_some_and(|at| scene.now.since_ms(at) >= settle_ms);
                if settled || settle_ms == 0 { Rank::Good } else { Rank::Nearly }
            }
            Condition::Healthy { .. } => Rank::Nearly,
            Condition::Starting { .. } => Rank::Coming,
            _ => Rank::Bad,
        }
    }

    fn good(&self, settle_ms: i64, scene: &Scene<'a>) -> u32 {
        let good = (1..=self.wanted).filter(|slot| self.rank(*slot, settle_ms, scene) == Rank::Good).count();
        u32::try_from(good).unwrap_or(u32::MAX)
    }

    /// How many of this side are still needed while `next` takes its place.
    fn left(&self, next: &Self, pace: &Pace, scene: &Scene<'a>) -> u32 {
        let there = next.good(pace.settle_ms, scene);
        if there >= next.wanted || (planted!(scene.policy, BelowMinimum) && there > 0) {
            return 0;
        }
        self.wanted.min(next.wanted).saturating_sub(pace.unavailable).saturating_sub(there)
    }

    /// The best instances, as many as are left.
    fn best(&self, left: u32, scene: &Scene<'a>) -> BTreeSet<u32> {
        let mut slots: Vec<(Rank, u32)> =
            self.set.iter().map(|s| s.key.slot).map(|slot| (self.rank(slot, 0, scene), slot)).collect();
        slots.sort_unstable();
        slots.into_iter().take(left as usize).map(|(_, slot)| slot).collect()
    }

    /// All that are there, and as many more as the surge allows beside `others` of the other side.
    fn grow(&self, others: u32, pace: &Pace, may_grow: bool) -> Keep {
        let mut slots: BTreeSet<u32> =
            self.set.iter().map(|s| s.key.slot).filter(|slot| (1..=self.wanted).contains(slot)).collect();
        let most = self.wanted.min((self.wanted + pace.surge).saturating_sub(others)) as usize;
        if may_grow {
            let missing = (1..=self.wanted).filter(|slot| !slots.contains(slot)).collect::<Vec<_>>();
            let free = most.saturating_sub(slots.len());
            slots.extend(missing.into_iter().take(free));
        }
        if slots.len() == self.wanted as usize { Keep::All } else { Keep::Some(slots) }
    }

    /// Whether the pause after the last batch is over.
    fn has_rested(&self, pace: &Pace, scene: &Scene<'a>) -> bool {
        let newest = self.set.iter().filter_map(|s| healthy_since(*s)).max();
        pace.delay_ms == 0 || newest.is_none_or(|at| scene.now.since_ms(at) >= pace.delay_ms)
    }
}

fn healthy_since(seat: Seat<'_>) -> Option<Timestamp> {
    seat.facts.and_then(|f| f.healthy_since)
}
