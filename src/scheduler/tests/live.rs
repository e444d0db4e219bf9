//! The whole control loop on a real database and the engine in memory: deploy, fail, crash, lie, stop, destroy.

use std::collections::BTreeSet;

use super::fixtures::stack_of;
use super::platform::Platform;
use crate::engine::fake::{Call, Fault, Listens, Script};
use crate::engine::{Engine, OutputStream};
use crate::operations::{Kind, NewOperation};
use crate::releases::store as releases;
use crate::scheduler::runs::TaskFailure;
use crate::stack::model::ReleaseCommand;
use crate::stack::{HealthCheck, Service, ServiceKind};
use crate::tenancy::store::projects;

#[tokio::test]
async fn a_deploy_takes_over_as_a_whole_and_the_old_release_goes() {
    let p = Platform::new().await;
    p.until("a first table", || p.tables.newest().is_some()).await;
    assert_eq!(p.tables.empty_reason().as_deref(), Some("nothing has been deployed yet"));
    let first = p.deploy(&stack_of([("web", p.web(2))])).await;
    p.live(first).await;
    let old = p.tables.upstreams();
    assert_eq!(old.len(), 2);
    let second = p.deploy(&stack_of([("web", p.web(2))])).await;
    p.live(second).await;
    p.settled().await;
    let new: BTreeSet<String> = p
        .running()
        .await
        .into_iter()
        .map(|(revision, id)| {
            assert_eq!(revision, 2);
            id
        })
        .collect();
    assert_eq!(p.tables.upstreams(), new, "exactly the new instances are left and get requests");
    assert!(old.is_disjoint(&new));
    // No table ever mixed or was empty in between.
    let tables = p.tables.0.lock().unwrap().clone();
    let served: Vec<usize> = tables.iter().map(|t| t.routes.iter().map(|r| r.upstreams.len()).sum()).collect();
    assert_eq!(served.iter().skip_while(|n| **n == 0).find(|n| **n != 2), None, "{served:?}");
}

#[tokio::test]
async fn a_release_that_exits_is_given_up_with_its_last_words_and_the_old_one_serves() {
    let p = Platform::new().await;
    let first = p.deploy(&stack_of([("web", p.web(1))])).await;
    p.live(first).await;
    let before = p.tables.upstreams();
    let bad = Script::exits(30, 3).printing(10, OutputStream::Stderr, "Error: Cannot find module 'express'");
    p.engine.script("web", [bad]);
    let second = p.deploy(&stack_of([("web", p.web(1))])).await;
    let environment = p.owner.environment.clone();
    p.until("given up", || p.scheduler.failure(&environment, second).is_some()).await;
    let reason = p.scheduler.failure(&environment, second).unwrap();
    assert!(reason.starts_with("web.1 exited with code 3 twice in a row"), "{reason}");
    assert!(reason.ends_with("its last line: Error: Cannot find module 'express'"), "{reason}");
    p.settled().await;
    assert_eq!(p.tables.upstreams(), before);
    assert_eq!(p.running().await.len(), 1, "nothing of the bad release is left");
    let stored = releases::get(&p.store, &p.tenant, &environment, 2).await.unwrap().unwrap();
    assert_eq!(stored.failed_reason, Some(reason));
}

#[tokio::test]
async fn a_wrong_port_is_said_exactly() {
    let p = Platform::new().await;
    let address = "127.0.0.1:3000".parse().unwrap();
    p.engine.script("web", [Script { listens: Listens::At { after_ms: 0, address }, ..Script::default() }]);
    let attempt = p.deploy(&stack_of([("web", p.web(1))])).await;
    let environment = p.owner.environment.clone();
    p.until("given up", || p.scheduler.failure(&environment, attempt).is_some()).await;
    assert_eq!(
        p.scheduler.failure(&environment, attempt).unwrap(),
        "web.1 listens on 127.0.0.1:3000, expected 0.0.0.0:8080 (read the PORT variable and bind to 0.0.0.0)"
    );
}

#[tokio::test]
async fn a_missing_image_is_said_at_once() {
    let p = Platform::new().await;
    let mut web = p.web(1);
    web.image.id = "sha256:none".to_owned();
    let attempt = p.deploy(&stack_of([("web", web)])).await;
    let environment = p.owner.environment.clone();
    p.until("given up", || p.scheduler.failure(&environment, attempt).is_some()).await;
    let reason = p.scheduler.failure(&environment, attempt).unwrap();
    assert!(reason.starts_with("web.1 could not be started: its image sha256:none cannot be had"), "{reason}");
}

#[tokio::test]
async fn a_crashed_instance_leaves_the_routes_and_comes_back() {
    let p = Platform::new().await;
    let attempt = p.deploy(&stack_of([("web", p.web(2))])).await;
    p.live(attempt).await;
    let victim = p.tables.upstreams().pop_first().unwrap();
    p.engine.crash(&victim, 1);
    p.until("out of the routes", || !p.tables.upstreams().contains(&victim)).await;
    assert_eq!(p.tables.upstreams().len(), 1, "the other one goes on");
    p.until("back", || p.tables.upstreams().contains(&victim)).await;
    p.settled().await;
}

#[tokio::test]
async fn a_restart_of_the_control_plane_drops_nothing_even_when_the_engine_shows_an_empty_list() {
    let mut p = Platform::new().await;
    let attempt = p.deploy(&stack_of([("web", p.web(2))])).await;
    p.live(attempt).await;
    p.settled().await;
    let before = p.tables.upstreams();
    let tables_before = p.tables.0.lock().unwrap().len();
    p.engine.fail_next(Call::Observe, Fault::Unreachable);
    p.engine.fail_next(Call::Observe, Fault::Empty);
    p.restart();
    p.live(attempt).await;
    p.settled().await;
    assert_eq!(p.tables.upstreams(), before, "the same instances were adopted");
    for table in p.tables.0.lock().unwrap().iter().skip(tables_before) {
        let ids: BTreeSet<_> = table.routes.iter().flat_map(|r| r.upstreams.iter().map(|u| u.id.clone())).collect();
        assert_eq!(ids, before);
    }
}

#[tokio::test]
async fn an_engine_that_fails_and_then_lies_changes_nothing() {
    let p = Platform::new().await;
    let attempt = p.deploy(&stack_of([("web", p.web(2))])).await;
    p.live(attempt).await;
    p.settled().await;
    let tables_before = p.tables.0.lock().unwrap().len();
    let environment = p.owner.environment.clone();
    p.engine.fail_always(Call::Observe, Fault::Unreachable);
    p.scheduler.nudge();
    p.until("blind", || p.scheduler.blind().is_some()).await;
    let report = p.scheduler.report(&environment).unwrap();
    assert!(!report.settled && report.waits[0].contains("does not answer"), "{:?}", report.waits);
    p.engine.heal();
    p.engine.fail_next(Call::Observe, Fault::Empty);
    p.settled().await;
    assert_eq!(p.tables.0.lock().unwrap().len(), tables_before, "the routes were never touched");
    assert_eq!(p.running().await.len(), 2);
}

#[tokio::test]
async fn stopping_empties_the_routes_with_a_reason_and_destroying_leaves_nothing() {
    let p = Platform::new().await;
    let health = HealthCheck { settle_ms: 50, ..HealthCheck::default_for(ServiceKind::Worker) };
    let worker = Service { kind: ServiceKind::Worker, port: None, health, ..p.web(1) };
    let attempt = p.deploy(&stack_of([("web", p.web(1)), ("worker", worker)])).await;
    p.live(attempt).await;
    let environment = p.owner.environment.clone();
    let mut tx = p.store.write().await.unwrap();
    releases::set_stopped(&mut tx, &p.tenant, &environment, true).await.unwrap();
    tx.commit().await.unwrap();
    p.settled().await;
    assert_eq!((p.tables.empty_reason().as_deref(), p.engine.count()), (Some("the app is stopped"), 0));
    let mut tx = p.store.write().await.unwrap();
    projects::mark_destroyed(&mut tx, &p.tenant, &environment).await.unwrap();
    tx.commit().await.unwrap();
    p.settled().await;
    assert_eq!(p.engine.networks().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_release_command_runs_with_its_output_in_the_log_and_leaves_no_container() {
    let p = Platform::new().await;
    let mut stack = stack_of([("web", p.web(1))]);
    let release =
        ReleaseCommand { service: "web".parse().unwrap(), command: vec!["migrate".to_owned()], deadline_seconds: 5 };
    stack.release = Some(release.clone());
    let attempt = p.deploy(&stack).await;
    p.live(attempt).await;
    for (script, expected) in [
        (Script::exits(60, 0).printing(10, OutputStream::Stdout, "migrated 3 tables"), Ok(())),
        (Script::exits(10, 4), Err(TaskFailure::Failed("the release command exited with code 4".to_owned()))),
    ] {
        p.engine.script("web", [script]);
        let mut tx = p.store.write().await.unwrap();
        let new = NewOperation {
            environment: p.owner.environment.clone(),
            kind: Kind::Deploy,
            exclusive: false,
            phase: "release",
            actor: "ann".to_owned(),
            cause: "test".to_owned(),
            input: "{}".to_owned(),
            revision: Some(1),
            deadline_seconds: 60,
        };
        let operation = p.operations.begin(&mut tx, &p.tenant, new).await.unwrap();
        tx.commit().await.unwrap();
        let cancel = p.operations.start(&operation).await.unwrap();
        let log = p.operations.log(&operation.id);
        let outcome = p.scheduler.run_release(&p.owner, attempt.revision, &release, &operation, &log, &cancel).await;
        assert_eq!(outcome, expected);
    }
    assert_eq!(p.engine.count(), 1, "only the web instance is left");
}
