//! The loop over a real database and the engine in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stack_of;
use crate::engine::fake::{Call, FakeEngine, Fault, Script};
use crate::engine::{Engine, ImageFacts, OutputStream, Owner};
use crate::ingress;
use crate::jobs::model::{AttemptState, Kind, Run, RunState, Subject, Trigger};
use crate::jobs::program::definition;
use crate::jobs::store::runs;
use crate::jobs::{Jobs, JobsParts, StartError};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{EnvironmentId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::releases::{Kept, NewRevision, Progress, store as releases};
use crate::scheduler::{Scheduler, SchedulerParts};
use crate::stack::Stack;
use crate::store::Store;
use crate::tenancy::access::Tenant;
use crate::tenancy::store::{members, projects};
use crate::tenancy::vault::Vault;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    dir: tempfile::TempDir,
    store: Store,
    vault: Vault,
    clock: Clock,
    random: Random,
    engine: FakeEngine,
    owner: Owner,
    tenant: Tenant,
    jobs: Jobs,
    operations: Operations,
    stop: CancellationToken,
    stack: Stack,
}

impl World {
    /// One app with this manifest, which serves; its services behave by their scripts.
    async fn of(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("wharf.db")).await.unwrap();
        let (clock, random) = (Clock::fake(Timestamp(1_772_323_210_000)), Random::seeded(3));
        let vault = Vault::open(&dir.path().join("master.key"), true, &random).unwrap();
        let now = clock.now();
        let owner = Owner {
            tenant: TenantId::new(now, &random),
            project: ProjectId::new(now, &random),
            environment: EnvironmentId::new(now, &random),
        };
        let tenant = Tenant::platform(owner.tenant.clone());
        let engine = FakeEngine::new(clock.clone());
        let image = engine.add_image("tool:1", ImageFacts::default());
        let mut stack = stack_of(manifest);
        stack.services.values_mut().for_each(|s| s.image.id.clone_from(&image));
        populate(&store, &vault, &tenant, &owner, &stack, now, &random).await;
        let operations = Operations::new(store.clone(), clock.clone(), random.clone());
        let jobs = jobs_over(&store, &vault, &clock, &random, &engine, &operations, dir.path());
        let stop = CancellationToken::new();
        let world = Self { dir, store, vault, clock, random, engine, owner, tenant, jobs, operations, stop, stack };
        world.begin().await;
        world
    }

    async fn begin(&self) {
        self.jobs.recover().await.unwrap();
        tokio::spawn(self.jobs.clone().run(self.stop.clone()));
    }

    /// `kill -9` of the control plane, and its restart.
    async fn restart(&mut self) {
        self.kill();
        self.stop = CancellationToken::new();
        self.operations = Operations::new(self.store.clone(), self.clock.clone(), self.random.clone());
        let (store, vault, operations) = (&self.store, &self.vault, &self.operations);
        self.jobs = jobs_over(store, vault, &self.clock, &self.random, &self.engine, operations, self.dir.path());
        self.begin().await;
    }

    /// Ends it at once, in the middle of what it does.
    fn kill(&self) {
        self.stop.cancel();
        self.jobs.inner.end.cancel();
    }

    fn subject(kind: Kind, name: &str) -> Subject {
        Subject { kind, name: name.to_owned() }
    }

    async fn start(&self, kind: Kind, name: &str, parameters: &[(&str, &str)]) -> Result<Run, StartError> {
        let definition = definition(&self.stack, &Self::subject(kind, name)).expect("it is in the manifest");
        let given: BTreeMap<_, _> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.jobs.start(&self.tenant, &self.owner.environment, &definition, 1, given, "ann").await
    }

    async fn run(&self, kind: Kind, name: &str, number: i64) -> Option<Run> {
        let subject = Self::subject(kind, name);
        runs::get(&self.store, &self.tenant, &self.owner.environment, &subject, number).await.unwrap()
    }

    /// Polls until a run is as wanted; time passes meanwhile.
    async fn until(&self, kind: Kind, name: &str, number: i64, wanted: impl Fn(&Run) -> bool) -> Run {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let run = self.run(kind, name, number).await;
            if let Some(run) = run.as_ref().filter(|r| wanted(r)) {
                return run.clone();
            }
            assert!(tokio::time::Instant::now() < end, "run {number} of {name} did not become so: {run:?}");
            self.clock.advance_ms(200);
            self.jobs.nudge();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ended(&self, kind: Kind, name: &str, number: i64) -> Run {
        self.until(kind, name, number, |r| r.state.is_final()).await
    }

    async fn log(&self, run: &Run) -> Vec<String> {
        let lines = self.operations.lines(&self.tenant, &run.id, 0).await.unwrap();
        lines.into_iter().map(|l| l.line).collect()
    }

    async fn at_rest(&self) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.engine.count() > 0 {
            let left = self.engine.observe().await;
            assert!(tokio::time::Instant::now() < end, "containers are left behind: {left:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.engine.volumes(false).await.unwrap(), [], "no files are left behind");
    }
}

async fn populate(
    store: &Store,
    vault: &Vault,
    tenant: &Tenant,
    owner: &Owner,
    stack: &Stack,
    now: Timestamp,
    random: &Random,
) {
    let mut tx = store.write().await.unwrap();
    let (slug, key) = ("acme".parse().unwrap(), vault.new_tenant_key(&owner.tenant));
    let new = members::NewTenant { id: tenant.id(), slug: &slug, name: "Acme", is_primary: true, sealed_key: &key };
    members::create_tenant(&mut tx, new, now).await.unwrap();
    projects::create_project(&mut tx, tenant, &owner.project, &"shop".parse().unwrap(), now).await.unwrap();
    let environment = &owner.environment;
    let slug = "production".parse().unwrap();
    projects::create_environment(&mut tx, tenant, &owner.project, environment, &slug, now).await.unwrap();
    let new = NewRevision { environment, stack, config_version: 0, source_commit: None, author: "ann", message: "x" };
    let number = releases::insert(&mut tx, tenant, new, now, random).await.unwrap();
    let attempt = releases::set_target(&mut tx, tenant, environment, number, (&Kept::new(), &Progress::default()), now)
        .await
        .unwrap();
    releases::mark_serving(&mut tx, tenant, environment, attempt, None).await.unwrap();
    tx.commit().await.unwrap();
}

fn jobs_over(
    store: &Store,
    vault: &Vault,
    clock: &Clock,
    random: &Random,
    engine: &FakeEngine,
    operations: &Operations,
    folder: &std::path::Path,
) -> Jobs {
    let engine: Arc<dyn Engine> = Arc::new(engine.clone());
    let scheduler = Scheduler::new(SchedulerParts {
        store: store.clone(),
        vault: vault.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine: Arc::clone(&engine),
        operations: operations.clone(),
        ingress: ingress::Client::new(folder.join("ingress.sock")),
        portal: ingress::snapshot::Route::default(),
        apps_env: BTreeMap::new(),
        https_port: None,
    });
    Jobs::new(JobsParts {
        store: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine,
        operations: operations.clone(),
        scheduler,
    })
}

const TOOLS: &str = "
services:
  tool: {image: 'tool:1', x-wharf: {job: {start: manual, retries: 1, retry_delay: 1s, deadline: 60s}}}
x-wharf:
  workflows:
    nightly:
      parameters: {DAY: {default: today}}
      steps:
        dump: {service: tool, command: [dump], artifacts: [out.sql]}
        load: {service: tool, command: [load], needs: [dump], for_each: [a, b, c]}
        tell: {service: tool, command: [tell], when: on_failure}
";

const TICK: &str = "
services:
  tick: {image: 'tool:1', x-wharf: {schedule: '* * * * *', job: {deadline: 10m, history: 3}}}
";

#[tokio::test]
async fn a_job_runs_once_with_its_output_and_leaves_nothing() {
    let world = World::of(TOOLS).await;
    world.engine.script("tool", [Script::exits(500, 0).printing(100, OutputStream::Stdout, "working")]);
    let started = world.start(Kind::Job, "tool", &[("WHO", "ann")]).await.unwrap();
    assert_eq!((started.number, started.state, started.trigger), (1, RunState::Running, Trigger::Manual));
    let refused = world.start(Kind::Job, "tool", &[]).await.unwrap_err().to_string();
    assert!(refused.contains("run 1 was still under way"), "{refused}");
    let run = world.ended(Kind::Job, "tool", 1).await;
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Succeeded, Some("done")));
    assert_eq!(world.log(&run).await, ["tool, try 1 of 2", "working", "tool: done"]);
    world.at_rest().await;
}

#[tokio::test]
async fn a_failure_is_tried_again_and_told_by_its_true_reason() {
    let world = World::of(TOOLS).await;
    world.engine.script("tool", [Script::runs_out_of_memory(100), Script::exits(100, 3)]);
    world.start(Kind::Job, "tool", &[]).await.unwrap();
    let run = world.ended(Kind::Job, "tool", 1).await;
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Failed, Some("it ended with exit code 3")));
    let log = world.log(&run).await.join("\n");
    assert!(log.contains("tool: it used more memory than its limit allows"), "{log}");
    world.engine.script("tool", [Script::start_fails("no such program"), Script::exits(100, 0)]);
    world.start(Kind::Job, "tool", &[]).await.unwrap();
    assert_eq!(world.ended(Kind::Job, "tool", 2).await.state, RunState::Succeeded);
    world.engine.script("tool", [Script { ignores_stop: true, ..Script::default() }]);
    world.start(Kind::Job, "tool", &[]).await.unwrap();
    let late = world.ended(Kind::Job, "tool", 3).await;
    assert!(late.reason.as_deref().is_some_and(|r| r.contains("took longer than its 60 s")), "{late:?}");
    world.at_rest().await;
}

#[tokio::test]
async fn a_workflow_passes_through_a_crash_of_the_control_plane_and_of_nothing_else() {
    let mut world = World::of(TOOLS).await;
    let dump =
        Script::exits(3_000, 0).printing(100, OutputStream::Stdout, "one").printing(2_000, OutputStream::Stdout, "two");
    world.engine.script("tool", [dump, Script::exits(2_000, 0)]);
    world.start(Kind::Workflow, "nightly", &[]).await.unwrap();
    let subject = World::subject(Kind::Workflow, "nightly");
    let (environment, tenant) = (world.owner.environment.clone(), world.tenant.clone());
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (run, attempts, _) = world.jobs.look(&tenant, &environment, &subject, 1).await.unwrap().unwrap();
        if attempts.iter().any(|a| a.state == AttemptState::Running)
            && world.log(&run).await.iter().any(|l| l.ends_with("one"))
        {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "it did not begin");
        world.clock.advance_ms(100);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.restart().await;
    let run = world.ended(Kind::Workflow, "nightly", 1).await;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    let (_, attempts, decision) = world.jobs.look(&tenant, &environment, &subject, 1).await.unwrap().unwrap();
    let made: Vec<(u32, &str, u32)> = attempts.iter().map(|a| (a.serial, a.step.as_str(), a.item)).collect();
    assert_eq!(made, [(1, "dump", 0), (2, "load", 0), (3, "load", 1), (4, "load", 2)], "nothing ran twice");
    assert_eq!(decision.standings["tell"].as_str(), "skipped");
    let log = world.log(&run).await;
    let said = |line: &str| log.iter().filter(|l| *l == line).count();
    assert_eq!((said("dump | one"), said("dump | two")), (1, 1), "each line is there once: {log:?}");
    world.at_rest().await;
}

#[tokio::test]
async fn a_container_that_went_while_nobody_looked_is_a_failure_and_not_a_second_start() {
    let mut world = World::of(TOOLS).await;
    world.engine.script("tool", [Script::default(), Script::exits(100, 0)]);
    world.start(Kind::Workflow, "nightly", &[]).await.unwrap();
    let subject = World::subject(Kind::Workflow, "nightly");
    let (environment, tenant) = (world.owner.environment.clone(), world.tenant.clone());
    let end = tokio::time::Instant::now() + PATIENCE;
    let container = loop {
        let (_, attempts, _) = world.jobs.look(&tenant, &environment, &subject, 1).await.unwrap().unwrap();
        if let Some(id) = attempts.first().and_then(|a| a.container.clone()) {
            break id;
        }
        assert!(tokio::time::Instant::now() < end, "it did not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    world.kill();
    world.engine.vanish(&container);
    world.restart().await;
    let run = world.ended(Kind::Workflow, "nightly", 1).await;
    assert_eq!(run.reason.as_deref(), Some("step `dump`: its container is gone"));
    let (_, attempts, decision) = world.jobs.look(&tenant, &environment, &subject, 1).await.unwrap().unwrap();
    assert_eq!(attempts.iter().map(|a| a.step.as_str()).collect::<Vec<_>>(), ["dump", "tell"]);
    assert_eq!((decision.standings["load"].as_str(), decision.standings["tell"].as_str()), ("skipped", "succeeded"));
    world.at_rest().await;
}

#[tokio::test]
async fn a_schedule_fires_skips_what_overlaps_and_keeps_a_history() {
    let world = World::of(TICK).await;
    world.engine.script("tick", [Script::exits(90_000, 0), Script::exits(100, 0)]);
    let first = world.ended(Kind::Job, "tick", 1).await;
    assert_eq!((first.state, first.trigger), (RunState::Succeeded, Trigger::Schedule));
    assert_eq!(first.scheduled_for.map(|m| m.0 % 60_000), Some(0));
    let second = world.ended(Kind::Job, "tick", 2).await;
    assert_eq!(
        (second.state, second.reason.as_deref()),
        (RunState::Skipped, Some("run 1 was still under way when its time came"))
    );
    world.ended(Kind::Job, "tick", 6).await;
    let subject = World::subject(Kind::Job, "tick");
    let kept = world.jobs.history(&world.tenant, &world.owner.environment, &subject, 100).await.unwrap();
    let ended = kept.iter().filter(|r| r.state.is_final()).count();
    assert!((3..=4).contains(&ended), "three are kept: {:?}", kept.iter().map(|r| r.number).collect::<Vec<_>>());
    assert!(world.operations.get(&world.tenant, &first.id).await.unwrap().is_none(), "its log went with it");
    assert!(world.jobs.suspend(&world.tenant, &world.owner.environment, &subject, Some("ann")).await.unwrap());
    let listed = world.jobs.list(&world.tenant, &world.owner.environment, &world.stack, false).await.unwrap();
    let tick = listed.iter().find(|l| l.definition.subject == subject).unwrap();
    assert_eq!((tick.upcoming.len(), tick.suspended_by.as_deref()), (0, Some("ann")));
}

#[tokio::test]
async fn an_engine_that_is_away_delays_and_a_cancelled_run_ends() {
    let world = World::of(TOOLS).await;
    world.engine.fail_always(Call::Start, Fault::Unreachable);
    world.start(Kind::Job, "tool", &[]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.run(Kind::Job, "tool", 1).await.unwrap().state, RunState::Running);
    world.engine.heal();
    let id = world.until(Kind::Job, "tool", 1, |_| world.engine.count() > 0).await.id;
    assert!(world.jobs.cancel(&world.tenant, &id, "ann").await.unwrap());
    assert!(!world.jobs.cancel(&world.tenant, &id, "bob").await.unwrap(), "once is enough");
    let run = world.ended(Kind::Job, "tool", 1).await;
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Cancelled, Some("cancelled by ann")));
    world.at_rest().await;
}
