//! The whole control loop on a real database and the engine in memory: deploy, fail, crash, lie, stop, destroy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::fixtures::{service, stack_of};
use crate::engine::fake::{Call, FakeEngine, Fault, Listens, Script};
use crate::engine::{Engine, ImageFacts, OutputStream, Owner};
use crate::ingress;
use crate::ingress::snapshot::{Route, Snapshot};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{DomainId, EnvironmentId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::operations::{Kind, NewOperation, Operations};
use crate::releases::{Attempt, NewRevision, store as releases};
use crate::scheduler::handle::{Scheduler, SchedulerParts};
use crate::scheduler::health::Probe;
use crate::scheduler::memory::ProbeTarget;
use crate::scheduler::policy::Policy;
use crate::scheduler::prober::{Ask, diagnose};
use crate::scheduler::publisher::{Said, SnapshotPort};
use crate::scheduler::runs::TaskFailure;
use crate::stack::model::ReleaseCommand;
use crate::stack::{Service, ServiceKind, Stack};
use crate::store::Store;
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Domain;
use crate::tenancy::store::{domains, members, projects};
use crate::tenancy::vault::Vault;

/// A condition not reached within this is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the engine in memory where an instance listens, since nothing can be connected to.
struct AskEngine(FakeEngine);

impl Ask for AskEngine {
    fn ask<'a>(&'a self, target: &'a ProbeTarget, _look_closer: bool) -> BoxFuture<'a, Probe> {
        Box::pin(async move {
            let sockets = self.0.listening(&target.id).await.unwrap_or_default();
            let right = sockets.iter().any(|s| s.port() == target.address.port() && !s.ip().is_loopback());
            if right { Probe::Passed } else { diagnose(target.address.port(), &sockets) }
        })
    }
}

/// An ingress that applies every table at once.
#[derive(Clone, Default)]
struct Tables(Arc<Mutex<Vec<Snapshot>>>);

impl Tables {
    fn newest(&self) -> Option<Snapshot> {
        self.0.lock().unwrap().last().cloned()
    }

    /// Containers that get requests by the newest table.
    fn upstreams(&self) -> BTreeSet<String> {
        let routes = self.newest().map(|s| s.routes).unwrap_or_default();
        routes.into_iter().flat_map(|r| r.upstreams.into_iter().map(|u| u.id)).collect()
    }

    fn empty_reason(&self) -> Option<String> {
        self.newest().and_then(|s| s.routes.into_iter().find_map(|r| r.empty_reason))
    }
}

impl SnapshotPort for Tables {
    fn put<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        self.0.lock().unwrap().push(snapshot.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn said(&self) -> BoxFuture<'_, Result<Said, String>> {
        let said = self.newest().map(|s| Said { boot: s.boot, generation: s.generation, in_flight: BTreeMap::new() });
        Box::pin(std::future::ready(Ok(said.unwrap_or_default())))
    }
}

struct Platform {
    dir: tempfile::TempDir,
    store: Store,
    vault: Vault,
    clock: Clock,
    random: Random,
    engine: FakeEngine,
    operations: Operations,
    tables: Tables,
    scheduler: Scheduler,
    tenant: Tenant,
    owner: Owner,
    image: String,
    stop: CancellationToken,
}

impl Platform {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("wharf.db")).await.unwrap();
        let (clock, random) = (Clock::system(), Random::seeded(7));
        let vault = Vault::open(&dir.path().join("master.key"), true, &random).unwrap();
        let now = clock.now();
        let owner = Owner {
            tenant: TenantId::new(now, &random),
            project: ProjectId::new(now, &random),
            environment: EnvironmentId::new(now, &random),
        };
        let tenant = Tenant::platform(owner.tenant.clone());
        populate(&store, &vault, &tenant, &owner, now, &random).await;
        let engine = FakeEngine::new(clock.clone());
        let image = engine.add_image("app:1", ImageFacts::default());
        let operations = Operations::new(store.clone(), clock.clone(), random.clone());
        let tables = Tables::default();
        let stop = CancellationToken::new();
        let scheduler = start(&store, &vault, &clock, &random, &engine, &operations, &tables, dir.path());
        tokio::spawn(scheduler.clone().run(stop.clone()));
        Self { dir, store, vault, clock, random, engine, operations, tables, scheduler, tenant, owner, image, stop }
    }

    /// `kill -9` of the control plane, and its restart.
    fn restart(&mut self) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.scheduler = start(
            &self.store,
            &self.vault,
            &self.clock,
            &self.random,
            &self.engine,
            &self.operations,
            &self.tables,
            self.dir.path(),
        );
        tokio::spawn(self.scheduler.clone().run(self.stop.clone()));
    }

    fn web(&self, replicas: u32) -> Service {
        let mut web = service(ServiceKind::Web, replicas);
        web.image.id.clone_from(&self.image);
        web.stop_grace_seconds = 1;
        web
    }

    async fn deploy(&self, stack: &Stack) -> Attempt {
        let now = self.clock.now();
        let mut tx = self.store.write().await.unwrap();
        let environment = &self.owner.environment;
        let new =
            NewRevision { environment, stack, config_version: 0, source_commit: None, author: "ann", message: "m" };
        let number = releases::insert(&mut tx, &self.tenant, new, now, &self.random).await.unwrap();
        let attempt = releases::set_target(&mut tx, &self.tenant, environment, number, now).await.unwrap();
        tx.commit().await.unwrap();
        self.scheduler.nudge();
        attempt
    }

    async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let waiting = async {
            loop {
                let changed = self.scheduler.changed();
                if condition() {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(50), changed).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not reached: {what}; {:?}", self.scheduler.report(&self.owner.environment));
        }
    }

    async fn live(&self, attempt: Attempt) {
        let environment = &self.owner.environment;
        self.until("live", || self.scheduler.is_live(environment, attempt)).await;
    }

    async fn settled(&self) {
        let environment = &self.owner.environment;
        let from = self.scheduler.passes();
        let settled =
            || self.scheduler.passes() >= from + 2 && self.scheduler.report(environment).is_some_and(|r| r.settled);
        self.until("settled", settled).await;
    }

    async fn running(&self) -> Vec<(i64, String)> {
        let seen = self.engine.observe().await.unwrap();
        seen.into_iter().map(|c| (c.key.revision, c.id)).collect()
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a platform")]
fn start(
    store: &Store,
    vault: &Vault,
    clock: &Clock,
    random: &Random,
    engine: &FakeEngine,
    operations: &Operations,
    tables: &Tables,
    dir: &std::path::Path,
) -> Scheduler {
    let parts = SchedulerParts {
        store: store.clone(),
        vault: vault.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine: Arc::new(engine.clone()),
        operations: operations.clone(),
        ingress: ingress::Client::new(dir.join("nobody.sock")),
        portal: Route { id: "portal".to_owned(), hosts: vec!["wharf.localhost".to_owned()], ..Route::default() },
        apps_env: BTreeMap::new(),
    };
    let policy = Policy { backoff_first_ms: 50, misplaced_ms: 300, ..Policy::default() };
    Scheduler::with(parts, policy, Box::new(AskEngine(engine.clone())), Box::new(tables.clone()))
}

async fn populate(store: &Store, vault: &Vault, tenant: &Tenant, owner: &Owner, now: Timestamp, random: &Random) {
    let mut tx = store.write().await.unwrap();
    let (slug, key) = ("acme".parse().unwrap(), vault.new_tenant_key(&owner.tenant));
    let new = members::NewTenant { id: &owner.tenant, slug: &slug, name: "Acme", is_primary: true, sealed_key: &key };
    members::create_tenant(&mut tx, new, now).await.unwrap();
    projects::create_project(&mut tx, tenant, &owner.project, &"shop".parse().unwrap(), now).await.unwrap();
    let production = "production".parse().unwrap();
    projects::create_environment(&mut tx, tenant, &owner.project, &owner.environment, &production, now).await.unwrap();
    let domain = Domain {
        id: DomainId::new(now, random),
        environment_id: owner.environment.clone(),
        host: "shop.localhost".parse().unwrap(),
        service: "web".parse().unwrap(),
        is_default: true,
    };
    domains::add(&mut tx, tenant, &domain, now).await.unwrap();
    tx.commit().await.unwrap();
}

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
    let attempt = p
        .deploy(&stack_of([
            ("web", p.web(1)),
            ("worker", {
                let mut w = p.web(1);
                w.kind = ServiceKind::Worker;
                w.port = None;
                w.health = crate::stack::HealthCheck {
                    settle_ms: 50,
                    ..crate::stack::HealthCheck::default_for(ServiceKind::Worker)
                };
                w
            }),
        ]))
        .await;
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
    stack.release = Some(ReleaseCommand {
        service: "web".parse().unwrap(),
        command: vec!["migrate".to_owned()],
        deadline_seconds: 5,
    });
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
        let outcome = p.scheduler.run_release(&p.owner, attempt.revision, &stack, &operation, &log, &cancel).await;
        assert_eq!(outcome, expected);
    }
    assert_eq!(p.engine.count(), 1, "only the web instance is left");
}
