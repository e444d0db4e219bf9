//! Convergence: bringing a target up beside what serves, and judging it as a whole: it takes over when every
//! instance of every service is healthy, and is given up, with the true reason, as soon as it cannot get there.

use super::scene::{Condition, Draft, Scene};
use super::upkeep::{Turns, bring_up};
use super::words;
use crate::engine::InstanceKey;
use crate::scheduler::model::{Action, Target};
use crate::scheduler::policy::planted;
use crate::stack::Service;

enum Judgement {
    Pending,
    Passed,
    Failed(String),
}

/// One step of a target on its way to traffic.
pub(super) fn converge<'a>(scene: &Scene<'a>, target: &Target, draft: &mut Draft<'a>) {
    let environment = scene.environment.clone();
    let version = target.release.version;
    match judge(scene, target) {
        Judgement::Failed(reason) if !planted!(scene.policy, NeverFail) => {
            draft.waits.push(format!("{version} is being given up: {reason}"));
            scene.act(draft, Action::FailTarget { environment, version, reason });
        }
        Judgement::Passed => {
            draft.waits.push(format!("{version} has passed and takes over"));
            scene.act(draft, Action::MarkServing { environment, version });
        }
        Judgement::Pending | Judgement::Failed(_) => {
            let mut turns = Turns::of(scene, &target.release);
            bring_up(scene, &target.release, &mut turns, draft, false);
            if draft.waits.is_empty() {
                draft.waits.push(format!("{version} is being brought up"));
            }
        }
    }
}

fn judge(scene: &Scene<'_>, target: &Target) -> Judgement {
    let Some(desired) = scene.desired else { return Judgement::Pending };
    let mut waiting = Vec::new();
    let mut passed = 0;
    for (name, service) in &target.release.stack.services {
        let set = scene.set(&target.release, name);
        for slot in 1..=desired.replicas(name, service) {
            let key = scene.key(&target.release, name, slot);
            let condition = scene.condition(set, slot, service);
            if let Some(reason) = hopeless(scene, &key, service, &condition) {
                return Judgement::Failed(reason);
            }
            match condition {
                Condition::Healthy { seat } if seat.is_doubted() => {
                    waiting.push(format!("{} is missing from the engine's list", words::name(&key)));
                }
                Condition::Healthy { .. } => passed += 1,
                Condition::Starting { seat } => waiting.push(words::starting(scene, seat, service)),
                _ => waiting.push(format!("{} is not up", words::name(&key))),
            }
        }
    }
    if waiting.is_empty() || (planted!(scene.policy, ServeTooEarly) && passed > 0) {
        return Judgement::Passed;
    }
    if scene.now.since_ms(target.since) >= scene.policy.rollout_ms {
        return Judgement::Failed(words::out_of_time(scene.policy.rollout_ms, &waiting));
    }
    Judgement::Pending
}

/// Why this instance will not get there, if it will not.
fn hopeless(scene: &Scene<'_>, key: &InstanceKey, service: &Service, condition: &Condition<'_>) -> Option<String> {
    let attempts = scene.policy.target_attempts;
    if let Some(trouble) = scene.world.trouble.get(key)
        && (trouble.hopeless || trouble.attempts >= attempts)
    {
        return Some(words::start_failed(key, trouble));
    }
    match *condition {
        Condition::Exited { seat, code, oom_killed, at } => {
            let decided = oom_killed || seat.crashes() >= attempts;
            decided.then(|| words::ended_for_good(seat, service, code, oom_killed, at))
        }
        Condition::Late { seat } => Some(words::never_healthy(seat, service)),
        Condition::Starting { seat } => {
            let health = &seat.facts?.health;
            let misplaced = scene.now.since_ms(health.misplaced_since?) >= scene.policy.misplaced_ms;
            misplaced.then(|| words::misplaced(key, health))
        }
        _ => None,
    }
}
