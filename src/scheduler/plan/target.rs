//! Convergence: bringing a target up beside what serves, each service in its own way, and judging it as a whole: it takes
//! over when every service has come as far as it can, and is given up, with the true reason, as soon as it cannot get
//! there. What was taken away from the old release by then is brought back before the new one goes.

use super::canary::{self, Stand};
use super::course::{Course, course, warm_ms};
use super::division::{Division, Keep, Line, Part};
use super::order::has_completed;
use super::scene::{Condition, Draft, Scene};
use super::upkeep::{Turns, bring_up};
use super::words;
use crate::engine::InstanceKey;
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::releases::rollout::Step;
use crate::scheduler::model::{Action, DesiredEnvironment, Target};
use crate::scheduler::policy::planted;
use crate::scheduler::report::{RolloutReport, RolloutService};
use crate::stack::lifecycle::Cause;
use crate::stack::model::FailureAction;
use crate::stack::quota::Amounts;
use crate::stack::{Service, ServiceKind};

/// What a look at the whole target comes to.
#[derive(Default)]
struct Judgement {
    /// Why it cannot get there, and whether a person shall decide what follows.
    failed: Option<(String, FailureAction)>,
    /// What should come by itself; the deadline counts.
    waiting: Vec<String>,
    /// What time or a person brings; the deadline does not count.
    resting: Vec<String>,
    /// Canaries that have a new state.
    next: Vec<(ServiceName, Step)>,
    passed: usize,
}

/// One step of a target on its way to traffic.
pub(super) fn converge<'a>(
    scene: &Scene<'a>,
    desired: &'a DesiredEnvironment,
    target: &'a Target,
    division: &Division<'a>,
    draft: &mut Draft<'a>,
) {
    if let Some(withdrawn) = &target.progress.withdrawn {
        return take_back(scene, desired, target, draft, withdrawn);
    }
    let environment = scene.environment.clone();
    let version = target.release.version;
    let mut judgement = judge(scene, desired, target, division);
    if let Some((reason, action)) = judgement.failed.take().filter(|_| !planted!(scene.policy, NeverFail)) {
        return give_up(scene, desired, target, draft, reason, action);
    }
    if let Some(pause) = &target.progress.paused {
        draft.waits.push(words::paused(version, pause));
    }
    if let Some((service, step)) = judgement.next.into_iter().next() {
        scene.act(draft, Action::Step { environment: environment.clone(), version, service, step });
    }
    let early = planted!(scene.policy, ServeTooEarly) && judgement.passed > 0;
    let ready = judgement.waiting.is_empty() && judgement.resting.is_empty() && target.progress.paused.is_none();
    if ready || early {
        draft.waits.push(format!("{version} has passed and takes over"));
        let warm = target.release.stack.services.values().map(warm_ms).max().unwrap_or(0);
        let warm_until = (warm > 0 && desired.serving.is_some()).then(|| scene.now.plus_ms(warm));
        return scene.act(draft, Action::MarkServing { environment, version, warm_until });
    }
    let mut turns = Turns::of(scene, division, Part::Target);
    bring_up(scene, division, Part::Target, &mut turns, draft);
    draft.waits.append(&mut judgement.resting);
    if draft.waits.is_empty() {
        draft.waits.push(format!("{version} is being brought up"));
    }
}

fn judge(scene: &Scene<'_>, desired: &DesiredEnvironment, target: &Target, division: &Division<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    for line in division.lines.iter().filter(|l| l.part == Part::Target) {
        look_for_hopeless(scene, line, &mut judgement);
        let before = judgement.waiting.len() + judgement.resting.len() + judgement.next.len();
        judge_line(scene, desired, target, line, &mut judgement);
        let after = judgement.waiting.len() + judgement.resting.len() + judgement.next.len();
        judgement.passed += usize::from(before == after);
    }
    // A step that changes is awaited like anything else.
    let changing = judgement.next.iter().map(|(name, _)| format!("{name} goes to its next step")).collect::<Vec<_>>();
    judgement.waiting.extend(changing);
    if judgement.failed.is_none() {
        judgement.failed = out_of_time(scene, target, &judgement).map(|reason| (reason, FailureAction::Rollback));
    }
    judgement
}

fn judge_line(
    scene: &Scene<'_>,
    desired: &DesiredEnvironment,
    target: &Target,
    line: &Line<'_>,
    judgement: &mut Judgement,
) {
    let serving = desired.serving.as_ref();
    let old = serving.and_then(|r| Some((r, r.stack.services.get(line.name)?)));
    let way = old.map(|(release, service)| (release, course(service, line.service, &target.progress)));
    match way {
        Some((release, Course::Canary(rollout))) => {
            match canary::stand(scene, target, release, rollout, line.name, line.service, line.replicas) {
                Stand::Done => {}
                Stand::Starting => wait_for_all(scene, line, 0, judgement),
                Stand::Resting(text) => judgement.resting.push(text),
                Stand::Waiting(text) => judgement.waiting.push(text),
                Stand::Next(step) => judgement.next.push((line.name.clone(), step)),
                Stand::Failed(reason) => {
                    judgement.failed.get_or_insert((reason, line.service.rollout.on_failure));
                }
            }
        }
        Some((_, Course::Alone)) if line.keep == Keep::Some([].into()) => {
            judgement.waiting.push(words::waits_for_turn(line.name));
        }
        Some((_, Course::Rolling(pace))) => wait_for_all(scene, line, pace.settle_ms, judgement),
        _ => wait_for_all(scene, line, 0, judgement),
    }
}

/// Notes what is missing until all instances of a line are healthy, and have been for so long.
fn wait_for_all(scene: &Scene<'_>, line: &Line<'_>, settle_ms: i64, judgement: &mut Judgement) {
    let set = scene.set(line.release, line.name);
    for slot in 1..=line.replicas {
        let who = || words::name(&scene.key(line.release, line.name, slot));
        match scene.condition(set, slot, line.service) {
            condition if line.service.kind == ServiceKind::Job => {
                if !has_completed(condition) {
                    judgement.waiting.push(format!("{} has not run to its end yet", who()));
                }
            }
            Condition::Healthy { seat } if seat.is_doubted() => {
                judgement.waiting.push(format!("{} is missing from the engine's list", who()));
            }
            Condition::Healthy { seat } => {
                let since = seat.facts.and_then(|f| f.healthy_since);
                let settled = since.is_some_and(|at| scene.now.since_ms(at) >= settle_ms);
                if settle_ms > 0 && !settled {
                    judgement.waiting.push(format!("{} must stay healthy for {}", who(), words::span(settle_ms)));
                }
            }
            Condition::Starting { seat } => judgement.waiting.push(words::starting(scene, seat, line.service)),
            Condition::Missing if let Some(text) = scene.room.refuses(line.service, Amounts::default()) => {
                judgement.waiting.push(format!("{} {text}", who()));
            }
            _ => judgement.waiting.push(format!("{} is not up", who())),
        }
    }
}

/// Finds an instance that will not get there.
fn look_for_hopeless(scene: &Scene<'_>, line: &Line<'_>, judgement: &mut Judgement) {
    if judgement.failed.is_some() {
        return;
    }
    let set = scene.set(line.release, line.name);
    for slot in line.slots() {
        let condition = scene.condition(set, slot, line.service);
        if matches!(condition, Condition::Healthy { .. }) {
            continue;
        }
        let key = scene.key(line.release, line.name, slot);
        if let Some(reason) = hopeless(scene, &key, line.service, condition) {
            judgement.failed = Some((reason, line.service.rollout.on_failure));
            return;
        }
    }
}

/// Why this instance will not get there, if it will not.
fn hopeless(scene: &Scene<'_>, key: &InstanceKey, service: &Service, condition: Condition<'_>) -> Option<String> {
    let attempts = scene.policy.target_attempts;
    if let Some(trouble) = scene.world.trouble.get(key)
        && (trouble.hopeless || trouble.attempts >= attempts)
    {
        return Some(words::start_failed(key, trouble));
    }
    match condition {
        condition if service.kind == ServiceKind::Job && has_completed(condition) => None,
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

/// Why it has had its time, when it has: no progress for as long as its services allow, or nobody came to decide.
fn out_of_time(scene: &Scene<'_>, target: &Target, judgement: &Judgement) -> Option<String> {
    let progress = &target.progress;
    let since = last_progress(target);
    let limit = limit_ms(scene, target);
    let patience = scene.policy.patience_ms;
    if let Some(pause) = &progress.paused {
        let waited = scene.now.since_ms(pause.since);
        return (waited >= patience).then(|| words::paused_too_long(pause, patience));
    }
    if !judgement.resting.is_empty() && judgement.waiting.is_empty() {
        return (scene.now.since_ms(since) >= patience).then(|| words::out_of_time(patience, &judgement.resting));
    }
    let late = !judgement.waiting.is_empty() && scene.now.since_ms(since) >= limit;
    late.then(|| words::out_of_time(limit, &judgement.waiting))
}

/// When it last came a step further; the time a step takes anyway is not counted.
fn last_progress(target: &Target) -> Timestamp {
    let ends = |(name, step): (&ServiceName, &Step)| {
        let rollout = target.release.stack.services.get(name).map(|s| &s.rollout);
        let pause = rollout.and_then(|r| r.steps.get(step.index as usize)).and_then(|s| s.pause.seconds);
        step.since.plus_ms(i64::from(pause.unwrap_or(0)) * 1_000)
    };
    let steps = target.progress.steps.iter().map(ends);
    steps.chain(target.progress.resumed_at).fold(target.since, Timestamp::max)
}

fn limit_ms(scene: &Scene<'_>, target: &Target) -> i64 {
    let services = target.release.stack.services.values();
    let longest = services.map(|s| i64::from(s.rollout.deadline_seconds) * 1_000).max();
    longest.unwrap_or(scene.policy.rollout_ms).min(scene.policy.rollout_ms)
}

/// Ends a target that cannot get there, in the way its service asks for.
fn give_up(
    scene: &Scene<'_>,
    desired: &DesiredEnvironment,
    target: &Target,
    draft: &mut Draft<'_>,
    reason: String,
    action: FailureAction,
) {
    let (environment, version) = (scene.environment.clone(), target.release.version);
    let paused = target.progress.paused.as_ref();
    let too_long = paused.is_some_and(|p| scene.now.since_ms(p.since) >= scene.policy.patience_ms);
    if action == FailureAction::Pause && desired.serving.is_some() && !too_long {
        draft.waits.push(words::held(version, &reason));
        if paused.is_none() {
            scene.act(draft, Action::Hold { environment, version, reason });
        }
        return;
    }
    draft.waits.push(format!("{version} is being given up: {reason}"));
    draft.gives_up = true;
    if owes(scene, desired, target).is_some() {
        scene.act(draft, Action::Withdraw { environment, version, reason });
    } else {
        scene.act(draft, Action::FailTarget { environment, version, reason });
    }
}

/// Brings back what the old release lacks, then ends the target.
fn take_back<'a>(
    scene: &Scene<'a>,
    desired: &'a DesiredEnvironment,
    target: &'a Target,
    draft: &mut Draft<'a>,
    withdrawn: &crate::releases::rollout::Withdrawal,
) {
    let (environment, version) = (scene.environment.clone(), target.release.version);
    draft.waits.push(format!("{version} is being rolled back: {}", withdrawn.reason));
    let late = scene.now.since_ms(withdrawn.since) >= limit_ms(scene, target);
    match owes(scene, desired, target) {
        Some(text) if !late => draft.waits.push(text),
        _ => {
            let reason = withdrawn.reason.clone();
            draft.gives_up = true;
            scene.act(draft, Action::FailTarget { environment, version, reason });
        }
    }
}

/// What of the old release was taken away by a rolling change and is not back, while new instances stand in for it.
fn owes(scene: &Scene<'_>, desired: &DesiredEnvironment, target: &Target) -> Option<String> {
    let serving = desired.serving.as_ref()?;
    for (name, new) in &target.release.stack.services {
        let Some(old) = serving.stack.services.get(name) else { continue };
        let same = target.release.version_of(name) == serving.version_of(name);
        if same || !matches!(course(old, new, &target.progress), Course::Rolling(_)) {
            continue;
        }
        let healthy = |release, service: &Service, wanted: u32| {
            let set = scene.set(release, name);
            let good = |slot: &u32| matches!(scene.condition(set, *slot, service), Condition::Healthy { .. });
            (1..=wanted).filter(good).count()
        };
        let wanted = desired.replicas(name, old);
        let back = healthy(serving, old, wanted);
        if back < wanted as usize && healthy(&target.release, new, desired.replicas(name, new)) > 0 {
            return Some(format!("{name}: {back} of {wanted} instances of {} are back", serving.version));
        }
    }
    None
}

/// What people see of it.
pub(super) fn report(scene: &Scene<'_>, target: &Target, division: &Division<'_>) -> RolloutReport {
    let progress = &target.progress;
    let service = |line: &Line<'_>| RolloutService {
        name: line.name.to_string(),
        strategy: line.service.rollout.strategy.as_str(),
        step: progress.steps.get(line.name).map(|s| s.index + 1),
        steps: u32::try_from(line.service.rollout.steps.len()).unwrap_or(u32::MAX),
        percent: line.share,
    };
    RolloutReport {
        version: target.release.version,
        since: target.since,
        cause: Cause {
            cause: progress.cause.clone(),
            actor: progress.actor.clone(),
            revision: target.release.version.revision,
            deadline: Some(last_progress(target).plus_ms(limit_ms(scene, target))),
        },
        paused_by: progress.paused.as_ref().map(|p| p.by.clone()),
        withdrawn: progress.withdrawn.as_ref().map(|w| w.reason.clone()),
        services: division.lines.iter().filter(|l| l.part == Part::Target).map(service).collect(),
    }
}
