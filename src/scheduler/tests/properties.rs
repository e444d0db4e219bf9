//! What must hold in every step of the simulation, judged by the world's truth and not by the planner's view.

use std::collections::BTreeSet;

use super::sim::Sim;
use crate::engine::ContainerState;
use crate::scheduler::model::{Action, StopCause, Wanted};
use crate::stack::ServiceKind;

/// Milliseconds within which the control plane must have noticed that an instance is well: probes, settling,
/// acknowledgement and a step of the simulation's time.
const NOTICE_MS: i64 = 4_000;

/// A table sent to the ingress keeps every instance of a serving release that is truly well and has been in.
pub(super) fn nothing_well_is_dropped(sim: &Sim, joined: &BTreeSet<String>) -> Result<(), String> {
    let now = sim.world.now;
    for (id, c) in &sim.world.containers {
        let e = &sim.environments[&c.key.environment];
        let web = e.revision(c.key.revision).stack.services[&c.key.service].kind == ServiceKind::Web;
        let was_in = sim.world.table.1.contains(id);
        if web && was_in && sim.is_serving(&c.key) && c.is_well_for(NOTICE_MS, now) && !joined.contains(id) {
            return Err(format!("{id} ({:?}) is well and serves, and is dropped from the routes", c.key));
        }
    }
    for (id, e) in &sim.environments {
        let Some(version) = e.serving.filter(|_| e.wanted == Wanted::Run) else { continue };
        let of = |table: &BTreeSet<String>, current: bool| {
            let mine = |c: &&String| {
                sim.world.containers.get(*c).is_some_and(|c| {
                    let is_current = (c.key.revision, c.key.generation) == (version.revision, version.generation);
                    c.key.environment == *id && is_current == current && c.is_well_for(0, now)
                })
            };
            table.iter().filter(mine).count()
        };
        // At a switch the new release comes with all its instances that are well.
        if of(&sim.world.table.1, false) > 0 && of(joined, true) == 0 {
            let mine = |c: &&super::world::SimContainer| c.key.environment == *id && sim.is_serving(&c.key);
            let well = sim.world.containers.values().filter(mine).any(|c| c.is_well_for(NOTICE_MS, now));
            // What was restarted while the engine could not be seen has to prove itself again.
            let sighted = now.since_ms(sim.world.engine_lies_until.max(sim.world.engine_down_until)) >= NOTICE_MS;
            if well && sighted && e.formation.values().all(|n| *n > 0) {
                return Err(format!("{id}: the old release leaves the routes with nobody in its place"));
            }
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
                return Err(format!("{id} serves and is retired"));
            }
            Ok(())
        }
        Action::Remove { id, key } => {
            let runs = sim.world.containers.get(id).is_some_and(|c| matches!(c.state, ContainerState::Running { .. }));
            // A container seen as ended may have been started again only by a call of the process before.
            if runs && sim.is_serving(key) { Err(format!("{id} serves and is removed")) } else { Ok(()) }
        }
        Action::MarkServing { environment, version } => {
            let e = &sim.environments[environment];
            if !e.revision(version.revision).is_good() {
                return Err(format!("{environment}: {version} serves and can never have passed"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// No target is older than its deadline allows.
pub(super) fn targets_end_in_time(sim: &Sim) -> Result<(), String> {
    for (id, e) in sim.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run) {
        if let Some((version, since)) = e.target {
            let age = sim.world.now.since_ms(since);
            // While the engine is away nothing can be judged.
            if age > sim.policy.rollout_ms + 20_000 {
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
    if running != oracle || sim.world.containers.len() != oracle.len() {
        let extra: Vec<_> = sim.world.containers.values().filter(|c| !oracle.contains(&c.key)).collect();
        let missing: Vec<_> = oracle.difference(&running).collect();
        return Err(format!("extra: {extra:?}, missing: {missing:?}"));
    }
    let web = |key: &crate::engine::InstanceKey| {
        sim.environments[&key.environment].revision(key.revision).stack.services[&key.service].kind == ServiceKind::Web
    };
    let routes: BTreeSet<_> =
        sim.world.containers.iter().filter(|(_, c)| web(&c.key)).map(|(id, _)| id.clone()).collect();
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
