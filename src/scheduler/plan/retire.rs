//! Taking away what is not wanted: leave the routes, finish requests, stop, remove. In this order, always.

use super::scene::{Draft, Drain, Scene, Seat};
use super::words;
use crate::engine::ContainerState;
use crate::kernel::name::ServiceName;
use crate::scheduler::model::{Action, StopCause, Version, Wanted, version_of};
use crate::scheduler::policy::planted;

/// Seconds between the polite and the forceful stop of an instance whose release is not known any more.
const UNKNOWN_GRACE_SECONDS: u32 = 10;

/// Takes one step with every container of the environment that is not wanted.
pub(super) fn retire(scene: &Scene<'_>, draft: &mut Draft<'_>) {
    let serving = scene.desired.and_then(|d| d.serving.as_ref()).map(|r| r.version);
    let (mut any, mut resized) = (false, true);
    for set in &scene.sets {
        let wanted = wanted_slots(scene, set.service, set.version);
        for seat in set.seats.iter().filter(|s| !(1..=wanted).contains(&s.key.slot)) {
            (any, resized) = (true, resized && serving == Some(set.version));
            step(scene, *seat, draft);
        }
    }
    for seat in &scene.doubles {
        (any, resized) = (true, resized && serving == Some(version_of(&seat.key)));
        step(scene, *seat, draft);
    }
    draft.resizing |= any && resized;
}

/// How many instances of a service of a version shall be there.
fn wanted_slots(scene: &Scene<'_>, service: &ServiceName, version: Version) -> u32 {
    let Some(desired) = scene.desired.filter(|d| d.wanted == Wanted::Run) else { return 0 };
    if planted!(scene.policy, RetireServingEarly)
        && desired.target.is_some()
        && desired.serving.as_ref().is_some_and(|r| r.version == version)
    {
        return 0;
    }
    let release = desired.releases().find(|r| r.version == version);
    release.and_then(|r| r.stack.services.get(service)).map_or(0, |s| desired.replicas(service, s))
}

fn step<'a>(scene: &Scene<'a>, seat: Seat<'a>, draft: &mut Draft<'_>) {
    let key = seat.key.clone();
    let id = seat.id.clone();
    let who = words::name_and_version(&key);
    if !matches!(seat.state, ContainerState::Running { .. }) {
        if !planted!(scene.policy, LeaveOrphans) {
            draft.waits.push(format!("{who} is being removed"));
            scene.act(draft, Action::Remove { key, id });
        }
        return;
    }
    match scene.drain(seat) {
        Drain::Routed => draft.waits.push(format!("{who} leaves the routes: the ingress has not applied them yet")),
        Drain::Finishing { requests } => {
            draft.waits.push(format!("{who} finishes {requests} request{}", if requests == 1 { "" } else { "s" }));
        }
        Drain::Done => {
            let service = scene.desired.and_then(|d| d.service_of(&key));
            let grace_seconds = service.map_or(UNKNOWN_GRACE_SECONDS, |s| s.stop_grace_seconds);
            draft.waits.push(format!("{who} is being stopped"));
            scene.act(draft, Action::Stop { key, id, grace_seconds, cause: StopCause::Retired });
        }
    }
}
