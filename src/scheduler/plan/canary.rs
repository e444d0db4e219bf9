//! Canary: the new version gets a growing share of the traffic, step by step; each step ends when its time is over, its
//! requests are in, a person said so, and what the ingress counted speaks for the new version.

use std::collections::BTreeSet;

use super::analysis::{Tally, Verdict, compare};
use super::division::Keep;
use super::scene::{Condition, Scene, Seat};
use super::words;
use crate::kernel::name::ServiceName;
use crate::releases::rollout::Step;
use crate::scheduler::model::{Release, Target};
use crate::scheduler::policy::planted;
use crate::stack::Service;
use crate::stack::model::Rollout;

/// What a canary comes to at this moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stand {
    /// Nothing is left for it but the whole traffic.
    Done,
    /// Its instances are not up yet.
    Starting,
    /// It waits for time to pass or for a person; the deadline does not count.
    Resting(String),
    /// It waits for requests; the deadline counts.
    Waiting(String),
    /// This is its next state.
    Next(Step),
    /// It does worse than the old one.
    Failed(String),
}

/// How many instances a step needs.
pub(super) fn needed(rollout: &Rollout, index: u32, replicas: u32) -> u32 {
    match rollout.steps.get(index as usize) {
        Some(step) => (replicas * u32::from(step.weight.min(100))).div_ceil(100).max(1).min(replicas),
        None => replicas,
    }
}

/// The instances of the new version that shall be there: those that are, and as many as its step needs.
pub(super) fn keep(
    scene: &Scene<'_>,
    target: &Target,
    rollout: &Rollout,
    name: &ServiceName,
    replicas: u32,
    set: &[Seat<'_>],
) -> Keep {
    let progress = &target.progress;
    let needs = match progress.steps.get(name) {
        _ if progress.full => replicas,
        None => needed(rollout, 0, replicas),
        Some(step) if progress.paused.is_none() && is_over(scene, target, rollout, name, step) => {
            needed(rollout, step.index + 1, replicas)
        }
        Some(step) => needed(rollout, step.index, replicas),
    };
    let mut slots: BTreeSet<u32> =
        set.iter().map(|s| s.key.slot).filter(|slot| (1..=replicas).contains(slot)).collect();
    let missing: Vec<u32> = (1..=replicas).filter(|slot| !slots.contains(slot)).collect();
    let free = (needs as usize).saturating_sub(slots.len());
    slots.extend(missing.into_iter().take(free));
    if slots.len() == replicas as usize { Keep::All } else { Keep::Some(slots) }
}

/// The share of the traffic in per cent; `None` before the first step.
pub(super) fn share(target: &Target, rollout: &Rollout, name: &ServiceName) -> Option<u8> {
    let step = target.progress.steps.get(name)?;
    let last = rollout.steps.len().saturating_sub(1);
    rollout.steps.get((step.index as usize).min(last)).map(|s| s.weight.min(100))
}

/// Where it stands, and what comes next.
pub(super) fn stand(
    scene: &Scene<'_>,
    target: &Target,
    serving: &Release,
    rollout: &Rollout,
    name: &ServiceName,
    service: &Service,
    replicas: u32,
) -> Stand {
    let set = scene.set(&target.release, name);
    let healthy = (1..=replicas).filter(|slot| is_good(scene, set, *slot, service)).count();
    let up = |needs: u32| healthy >= needs as usize;
    if target.progress.full {
        return if up(replicas) { Stand::Done } else { Stand::Starting };
    }
    let Some(step) = target.progress.steps.get(name) else {
        let ready = up(needed(rollout, 0, replicas)) && target.progress.paused.is_none();
        return if ready { Stand::Next(Step::begin(0, scene.now)) } else { Stand::Starting };
    };
    if let Some(next) = verdict(scene, target, serving, rollout, name, step) {
        return next;
    }
    if !is_over(scene, target, rollout, name, step) {
        return rest(scene, target, rollout, name, step);
    }
    let next = step.index + 1;
    if !up(needed(rollout, next, replicas)) {
        return Stand::Starting;
    }
    if next as usize >= rollout.steps.len() { Stand::Done } else { Stand::Next(Step::begin(next, scene.now)) }
}

fn is_good(scene: &Scene<'_>, set: &[Seat<'_>], slot: u32, service: &Service) -> bool {
    matches!(scene.condition(set, slot, service), Condition::Healthy { seat } if !seat.is_doubted())
}

/// The judgement on a window that is closed, when there is one.
fn verdict(
    scene: &Scene<'_>,
    target: &Target,
    serving: &Release,
    rollout: &Rollout,
    name: &ServiceName,
    step: &Step,
) -> Option<Stand> {
    let rules = rollout.analysis.as_ref()?;
    if scene.now.since_ms(step.window_since) < i64::from(rules.window_seconds) * 1_000 {
        return None;
    }
    let (old, new) = (tally(scene, serving, name), tally(scene, &target.release, name));
    match compare(&old, &new, rules) {
        Verdict::Unknown { .. } => None,
        Verdict::Good => Some(Stand::Next(step.judged(true, new.requests, scene.now))),
        Verdict::Worse(_) if planted!(scene.policy, IgnoreVerdict) => {
            Some(Stand::Next(step.judged(true, new.requests, scene.now)))
        }
        Verdict::Worse(text) if step.bad + 1 >= rules.failures.max(1) => {
            let share = share(target, rollout, name).unwrap_or(0);
            Some(Stand::Failed(words::worse(name, target.release.version, share, &text)))
        }
        Verdict::Worse(_) => Some(Stand::Next(step.judged(false, new.requests, scene.now))),
    }
}

/// What all instances of a version answered since the window began.
fn tally(scene: &Scene<'_>, release: &Release, name: &ServiceName) -> Tally {
    let mut sum = Tally::default();
    for seat in scene.set(release, name) {
        if let Some(tally) = scene.world.traffic.get(&seat.id) {
            sum.add(tally);
        }
    }
    sum
}

/// Whether everything the step waits for has come.
fn is_over(scene: &Scene<'_>, target: &Target, rollout: &Rollout, name: &ServiceName, step: &Step) -> bool {
    if step.promoted {
        return true;
    }
    let Some(wanted) = rollout.steps.get(step.index as usize) else { return true };
    let pause = &wanted.pause;
    let timed = pause.seconds.is_none_or(|s| scene.now.since_ms(step.since) >= i64::from(s) * 1_000);
    let asked = pause.requests.is_none_or(|n| answered(scene, target, name, step) >= u64::from(n));
    // A share of nothing gives nothing to judge.
    let judged = rollout.analysis.is_none() || wanted.weight == 0 || (step.good > 0 && step.bad == 0);
    timed && asked && judged && !pause.manual
}

fn answered(scene: &Scene<'_>, target: &Target, name: &ServiceName, step: &Step) -> u64 {
    step.answered + tally(scene, &target.release, name).requests
}

/// What a step that is not over waits for.
fn rest(scene: &Scene<'_>, target: &Target, rollout: &Rollout, name: &ServiceName, step: &Step) -> Stand {
    let Some(wanted) = rollout.steps.get(step.index as usize) else { return Stand::Starting };
    let pause = &wanted.pause;
    let head = words::step(name, target.release.version, step.index, rollout.steps.len(), wanted.weight);
    let left = i64::from(pause.seconds.unwrap_or(0)) * 1_000 - scene.now.since_ms(step.since);
    if left > 0 {
        return Stand::Resting(format!("{head}; the next one comes in {}", words::span(left)));
    }
    let had = answered(scene, target, name, step);
    if let Some(n) = pause.requests.filter(|n| had < u64::from(*n)) {
        return Stand::Waiting(format!("{head}; it has answered {had} of {n} requests"));
    }
    if let Some(rules) = rollout.analysis.as_ref().filter(|_| wanted.weight > 0 && (step.good == 0 || step.bad > 0)) {
        let window = i64::from(rules.window_seconds) * 1_000 - scene.now.since_ms(step.window_since);
        if window > 0 {
            return Stand::Resting(format!("{head}; it is compared with the old version in {}", words::span(window)));
        }
        let n = rules.min_requests;
        return Stand::Waiting(format!(
            "{head}; {had} requests were answered, {n} by each version are needed to compare"
        ));
    }
    Stand::Resting(format!("{head}; somebody must let it go on: wharf rollout promote"))
}
