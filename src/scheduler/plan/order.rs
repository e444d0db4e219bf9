//! Who waits for whom: a service starts when those it depends on have come far enough, and stops when nobody that
//! depends on it still runs. And the fence around what must never run twice.

use super::division::{Division, Line};
use super::scene::{Condition, Scene, Seat};
use super::words;
use crate::engine::{ContainerState, InstanceKey};
use crate::kernel::name::ServiceName;
use crate::scheduler::model::{Subject, version_of};
use crate::scheduler::policy::planted;
use crate::stack::model::DependencyCondition;
use crate::stack::{Service, ServiceKind};

/// What a service that is about to start still waits for; `None` when it may.
pub(super) fn unmet(scene: &Scene<'_>, division: &Division<'_>, line: &Line<'_>) -> Option<String> {
    if planted!(scene.policy, IgnoreOrder) {
        return None;
    }
    let waits = |(on, condition): (&ServiceName, DependencyCondition)| {
        let service = line.release.stack.services.get(on)?;
        let version = line.release.version_of(on);
        let known = division.line(on, version);
        if !service.kind.is_standing() && known.is_none() {
            // It ran to its end before this release served.
            return None;
        }
        let set = scene.set(line.release, on);
        let met = |slot: u32| is_met(condition, scene.condition(set, slot, service), service);
        let replicas = known.map_or(1, |l| l.replicas);
        (!(1..=replicas).all(met)).then(|| words::waits_for(on, condition))
    };
    line.service.depends_on.iter().map(|(on, d)| (on, d.condition)).find_map(waits)
}

fn is_met(wanted: DependencyCondition, condition: Condition<'_>, service: &Service) -> bool {
    match wanted {
        DependencyCondition::Completed => has_completed(condition),
        DependencyCondition::Started => match condition {
            Condition::Starting { .. } | Condition::Healthy { .. } | Condition::Ill { .. } | Condition::Late { .. } => {
                true
            }
            Condition::Exited { .. } => service.kind == ServiceKind::Job && has_completed(condition),
            Condition::Missing | Condition::Created | Condition::Leaving { .. } => false,
        },
        DependencyCondition::Healthy => matches!(condition, Condition::Healthy { .. }),
    }
}

/// Whether a job ran to its end with success.
pub(super) fn has_completed(condition: Condition<'_>) -> bool {
    matches!(condition, Condition::Exited { code: 0, oom_killed: false, .. })
}

/// Who must have ended before this one is stopped: somebody of the same release that depends on it and still runs.
pub(super) fn still_needed(scene: &Scene<'_>, key: &InstanceKey) -> Option<String> {
    let version = version_of(key);
    let release = scene.desired?.releases().find(|r| r.version_of(&key.service) == version)?;
    let needs = |(_, service): &(&ServiceName, &Service)| service.depends_on.contains_key(&key.service);
    let runs = |name: &ServiceName| scene.set(release, name).iter().any(is_running);
    let needing = release.stack.services.iter().filter(needs).map(|(name, _)| name).find(|name| runs(name))?;
    Some(format!("{} stops after {needing}, which depends on it", words::name_and_version(key)))
}

fn is_running(seat: &Seat<'_>) -> bool {
    matches!(seat.state, ContainerState::Running { .. })
}

/// Why an instance of a service that runs alone must not be started now: somebody else may still write.
pub(super) fn fenced(scene: &Scene<'_>, key: &InstanceKey, service: &Service) -> Option<String> {
    if service.may_overlap() || planted!(scene.policy, TwoWriters) {
        return None;
    }
    if scene.world.unsure {
        return Some(format!("{} waits until the engine's list is sure to be complete", words::name(key)));
    }
    let other = |found: &InstanceKey| {
        found.service == key.service
            && found.environment == key.environment
            && (version_of(found) != version_of(key) || found.slot == key.slot)
    };
    let all = scene.sets.iter().filter(|set| *set.service == key.service).flat_map(|set| &set.seats);
    let second = |seat: &&Seat<'_>| other(&seat.key) && is_running(seat) && seat.key != *key;
    let doubles = scene.doubles.iter().filter(|seat| other(&seat.key) && is_running(seat));
    if let Some(writer) = all.filter(second).chain(doubles).next() {
        return Some(format!("{} waits until {} has ended", words::name(key), words::name_and_version(&writer.key)));
    }
    let at_work = scene.world.busy.iter().any(|subject| match subject {
        Subject::Instance(found) => other(found) && found != key,
        _ => false,
    });
    at_work.then(|| format!("{} waits for an action on another version of it", words::name(key)))
}
