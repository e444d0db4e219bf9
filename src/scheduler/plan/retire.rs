//! Taking away what is not wanted: leave the routes, finish requests, stop, remove. In this order, always.

use std::collections::BTreeSet;

use super::scene::{Draft, Drain, Scene};
use super::words;
use crate::engine::{ContainerState, InstanceKey, Observed};
use crate::scheduler::model::{Action, StopCause, Wanted, version_of};
use crate::scheduler::policy::planted;

/// Seconds between the polite and the forceful stop of an instance whose release is not known any more.
const UNKNOWN_GRACE_SECONDS: u32 = 10;

/// Takes one step with every container of the environment that is not wanted.
pub(super) fn retire(scene: &Scene<'_>, draft: &mut Draft) {
    let wanted = wanted_keys(scene);
    let surplus: Vec<&Observed> =
        scene.by_key.iter().filter(|(key, _)| !wanted.contains(**key)).map(|(_, c)| *c).collect();
    let mut resized = !surplus.is_empty();
    for container in surplus.iter().chain(&scene.doubles) {
        let serving = scene.desired.and_then(|d| d.serving.as_ref()).map(|r| r.version);
        resized &= serving == Some(version_of(&container.key));
        step(scene, container, draft);
    }
    draft.resizing |= resized;
}

/// The keys of everything that shall be there.
fn wanted_keys(scene: &Scene<'_>) -> BTreeSet<InstanceKey> {
    let mut keys = BTreeSet::new();
    let Some(desired) = scene.desired.filter(|d| d.wanted == Wanted::Run) else { return keys };
    for release in desired.releases() {
        let is_serving = desired.serving.as_ref() == Some(release);
        if planted!(scene.policy, RetireServingEarly) && is_serving && desired.target.is_some() {
            continue;
        }
        for (name, service) in &release.stack.services {
            keys.extend((1..=desired.replicas(name, service)).map(|slot| scene.key(release, name, slot)));
        }
    }
    keys
}

fn step(scene: &Scene<'_>, container: &Observed, draft: &mut Draft) {
    // The second container of a wanted key must not be waited on under that key's name, nor is it in the routes.
    draft.joined.remove(&container.id);
    let key = container.key.clone();
    let id = container.id.clone();
    let who = words::name_and_version(&key);
    if !matches!(container.state, ContainerState::Running { .. }) {
        if !planted!(scene.policy, LeaveOrphans) {
            draft.waits.push(format!("{who} is being removed"));
            scene.act(draft, Action::Remove { key, id });
        }
        return;
    }
    match scene.drain(container) {
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
