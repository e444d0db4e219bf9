//! What people do to a simulated platform.

use super::fixtures::service;
use super::sim::Sim;
use super::world::{Behaviour, Rng};
use crate::kernel::id::EnvironmentId;
use crate::scheduler::model::Wanted;
use crate::stack::model::{
    Amount, Analysis, Care, Criticality, Dependency, DependencyCondition, FailureAction, Job, Pause, Rollout, Step,
    Strategy,
};
use crate::stack::{Service, ServiceKind};

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
            if !sim.admits(&id, &sim.environments[&id].revision(number).stack, &sim.environments[&id].formation) {
                return;
            }
            edit(sim, &id, |e| e.set_target(number, true, now));
        }
        60..72 => {
            if let Some(version) = serving {
                edit(sim, &id, |e| e.set_target(version.revision, false, now));
            }
        }
        72..78 if e.target.is_some() => {
            let choice = sim.rng.next() % 8;
            edit(sim, &id, |e| {
                // What is refused changes nothing.
                let _ = match choice {
                    0..3 => e.progress.pause("ann", now),
                    3..5 => e.progress.resume(now),
                    5..7 => e.progress.promote(false, now),
                    _ => e.progress.promote(true, now),
                };
            });
        }
        78..80 => edit(sim, &id, |e| e.progress.withdraw("aborted", now)),
        72..88 => {
            let replicas = u32::try_from(sim.rng.between(1, 4)).expect("small");
            let e = &sim.environments[&id];
            let mut formation = e.formation.clone();
            formation.insert("web".parse().expect("a name"), replicas);
            let wanted = [e.serving_release(), e.target_release()];
            if wanted.into_iter().flatten().all(|release| sim.admits(&id, &release.stack, &formation)) {
                edit(sim, &id, |e| e.formation = formation);
            }
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

/// A new revision: a web service in one of the ways to change it, and what it may depend on.
fn deploy(sim: &mut Sim, id: &EnvironmentId) {
    let replicas = u32::try_from(sim.rng.between(1, 4)).expect("small");
    let mut web = service(ServiceKind::Web, replicas);
    web.rollout = rollout(&mut sim.rng);
    web.criticality = criticality(&mut sim.rng);
    // Every revision differs in this, so that this service is always changed.
    web.environment.insert("REVISION".to_owned(), sim.environments[id].revisions.len().to_string());
    let mut behaviour_of_web = behaviour(&mut sim.rng, false);
    if sim.rng.per_mille(120) {
        behaviour_of_web = Behaviour::Faulty { listens_after: 100, permille: 400 };
    }
    let mut services = Vec::new();
    if sim.rng.per_mille(400) {
        let kind = behaviour(&mut sim.rng, true);
        services.push(("worker", changing(sim, service(ServiceKind::Worker, 1)), kind));
    }
    if sim.rng.per_mille(400) {
        let mut db = service(ServiceKind::Database, 1);
        if sim.rng.per_mille(700) {
            db.care = Care::Pet;
        }
        web.depends_on.insert("db".parse().expect("a name"), needs(DependencyCondition::Healthy));
        let kind =
            if sim.rng.per_mille(150) { behaviour(&mut sim.rng, true) } else { Behaviour::Good { listens_after: 300 } };
        services.push(("db", changing(sim, db), kind));
    }
    if sim.rng.per_mille(200) {
        let mut job = service(ServiceKind::Job, 0);
        job.job = Some(Job::default());
        web.depends_on.insert("migrate".parse().expect("a name"), needs(DependencyCondition::Completed));
        let bad = sim.rng.per_mille(200);
        let kind = if bad { Behaviour::ExitsAtOnce { after: 100 } } else { Behaviour::Completes { after: 400 } };
        services.push(("migrate", job, kind));
    }
    services.push(("web", web, behaviour_of_web));
    let short: Vec<_> = services.iter().map(|(n, s, b)| (*n, s.rollout.strategy, s.replicas, *b)).collect();
    sim.trace.push(format!("{} deploy to {id}: {short:?}", sim.world.now.0));
    sim.deploy(id, services);
}

/// The same service as before in most deploys, so that it is kept.
fn changing(sim: &mut Sim, mut service: Service) -> Service {
    let kind = sim.rng.next() % 3;
    service.environment.insert("KIND".to_owned(), kind.to_string());
    service.criticality = if kind == 0 { Criticality::Low } else { Criticality::High };
    service
}

fn criticality(rng: &mut Rng) -> Criticality {
    match rng.next() % 8 {
        0 => Criticality::Critical,
        1 | 2 => Criticality::High,
        3 | 4 => Criticality::Low,
        _ => Criticality::Normal,
    }
}

fn needs(condition: DependencyCondition) -> Dependency {
    Dependency { condition, optional: false, restart: false }
}

fn rollout(rng: &mut Rng) -> Rollout {
    let mut rollout = Rollout { keep_warm_seconds: Some(10), ..Rollout::default() };
    match rng.next() % 4 {
        0 => rollout.strategy = Strategy::BlueGreen,
        1 => {
            rollout.strategy = Strategy::Canary;
            let pause = |rng: &mut Rng| Pause {
                seconds: rng.per_mille(500).then_some(3),
                requests: rng.per_mille(300).then_some(20),
                manual: rng.per_mille(150),
            };
            rollout.steps = vec![Step { weight: 10, pause: pause(rng) }, Step { weight: 50, pause: pause(rng) }];
            let rules = Analysis { min_requests: 20, window_seconds: 2, ..Analysis::default() };
            rollout.analysis = rng.per_mille(600).then_some(rules);
        }
        n => {
            rollout.max_unavailable = (n == 2).then_some(Amount::Count(1));
            rollout.max_surge = (n == 2).then_some(Amount::Count(u32::from(rng.per_mille(500))));
            if rng.per_mille(300) {
                rollout.on_failure = FailureAction::Pause;
            }
        }
    }
    rollout
}
