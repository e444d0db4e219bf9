//! Taking away what is not wanted: leave the routes, finish requests, stop, remove. In this order, always.

use super::division::Division;
use super::order::still_needed;
use super::scene::{Draft, Drain, Scene, Seat, Set};
use super::words;
use crate::engine::ContainerState;
use crate::scheduler::model::{Action, StopCause, Wanted, version_of};
use crate::scheduler::policy::planted;

/// Seconds between the polite and the forceful stop of an instance whose release is not known any more.
const UNKNOWN_GRACE_SECONDS: u32 = 10;

/// Takes one step with every container of the environment that is not wanted.
pub(super) fn retire(scene: &Scene<'_>, division: &Division<'_>, draft: &mut Draft<'_>) {
    let serving = scene.desired.and_then(|d| d.serving.as_ref()).map(|r| r.version);
    let (mut any, mut resized) = (false, true);
    // What serves is wanted whole again from the moment its successor is given up.
    let back = serving.filter(|_| draft.gives_up);
    let wanted_back = |set: &Set<'_>| {
        let release = scene.desired.and_then(|d| d.serving.as_ref());
        back.is_some() && release.is_some_and(|r| r.version_of(set.service) == set.version)
    };
    for set in scene.sets.iter().filter(|set| !wanted_back(set)) {
        let line = division.line(set.service, set.version);
        for seat in set.seats.iter().filter(|s| !line.is_some_and(|l| l.keeps(s.key.slot))) {
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
    if let Some(text) = still_needed(scene, &key).filter(|_| is_going_down(scene)) {
        return draft.waits.push(text);
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

/// Whether everything goes, and so in the order of who needs whom.
fn is_going_down(scene: &Scene<'_>) -> bool {
    scene.desired.is_some_and(|d| d.wanted != Wanted::Run) && !planted!(scene.policy, IgnoreOrder)
}
