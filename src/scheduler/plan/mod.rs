//! The planner: `plan(desired, world, now)` is a pure function. No clock, no I/O, no order that depends on a hash.
//!
//! Invariants (held by [`super::lint`] on every plan, and by the simulation over thousands of runs):
//! - Nothing that may still get a request is stopped: it leaves the routes first, the ingress acknowledges a table
//!   without it, and its requests end or their time is over.
//! - Only instances that passed their checks are in the routes: those of the serving release, and those of a target
//!   whose strategy gives it a part of the traffic by now. A target becomes the serving release as a whole, when all its
//!   services have come to their last step; until then enough of the serving release stays up to go back to.
//! - A target that fails is given up with its true reason, after what a rolling change took away is back.
//! - Two versions of a service that runs alone (a pet, or one that writes to a volume) never run at the same time.
//! - When the engine did not answer, nothing is planned and the routes stay as they are.
//! - No quota is passed, and no environment is touched for the sake of another one.
//! - What matters more is started first.
//! - A world that is as wanted gives no actions.
//!
//! To add one more rollout strategy: a variant of [`course::Course`], what is there meanwhile in [`division`], a file
//! that judges how far it is, and its arm in [`target`].

pub mod analysis;
mod canary;
mod course;
mod division;
mod order;
mod retire;
mod rolling;
mod room;
mod scene;
mod target;
mod upkeep;
mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::model::{Action, Desired, EngineView, Plan, Wanted, World, network_name};
use super::policy::{Policy, planted};
use super::report::{EnvironmentReport, Phase, Report};
use crate::engine::Role;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use division::Division;
use room::Taken;
use scene::{Draft, Scene, Seat, seats};

/// What to do now so that the world comes nearer to what is desired.
pub fn plan(desired: &Desired, world: &World, policy: &Policy, now: Timestamp) -> Plan {
    let (containers, networks) = match &world.engine {
        EngineView::Seen { containers, networks } => (containers, networks),
        EngineView::Lost { reason } => {
            let report = Report { blind: Some(reason.clone()), environments: BTreeMap::new() };
            return Plan { report, ..Plan::default() };
        }
    };
    let mut by_environment: BTreeMap<&EnvironmentId, Vec<Seat<'_>>> = BTreeMap::new();
    for seat in seats(world, containers) {
        by_environment.entry(&seat.container.key.environment).or_default().push(seat);
    }
    let mut plan = Plan::default();
    let mut taken = Taken::of(desired, world, containers);
    let mut joined: Vec<&str> = Vec::new();
    let environments: BTreeSet<&EnvironmentId> =
        desired.environments.keys().chain(by_environment.keys().copied()).collect();
    for id in &environments {
        let id: &EnvironmentId = id;
        let mine = by_environment.remove(id).unwrap_or_default();
        remove_leftover_tasks(desired, world, &mine, &mut plan.actions);
        let mine = if planted!(policy, MixTenants) && mine.is_empty() {
            by_environment.values().next().cloned().unwrap_or_default()
        } else {
            mine
        };
        let environment = desired.environments.get(id);
        let mut scene = Scene::new(id, environment, mine, networks, world, policy, now);
        scene.room = environment.map(|e| taken.room(&e.owner)).unwrap_or_default();
        let mut draft = Draft::default();
        let report = plan_environment(&scene, &mut draft);
        environment.iter().for_each(|e| taken.add(&e.owner, draft.taken));
        plan.actions.append(&mut draft.actions);
        joined.append(&mut draft.joined);
        for (service, share) in std::mem::take(&mut draft.shares) {
            plan.shares.insert((id.clone(), service), share);
        }
        if let Some(report) = report {
            plan.report.environments.insert(id.clone(), report);
        }
    }
    remove_stray_networks(world, &environments, networks, &mut plan.actions);
    sort_by_importance(desired, &mut plan.actions);
    joined.sort_unstable();
    plan.joined = Some(joined.into_iter().map(str::to_owned).collect());
    plan
}

/// What matters more is started first, on the whole node; everything else keeps its place before the starts.
fn sort_by_importance(desired: &Desired, actions: &mut [Action]) {
    actions.sort_by_key(|action| {
        let (Action::Start { key, .. } | Action::Restart { key, .. }) = action else { return None };
        let service = desired.environments.get(&key.environment).and_then(|e| e.service_of(key));
        Some(Reverse(service.map(|s| s.criticality).unwrap_or_default()))
    });
}

/// One environment; the report is for those that are desired, not for what is left of forgotten ones.
fn plan_environment<'a>(scene: &Scene<'a>, draft: &mut Draft<'a>) -> Option<EnvironmentReport> {
    let Some(desired) = scene.desired else {
        retire::retire(scene, &Division::default(), draft);
        return None;
    };
    let mut division = Division::default();
    if desired.wanted == Wanted::Run {
        division = Division::of(scene, desired);
        if desired.releases().next().is_some() {
            ensure_network(scene, draft);
        }
        upkeep::route(scene, &division, draft);
        upkeep::upkeep(scene, &division, draft);
        if let Some(target) = &desired.target {
            target::converge(scene, desired, target, &division, draft);
        }
        division.shares().for_each(|(service, share)| drop(draft.shares.insert(service, share)));
    }
    retire::retire(scene, &division, draft);
    if desired.wanted == Wanted::Destroyed {
        remove_network(scene, draft);
    }
    draft.alarms.extend(desired.yields.iter().map(|(name, left)| words::yields(name, *left)));
    let routed = wait_for_routes(draft);
    let phase = phase(scene, draft);
    Some(EnvironmentReport {
        phase,
        wanted: desired.wanted,
        serving: desired.serving.as_ref().map(|r| r.version),
        target: desired.target.as_ref().map(|t| t.release.version),
        rollout: desired.target.as_ref().map(|target| target::report(scene, target, &division)),
        settled: draft.actions.is_empty() && draft.waits.is_empty(),
        routed,
        services: std::mem::take(&mut draft.services),
        instances: words::instances(scene),
        waits: std::mem::take(&mut draft.waits),
        alarms: std::mem::take(&mut draft.alarms),
    })
}

fn ensure_network(scene: &Scene<'_>, draft: &mut Draft<'_>) {
    let name = network_name(scene.environment);
    if let Some(desired) = scene.desired
        && !scene.networks.contains(&name)
    {
        draft.waits.push("the private network is being made".to_owned());
        let owner = desired.owner.clone();
        scene.act(draft, Action::EnsureNetwork { environment: scene.environment.clone(), name, owner });
    }
}

fn remove_network(scene: &Scene<'_>, draft: &mut Draft<'_>) {
    let name = network_name(scene.environment);
    if scene.networks.contains(&name) {
        draft.waits.push("the private network is being removed".to_owned());
        if scene.is_bare() {
            scene.act(draft, Action::RemoveNetwork { name });
        }
    }
}

fn remove_leftover_tasks(desired: &Desired, world: &World, containers: &[Seat<'_>], actions: &mut Vec<Action>) {
    for task in containers.iter().filter(|c| c.role == Role::Task) {
        if task.operation.as_ref().is_none_or(|op| !desired.operations.contains(op)) {
            let action = Action::RemoveTask { environment: task.key.environment.clone(), id: task.id.clone() };
            if !world.busy.contains(&action.subject()) {
                actions.push(action);
            }
        }
    }
}

/// Networks of environments that are not known any more, once nothing is left in them.
fn remove_stray_networks(
    world: &World,
    environments: &BTreeSet<&EnvironmentId>,
    networks: &BTreeSet<String>,
    actions: &mut Vec<Action>,
) {
    let wanted: BTreeSet<String> = environments.iter().map(|id| network_name(id)).collect();
    for name in networks.difference(&wanted) {
        let action = Action::RemoveNetwork { name: name.clone() };
        if !world.busy.contains(&action.subject()) {
            actions.push(action);
        }
    }
}

/// Being healthy is not yet being reached: the ingress must have applied the table. True when it has.
fn wait_for_routes(draft: &mut Draft<'_>) -> bool {
    if draft.unrouted > 0 {
        draft.waits.push("the ingress has not applied the newest routes yet".to_owned());
    }
    draft.unrouted == 0
}

fn phase(scene: &Scene<'_>, draft: &Draft<'_>) -> Phase {
    let Some(desired) = scene.desired else { return Phase::Destroy };
    let settled = draft.actions.is_empty() && draft.waits.is_empty();
    match (desired.wanted, &desired.serving, &desired.target) {
        (Wanted::Destroyed, _, _) => Phase::Destroy,
        (Wanted::Stopped, _, _) => Phase::Stopped,
        (Wanted::Run, None, None) => Phase::Empty,
        (Wanted::Run, None, Some(_)) => {
            if draft.services.iter().any(|s| s.healthy > 0) {
                Phase::Ready
            } else {
                Phase::Provision
            }
        }
        (Wanted::Run, Some(serving), Some(target)) => {
            if target.release.version.revision < serving.version.revision {
                Phase::Rollback
            } else {
                Phase::Update
            }
        }
        (Wanted::Run, Some(_), None) if settled => Phase::Run,
        (Wanted::Run, Some(_), None) => {
            if draft.resizing {
                Phase::Scale
            } else {
                Phase::Repair
            }
        }
    }
}
