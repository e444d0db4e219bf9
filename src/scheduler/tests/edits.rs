//! What people do to a simulated platform.

use super::sim::Sim;
use super::world::{Behaviour, Rng};
use crate::kernel::id::EnvironmentId;
use crate::scheduler::model::Wanted;
use crate::stack::ServiceKind;

pub(super) fn behaviour(rng: &mut Rng, worker: bool) -> Behaviour {
    match rng.next() % 12 {
        0 => Behaviour::ExitsAtOnce { after: rng.between(1, 250) },
        1 => Behaviour::OutOfMemory { after: rng.between(1, 250) },
        2 => Behaviour::StartFails,
        3 => Behaviour::ImageMissing,
        4 if !worker => Behaviour::NeverListens,
        5 if !worker => Behaviour::Misplaced,
        _ => Behaviour::Good { listens_after: if worker { 0 } else { rng.between(0, 2_500) } },
    }
}

/// Once in a while, somebody changes something somewhere.
pub(super) fn maybe_edit(sim: &mut Sim) {
    if !sim.rng.per_mille(40) {
        return;
    }
    let index = sim.rng.next() as usize % sim.environments.len();
    let id = sim.environments.keys().nth(index).cloned().expect("there is one");
    let now = sim.world.now;
    let e = &sim.environments[&id];
    let (serving, revisions) = (e.serving, e.revisions.len());
    if e.wanted == Wanted::Destroyed {
        return;
    }
    match sim.rng.next() % 100 {
        0..50 => deploy(sim, &id),
        50..60 if revisions > 0 => {
            let number = 1 + sim.rng.between(0, i64::try_from(revisions).expect("few"));
            edit(sim, &id, |e| e.set_target(number, now));
        }
        60..72 => {
            if let Some(version) = serving {
                edit(sim, &id, |e| e.set_target(version.revision, now));
            }
        }
        72..88 => {
            let replicas = u32::try_from(sim.rng.between(1, 4)).expect("small");
            edit(sim, &id, |e| {
                e.formation.insert("web".parse().expect("a name"), replicas);
            });
        }
        88..94 => edit(sim, &id, |e| {
            e.wanted = if e.wanted == Wanted::Run { Wanted::Stopped } else { Wanted::Run };
        }),
        94..96 => edit(sim, &id, |e| {
            e.wanted = Wanted::Destroyed;
            e.target = None;
        }),
        _ => {}
    }
}

fn edit(sim: &mut Sim, id: &EnvironmentId, change: impl FnOnce(&mut super::sim::SimEnvironment)) {
    sim.trace.push(format!("{} edit of {id}", sim.world.now.0));
    change(sim.environments.get_mut(id).expect("known"));
}

fn deploy(sim: &mut Sim, id: &EnvironmentId) {
    let replicas = u32::try_from(sim.rng.between(1, 4)).expect("small");
    let web = behaviour(&mut sim.rng, false);
    let mut services = vec![("web", ServiceKind::Web, replicas, web)];
    if sim.rng.per_mille(400) {
        let worker = behaviour(&mut sim.rng, true);
        services.push(("worker", ServiceKind::Worker, 1, worker));
    }
    sim.trace.push(format!("{} deploy to {id}: {services:?}", sim.world.now.0));
    sim.deploy(id, &services);
}
