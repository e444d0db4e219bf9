//! What must hold in every step of the simulation, judged by the world's truth and not by the planner's view.

use std::collections::{BTreeMap, BTreeSet};

use super::sim::Sim;
use super::world::SimContainer;
use crate::engine::{ContainerState, InstanceKey};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::scheduler::model::{
    Action, Desired, DesiredEnvironment, EngineView, Plan, StopCause, Wanted, World, version_of,
};
use crate::scheduler::plan::plan;
use crate::scheduler::policy::Policy;
use crate::stack::model::{Care, Criticality, DependencyCondition, Strategy};
use crate::stack::{Service, ServiceKind};

/// Milliseconds within which the control plane must have noticed that an instance is well: probes, settling,
/// acknowledgement and a step of the simulation's time.
const NOTICE_MS: i64 = 4_000;

/// A service between two versions: what serves, what takes over, and how.
struct Change {
    alone: bool,
    /// Instances that must take requests meanwhile; `None` when no instance of the old version may be missed.
    at_least: Option<u32>,
}

fn change(sim: &Sim, key: &InstanceKey) -> Option<Change> {
    let e = &sim.environments[&key.environment];
    let (old, new) = (e.serving_release()?, e.target_release()?);
    let (before, after) = (old.stack.services.get(&key.service)?, new.stack.services.get(&key.service)?);
    if old.version_of(&key.service) == new.version_of(&key.service) {
        return None;
    }
    let alone = !before.may_overlap() || !after.may_overlap();
    let wanted = |s: &Service| sim.wanted(&key.environment, &key.service, s);
    let missing = after.rollout.max_unavailable.map_or(0, |a| a.of_down(after.replicas));
    let rolling = after.rollout.strategy == Strategy::Rolling && !e.progress.at_once;
    let at_least = rolling.then(|| wanted(before).min(wanted(after)).saturating_sub(missing));
    Some(Change { alone, at_least })
}

/// Instances of a service that are truly well and take requests by this table.
fn well_in(sim: &Sim, table: &BTreeSet<String>, like: &InstanceKey) -> u32 {
    let mine = |(id, c): &(&String, &SimContainer)| {
        table.contains(*id)
            && c.key.environment == like.environment
            && c.key.service == like.service
            && c.seems_well(NOTICE_MS, sim.world.now)
    };
    u32::try_from(sim.world.containers.iter().filter(mine).count()).expect("few")
}

/// A table sent to the ingress keeps every instance of a serving release that is truly well and has been in; only a
/// rolling change may take some, and never more than may be missing.
pub(super) fn nothing_well_is_dropped(sim: &Sim, joined: &BTreeSet<String>) -> Result<(), String> {
    let now = sim.world.now;
    for (id, c) in &sim.world.containers {
        let e = &sim.environments[&c.key.environment];
        let web = e.revision(c.key.revision).stack.services[&c.key.service].kind == ServiceKind::Web;
        let was_in = sim.world.table.1.contains(id);
        if web && was_in && sim.is_serving(&c.key) && c.is_well_for(NOTICE_MS, now) && !joined.contains(id) {
            let left = well_in(sim, joined, &c.key);
            let enough = change(sim, &c.key).and_then(|c| c.at_least).is_some_and(|n| left >= n);
            if !enough {
                return Err(format!("{id} ({:?}) is well and serves, and is dropped: {left} are left", c.key));
            }
        }
    }
    for (id, e) in &sim.environments {
        let Some(version) = e.serving.filter(|_| e.wanted == Wanted::Run) else { continue };
        let target = e.target.map(|(v, _)| v);
        let of = |table: &BTreeSet<String>, current: bool| {
            let mine = |c: &&String| {
                sim.world.containers.get(*c).is_some_and(|c| {
                    let own = version_of(&c.key);
                    let is_current = own == version || Some(own) == target || sim.is_serving(&c.key);
                    c.key.environment == *id && is_current == current && c.is_well_for(0, now)
                })
            };
            table.iter().filter(mine).count()
        };
        // At a switch the new release comes with all its instances that are well.
        if of(&sim.world.table.1, false) > 0 && of(joined, true) == 0 {
            let mine = |c: &&SimContainer| c.key.environment == *id && sim.is_serving(&c.key) && is_web(sim, &c.key);
            let well = sim.world.containers.values().filter(mine).any(|c| c.is_well_for(NOTICE_MS, now));
            // What was restarted while the engine could not be seen has to prove itself again.
            let sighted = now.since_ms(sim.world.engine_lies_until.max(sim.world.engine_down_until)) >= NOTICE_MS;
            let web = sim.world.containers.values().find(mine).map(|c| c.key.clone());
            let allowed = web.and_then(|key| change(sim, &key)).is_some_and(|c| c.at_least == Some(0));
            let rests = sim.relieved.environments.get(id).is_some_and(|e| !e.yields.is_empty());
            if well && sighted && !allowed && !rests && e.formation.values().all(|n| *n > 0) {
                return Err(format!("{id}: the old release leaves the routes with nobody in its place"));
            }
        }
    }
    Ok(())
}

fn is_web(sim: &Sim, key: &InstanceKey) -> bool {
    sim.environments[&key.environment].revision(key.revision).stack.services[&key.service].kind == ServiceKind::Web
}

/// Of a service that runs alone there is never more than one process.
pub(super) fn one_writer(sim: &Sim) -> Result<(), String> {
    let mut writers: BTreeMap<(&EnvironmentId, &ServiceName), &str> = BTreeMap::new();
    for (id, c) in &sim.world.containers {
        let service = &sim.environments[&c.key.environment].revision(c.key.revision).stack.services[&c.key.service];
        let runs = matches!(c.state, ContainerState::Running { .. });
        if runs
            && !service.may_overlap()
            && let Some(other) = writers.insert((&c.key.environment, &c.key.service), id)
        {
            return Err(format!("{other} and {id} ({:?}) both write", c.key));
        }
    }
    Ok(())
}

/// No tenant has more containers than its quota allows, whatever state they are in.
pub(super) fn quota_is_kept(sim: &Sim) -> Result<(), String> {
    let Some(most) = sim.quota.and_then(|q| q.instances) else { return Ok(()) };
    for e in sim.environments.values() {
        let tenant = &e.owner.tenant;
        let has = sim.world.containers.values().filter(|c| c.owner.tenant == *tenant).count() as u64;
        if has > most {
            return Err(format!("{tenant} has {has} containers and may have {most}"));
        }
    }
    Ok(())
}

/// What matters more yields only when nothing is left to yield of what matters less.
pub(super) fn yields_in_order(sim: &Sim) -> Result<(), String> {
    let all = || {
        sim.relieved.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run).flat_map(|(id, e)| {
            let release = e.serving.as_ref().or(e.target.as_ref().map(|t| &t.release));
            release.into_iter().flat_map(|r| &r.stack.services).map(move |(name, service)| (id, e, name, service))
        })
    };
    let yielding = |(_, e, name, _): &(_, &DesiredEnvironment, &ServiceName, _)| e.yields.contains_key(*name);
    let Some((id, _, name, worst)) = all().filter(yielding).max_by_key(|(_, _, _, s)| s.criticality) else {
        return Ok(());
    };
    if worst.criticality == Criticality::Critical {
        return Err(format!("{name} of {id} is critical and yields"));
    }
    for (other, e, service_name, service) in all().filter(|(_, _, _, s)| s.criticality < worst.criticality) {
        let stays = u32::from(e.target.is_some() || service.care == Care::Pet);
        let left = e.replicas(service_name, service);
        if left > stays {
            return Err(format!("{name} of {id} yields, and {left} of {service_name} of {other} do not"));
        }
    }
    Ok(())
}

/// What is done for one environment does not depend on what there is of others, and all that is done is its own business.
pub(super) fn tenants_do_not_touch(
    desired: &Desired,
    world: &World,
    policy: &Policy,
    made: &Plan,
    now: Timestamp,
) -> Result<(), String> {
    let EngineView::Seen { containers, networks } = &world.engine else { return Ok(()) };
    for (id, environment) in &desired.environments {
        let mut alone = Desired { environments: BTreeMap::new(), ..desired.clone() };
        alone.environments.insert(id.clone(), environment.clone());
        let mut own = world.clone();
        let mine = containers.iter().filter(|c| c.key.environment == *id).cloned().collect();
        own.engine = EngineView::Seen { containers: mine, networks: networks.clone() };
        let of = |plan: &Plan| {
            let mine = |a: &&Action| a.environment() == Some(id);
            plan.actions.iter().filter(mine).cloned().collect::<Vec<_>>()
        };
        let (together, apart) = (of(made), of(&plan(&alone, &own, policy, now)));
        if together != apart {
            return Err(format!("{id}: {together:?} beside others, {apart:?} alone"));
        }
        let foreign = |a: &&Action| matches!(a, Action::Start { owner, .. } if *owner != environment.owner);
        if let Some(action) = together.iter().find(foreign) {
            return Err(format!("{id}: {action:?} is for somebody else"));
        }
    }
    Ok(())
}

/// What must hold before an action is carried out.
pub(super) fn before_action(sim: &Sim, action: &Action) -> Result<(), String> {
    let now = sim.world.now;
    match action {
        Action::Stop { id, key, cause, .. } => {
            let Some(c) = sim.world.containers.get(id) else { return Ok(()) };
            let e = &sim.environments[&key.environment];
            let web = e.revision(key.revision).stack.services[&key.service].kind == ServiceKind::Web;
            let coming = sim.world.on_the_way.iter().any(|(_, g, table)| *g > sim.world.table.0 && table.contains(id));
            if web && (sim.world.table.1.contains(id) || coming) {
                return Err(format!("{id} is stopped while the ingress may send it requests"));
            }
            let drained = c.left_table_at.is_some_and(|at| now.since_ms(at) >= sim.policy.drain_ms);
            if web && c.in_flight > 0 && !drained {
                return Err(format!("{id} is stopped with {} requests under way", c.in_flight));
            }
            if *cause == StopCause::Retired && sim.is_serving(key) {
                match change(sim, key) {
                    Some(Change { alone: true, .. }) => {}
                    Some(Change { at_least: Some(n), .. }) => {
                        let left = well_in(sim, &sim.world.table.1, key);
                        if web && c.is_well_for(NOTICE_MS, now) && left < n {
                            return Err(format!("{id} is well and stopped, and only {left} of {n} are left"));
                        }
                    }
                    _ => return Err(format!("{id} serves and is retired")),
                }
            }
            stops_in_order(sim, key)
        }
        Action::Remove { id, key } => {
            let runs = sim.world.containers.get(id).is_some_and(|c| matches!(c.state, ContainerState::Running { .. }));
            // A container seen as ended may have been started again only by a call of the process before.
            if runs && sim.is_serving(key) && change(sim, key).is_none() {
                Err(format!("{id} serves and is removed"))
            } else {
                Ok(())
            }
        }
        Action::Start { key, .. } => starts_in_order(sim, key),
        Action::Restart { id, key } => {
            let e = &sim.environments[&key.environment];
            let pet = e.revision(key.revision).stack.services[&key.service].care == Care::Pet;
            let ends = sim.world.containers.get(id).map_or(0, |c| c.ends);
            if pet && sim.is_serving(key) && ends > sim.policy.pet_restarts {
                return Err(format!("{id} is a pet that has ended {ends} times in a row, and is started again"));
            }
            Ok(())
        }
        Action::MarkServing { environment, version, .. } => {
            let e = &sim.environments[environment];
            let release = e.target_release().ok_or("no target serves")?;
            let revision = e.revision(version.revision);
            for (name, behaviour) in &revision.behaviours {
                let kind = revision.stack.services[name].kind;
                // The way back runs no jobs.
                let changed = release.version_of(name) == *version && (kind.is_standing() || !e.progress.at_once);
                if changed && !behaviour.is_good() {
                    return Err(format!("{environment}: {version} serves, and its {name} can never have passed"));
                }
                let rollout = &revision.stack.services[name].rollout;
                let judged = rollout.strategy == Strategy::Canary && rollout.analysis.is_some();
                let open =
                    !e.progress.at_once && !e.progress.full && e.progress.steps.get(name).is_some_and(|s| !s.promoted);
                if changed && judged && open && behaviour.is_faulty() && !serves_faulty(e, name) {
                    return Err(format!("{environment}: {version} serves, and its {name} does worse than the old one"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn serves_faulty(e: &super::sim::SimEnvironment, name: &ServiceName) -> bool {
    let version = e.serving_release().map(|r| r.version_of(name));
    version.is_none_or(|v| e.revision(v.revision).behaviours.get(name).is_none_or(|b| b.is_faulty()))
}

/// A service starts when those it depends on have come as far as it asks for.
fn starts_in_order(sim: &Sim, key: &InstanceKey) -> Result<(), String> {
    let e = &sim.environments[&key.environment];
    let release = [e.serving_release(), e.target_release()].into_iter().flatten();
    let Some(release) = release.into_iter().find(|r| r.version_of(&key.service) == version_of(key)) else {
        return Ok(());
    };
    for (on, dependency) in &release.stack.services[&key.service].depends_on {
        let found = |c: &&SimContainer| {
            c.key.environment == key.environment && c.key.service == *on && version_of(&c.key) == release.version_of(on)
        };
        let met = sim.world.containers.values().filter(found).any(|c| match dependency.condition {
            DependencyCondition::Completed => matches!(c.state, ContainerState::Exited { code: 0, .. }),
            _ => true,
        });
        // A job of an older revision ran when that was new.
        let ran = dependency.condition == DependencyCondition::Completed
            && (e.progress.at_once || e.serving.is_some_and(|v| v.revision >= release.version.revision));
        // What was there a moment ago may have been removed by hand.
        if !met && !ran && sim.is_quiet() {
            return Err(format!("{key:?} starts before {on}"));
        }
    }
    Ok(())
}

/// A service stops when nobody that depends on it runs any more, when everything goes.
fn stops_in_order(sim: &Sim, key: &InstanceKey) -> Result<(), String> {
    let e = &sim.environments[&key.environment];
    let releases = [e.serving_release(), e.target_release()];
    let Some(release) = releases.into_iter().flatten().find(|r| r.version_of(&key.service) == version_of(key)) else {
        return Ok(());
    };
    let needs = |c: &&SimContainer| {
        let service = release.stack.services.get(&c.key.service);
        c.key.environment == key.environment
            && version_of(&c.key) == release.version_of(&c.key.service)
            && service.is_some_and(|s| s.depends_on.contains_key(&key.service))
            && matches!(c.state, ContainerState::Running { .. })
    };
    match sim.world.containers.values().find(needs) {
        Some(c) if e.wanted != Wanted::Run && sim.is_quiet() => Err(format!("{key:?} stops before {:?}", c.key)),
        _ => Ok(()),
    }
}

/// No target is older than its deadline allows.
pub(super) fn targets_end_in_time(sim: &Sim) -> Result<(), String> {
    for (id, e) in sim.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run) {
        if let Some((version, since)) = e.target {
            let progress = &e.progress;
            let moved = progress.steps.values().map(|s| s.since);
            let withdrawn = progress.withdrawn.as_ref().map(|w| w.since);
            let paused = progress.paused.as_ref().map(|p| p.since);
            let last = moved.chain(withdrawn).chain(paused).chain(progress.resumed_at).fold(since, Timestamp::max);
            let age = sim.world.now.since_ms(last);
            // While the engine is away nothing can be judged.
            if age > sim.policy.rollout_ms.max(sim.policy.patience_ms) + 20_000 {
                return Err(format!("{id}: {version} is undecided after {age} ms"));
            }
        }
    }
    Ok(())
}

/// Once faults and edits have ended, what is there is what is wanted.
pub(super) fn world_is_as_wanted(sim: &Sim) -> Result<(), String> {
    let running: BTreeSet<_> = sim
        .world
        .containers
        .values()
        .filter(|c| matches!(c.state, ContainerState::Running { .. }))
        .map(|c| c.key.clone())
        .collect();
    let oracle = sim.oracle();
    let is_extra = |c: &&SimContainer| !oracle.contains(&c.key) && !sim.is_warm(&c.key);
    let extra: Vec<_> = sim.world.containers.values().filter(is_extra).collect();
    if !oracle.is_subset(&running) || !extra.is_empty() {
        let missing: Vec<_> = oracle.difference(&running).collect();
        return Err(format!("extra: {extra:?}, missing: {missing:?}"));
    }
    let web = |key: &crate::engine::InstanceKey| {
        sim.environments[&key.environment].revision(key.revision).stack.services[&key.service].kind == ServiceKind::Web
    };
    let routes: BTreeSet<_> = sim
        .world
        .containers
        .iter()
        .filter(|(_, c)| web(&c.key) && oracle.contains(&c.key))
        .map(|(id, _)| id.clone())
        .collect();
    if routes != sim.world.table.1 {
        return Err(format!("routes {:?}, wanted {routes:?}", sim.world.table.1));
    }
    for (id, e) in &sim.environments {
        let name = crate::scheduler::model::network_name(id);
        if e.wanted == Wanted::Destroyed && sim.world.networks.contains(&name) {
            return Err(format!("{name} is left over"));
        }
    }
    Ok(())
}
