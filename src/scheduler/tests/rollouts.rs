//! Rollouts, pets and dependencies one by one, in a simulated world without faults.

use super::fixtures::service;
use super::sim::Sim;
use super::world::Behaviour;
use crate::kernel::id::EnvironmentId;
use crate::scheduler::policy::Bug;
use crate::stack::model::{Amount, Analysis, Care, Pause, Rollout, Step, Strategy};
use crate::stack::{Service, ServiceKind};

const GOOD: Behaviour = Behaviour::Good { listens_after: 300 };

fn world(bug: Option<Bug>) -> (Sim, EnvironmentId) {
    let mut sim = Sim::new(11, false, bug);
    sim.add_environment(0);
    let id = sim.environments.keys().next().cloned().expect("one");
    (sim, id)
}

fn web(replicas: u32, revision: u32, rollout: Rollout) -> Service {
    let mut web = service(ServiceKind::Web, replicas);
    web.environment.insert("REVISION".to_owned(), revision.to_string());
    web.rollout = rollout;
    web
}

/// Steps until the target has ended; gives what it came to, and the milliseconds it took.
fn ended(sim: &mut Sim, id: &EnvironmentId) -> Result<(Option<String>, i64), String> {
    let since = sim.world.now;
    while sim.environments[id].target.is_some() {
        let _ = sim.step(100, false)?;
    }
    let (_, reason) = sim.environments[id].outcomes.last().expect("it ended");
    Ok((reason.clone(), sim.world.now.since_ms(since)))
}

fn run(sim: &mut Sim, ms: i64) -> Result<(), String> {
    for _ in 0..ms / 100 {
        let _ = sim.step(100, false)?;
    }
    Ok(())
}

fn canary(rules: Option<Analysis>) -> Rollout {
    let step = |weight, seconds| Step { weight, pause: Pause { seconds: Some(seconds), ..Pause::default() } };
    Rollout {
        strategy: Strategy::Canary,
        steps: vec![step(10, 4), step(50, 4)],
        analysis: rules,
        keep_warm_seconds: Some(30),
        ..Rollout::default()
    }
}

fn rules() -> Analysis {
    Analysis { min_requests: 30, window_seconds: 2, ..Analysis::default() }
}

#[test]
fn a_canary_that_answers_with_errors_is_taken_back_with_the_figures() {
    let (mut sim, id) = world(None);
    sim.deploy(&id, vec![("web", web(4, 1, canary(None)), GOOD)]);
    assert_eq!(ended(&mut sim, &id).expect("holds").0, None);
    run(&mut sim, 2_000).expect("holds");
    let faulty = Behaviour::Faulty { listens_after: 300, permille: 300 };
    sim.deploy(&id, vec![("web", web(4, 2, canary(Some(rules()))), faulty)]);
    let (reason, took) = ended(&mut sim, &id).expect("holds");
    let reason = reason.expect("it is taken back");
    assert!(reason.starts_with("web of v2, with 10 % of the requests, answers "), "{reason}");
    assert!(reason.contains("with an error (") && reason.ends_with("the old version 0.0 %"), "{reason}");
    assert!(took < 15_000, "{took} ms");
    assert_eq!(sim.environments[&id].serving.map(|v| v.revision), Some(1));
}

#[test]
fn a_good_canary_goes_step_by_step_and_starts_as_few_instances_as_a_step_needs() {
    let (mut sim, id) = world(None);
    sim.deploy(&id, vec![("web", web(4, 1, canary(None)), GOOD)]);
    ended(&mut sim, &id).expect("holds");
    run(&mut sim, 2_000).expect("holds");
    sim.deploy(&id, vec![("web", web(4, 2, canary(Some(rules()))), GOOD)]);
    run(&mut sim, 4_000).expect("holds");
    let new = sim.world.containers.values().filter(|c| c.key.revision == 2).count();
    assert_eq!(new, 1, "10 % of 4 instances is one");
    let (reason, took) = ended(&mut sim, &id).expect("holds");
    assert_eq!(reason, None);
    assert!(took >= 4_000, "both steps took their time: {took} ms");
}

#[test]
fn a_verdict_that_is_ignored_is_found() {
    let (mut sim, id) = world(Some(Bug::IgnoreVerdict));
    sim.deploy(&id, vec![("web", web(2, 1, canary(None)), GOOD)]);
    ended(&mut sim, &id).expect("holds");
    let faulty = Behaviour::Faulty { listens_after: 300, permille: 300 };
    sim.deploy(&id, vec![("web", web(2, 2, canary(Some(rules()))), faulty)]);
    let found = ended(&mut sim, &id).expect_err("a property is broken");
    assert!(found.contains("does worse than the old one"), "{found}");
}

#[test]
fn blue_green_goes_back_in_an_instant_while_the_old_set_is_warm() {
    let (mut sim, id) = world(None);
    let blue = || Rollout { strategy: Strategy::BlueGreen, keep_warm_seconds: Some(30), ..Rollout::default() };
    for revision in 1..=2 {
        sim.deploy(&id, vec![("web", web(3, revision, blue()), GOOD)]);
        assert_eq!(ended(&mut sim, &id).expect("holds").0, None);
        run(&mut sim, 3_000).expect("holds");
    }
    assert_eq!(sim.world.containers.len(), 6, "the old set is kept");
    let now = sim.world.now;
    sim.environments.get_mut(&id).expect("known").set_target(1, true, now);
    let (reason, took) = ended(&mut sim, &id).expect("holds");
    assert_eq!(reason, None);
    assert!(took <= 300, "{took} ms");
    let routed = |sim: &Sim| {
        let of = |id: &String| sim.world.containers.get(id).map(|c| c.key.revision);
        sim.world.table.1.iter().filter_map(of).collect::<Vec<_>>()
    };
    run(&mut sim, 500).expect("holds");
    assert_eq!(routed(&sim), [1, 1, 1]);
    run(&mut sim, 60_000).expect("holds");
    assert_eq!(sim.world.containers.len(), 3, "what was warm is gone after its time");
}

#[test]
fn a_rolling_change_replaces_one_after_the_other_and_goes_back_when_it_fails() {
    let (mut sim, id) = world(None);
    let rolling = || Rollout { max_surge: Some(Amount::Count(1)), ..Rollout::default() };
    sim.deploy(&id, vec![("web", web(4, 1, rolling()), GOOD)]);
    ended(&mut sim, &id).expect("holds");
    run(&mut sim, 2_000).expect("holds");
    sim.deploy(&id, vec![("web", web(4, 2, rolling()), GOOD)]);
    let mut most = 0;
    while sim.environments[&id].target.is_some() {
        let _ = sim.step(100, false).expect("holds");
        let joined = sim.world.table.1.len();
        assert!(joined >= 4, "never fewer than wanted: {joined}");
        most = most.max(sim.world.containers.values().filter(|c| c.key.revision == 2).count());
    }
    assert_eq!(most, 4);
    // One that passes its checks first and dies then is taken back after some old ones have gone.
    run(&mut sim, 4_000).expect("holds");
    sim.deploy(&id, vec![("web", web(4, 3, rolling()), Behaviour::Fragile { dies_after: 2_000 })]);
    let (reason, _) = ended(&mut sim, &id).expect("holds");
    let reason = reason.expect("it is taken back");
    assert!(reason.contains("exited with code 4 twice in a row"), "{reason}");
    run(&mut sim, 4_000).expect("holds");
    assert_eq!(sim.world.containers.values().filter(|c| c.key.revision == 2).count(), 4, "all old ones are back");
}

fn pet() -> Service {
    Service { care: Care::Pet, ..service(ServiceKind::Database, 1) }
}

#[test]
fn a_pet_is_started_again_three_times_and_then_left_to_a_person() {
    let lives = |bug| {
        let (mut sim, id) = world(bug);
        sim.deploy(&id, vec![("db", pet(), Behaviour::Fragile { dies_after: 3_000 })]);
        ended(&mut sim, &id)?;
        run(&mut sim, 60_000)?;
        Ok::<Sim, String>(sim)
    };
    let mut sim = lives(None).expect("holds");
    let starts = |sim: &Sim| sim.trace.iter().filter(|line| line.contains("Restart")).count();
    assert_eq!(starts(&sim), 3, "{:#?}", sim.trace);
    let plan = sim.step(100, false).expect("holds");
    let report = plan.report.environments.into_values().next().expect("one");
    assert!(report.alarms[0].starts_with("db.1 was restarted 3 times in a row and exited with code 4 again"));
    sim.mend();
    sim.forgive();
    run(&mut sim, 5_000).expect("holds");
    assert_eq!(starts(&sim), 4, "somebody has looked");
    let found = lives(Some(Bug::NeverGiveUpPet)).err().expect("a property is broken");
    assert!(found.contains("is a pet that has ended 4 times in a row"), "{found}");
}

#[test]
fn a_changed_pet_is_handed_over_alone_and_the_old_one_comes_back_when_the_new_one_fails() {
    let (mut sim, id) = world(None);
    sim.deploy(&id, vec![("db", pet(), GOOD), ("web", web(1, 1, Rollout::default()), GOOD)]);
    ended(&mut sim, &id).expect("holds");
    // Only the web service has changed: the database goes on as it is.
    sim.deploy(&id, vec![("db", pet(), GOOD), ("web", web(1, 2, Rollout::default()), GOOD)]);
    ended(&mut sim, &id).expect("holds");
    run(&mut sim, 4_000).expect("holds");
    let versions = |sim: &Sim| {
        sim.world.containers.values().map(|c| (c.key.service.to_string(), c.key.revision)).collect::<Vec<_>>()
    };
    assert_eq!(versions(&sim), [("db".to_owned(), 1), ("web".to_owned(), 2)]);
    let mut other = pet();
    other.environment.insert("VERSION".to_owned(), "16".to_owned());
    let bad = Behaviour::ExitsAtOnce { after: 50 };
    sim.deploy(&id, vec![("db", other, bad), ("web", web(1, 3, Rollout::default()), GOOD)]);
    let (reason, _) = ended(&mut sim, &id).expect("one writer at a time");
    assert!(reason.expect("it fails").starts_with("db.1 exited with code 3 twice in a row"));
    run(&mut sim, 45_000).expect("holds");
    let mut left = versions(&sim);
    left.sort();
    assert_eq!(left, [("db".to_owned(), 1), ("web".to_owned(), 2)], "the old ones are back");
}
