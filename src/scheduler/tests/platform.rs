//! A small platform for tests: a real database, the engine in memory, an ingress that applies tables at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::fixtures::service;
use crate::engine::fake::FakeEngine;
use crate::engine::{Engine, ImageFacts, Owner};
use crate::ingress;
use crate::ingress::snapshot::{Route, Snapshot};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{DomainId, EnvironmentId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::releases::{Attempt, Kept, NewRevision, Progress, store as releases};
use crate::scheduler::handle::{Scheduler, SchedulerParts};
use crate::scheduler::health::Probe;
use crate::scheduler::memory::ProbeTarget;
use crate::scheduler::policy::Policy;
use crate::scheduler::prober::{Ask, ask_inside, diagnose};
use crate::scheduler::publisher::{Said, SnapshotPort};
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
            let port = target.address.map(|a| a.port());
            let sockets = self.0.listening(&target.id).await.unwrap_or_default();
            let right = |port| sockets.iter().any(|s| s.port() == port && !s.ip().is_loopback());
            match (port, &target.check.command) {
                (Some(port), _) if !right(port) => diagnose(port, &sockets),
                (_, Some(command)) => ask_inside(&self.0, target, command).await,
                (_, None) => Probe::Passed,
            }
        })
    }
}

/// An ingress that applies every table at once.
#[derive(Clone, Default)]
pub(super) struct Tables(pub Arc<Mutex<Vec<Snapshot>>>);

impl Tables {
    pub(super) fn newest(&self) -> Option<Snapshot> {
        self.0.lock().unwrap().last().cloned()
    }

    /// Containers that get requests by the newest table.
    pub(super) fn upstreams(&self) -> BTreeSet<String> {
        let routes = self.newest().map(|s| s.routes).unwrap_or_default();
        routes.into_iter().flat_map(|r| r.upstreams.into_iter().map(|u| u.id)).collect()
    }

    pub(super) fn empty_reason(&self) -> Option<String> {
        self.newest().and_then(|s| s.routes.into_iter().find_map(|r| r.empty_reason))
    }
}

impl SnapshotPort for Tables {
    fn put<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
        self.0.lock().unwrap().push(snapshot.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn said(&self, _counts: bool) -> BoxFuture<'_, Result<Said, String>> {
        let said = self.newest().map(|s| Said { boot: s.boot, generation: s.generation, ..Said::default() });
        Box::pin(std::future::ready(Ok(said.unwrap_or_default())))
    }
}

pub(super) struct Platform {
    dir: tempfile::TempDir,
    pub store: Store,
    vault: Vault,
    clock: Clock,
    random: Random,
    pub engine: FakeEngine,
    pub operations: Operations,
    pub tables: Tables,
    pub scheduler: Scheduler,
    pub tenant: Tenant,
    pub owner: Owner,
    image: String,
    stop: CancellationToken,
}

impl Platform {
    pub(super) async fn new() -> Self {
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
    pub(super) fn restart(&mut self) {
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

    pub(super) fn web(&self, replicas: u32) -> Service {
        let mut web = service(ServiceKind::Web, replicas);
        web.image.id.clone_from(&self.image);
        web.stop_grace_seconds = 1;
        web
    }

    pub(super) async fn deploy(&self, stack: &Stack) -> Attempt {
        let now = self.clock.now();
        let mut tx = self.store.write().await.unwrap();
        let environment = &self.owner.environment;
        let new =
            NewRevision { environment, stack, config_version: 0, source_commit: None, author: "ann", message: "m" };
        let number = releases::insert(&mut tx, &self.tenant, new, now, &self.random).await.unwrap();
        let attempt =
            releases::set_target(&mut tx, &self.tenant, environment, number, (&Kept::new(), &Progress::default()), now)
                .await
                .unwrap();
        tx.commit().await.unwrap();
        self.scheduler.nudge();
        attempt
    }

    pub(super) async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
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

    pub(super) async fn live(&self, attempt: Attempt) {
        let environment = &self.owner.environment;
        self.until("live", || self.scheduler.is_live(environment, attempt)).await;
    }

    pub(super) async fn settled(&self) {
        let environment = &self.owner.environment;
        let from = self.scheduler.passes();
        let settled = || {
            self.scheduler.nudge();
            self.scheduler.passes() >= from + 2 && self.scheduler.report(environment).is_some_and(|r| r.settled)
        };
        self.until("settled", settled).await;
    }

    pub(super) async fn running(&self) -> Vec<(i64, String)> {
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
        https_port: None,
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
