//! Measures the scheduler: planning 10,000 instances, and what 1,000 services cost that just run.
//!
//! `cargo bench --bench scheduler` prints a Markdown table; `-- plan` or `-- idle` measures one half only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wharf::engine::fake::FakeEngine;
use wharf::engine::{ContainerState, ImageFacts, InstanceKey, Observed, Owner, Role};
use wharf::ingress::snapshot::Route;
use wharf::ingress::{self, IngressConfig};
use wharf::kernel::clock::{Clock, Timestamp};
use wharf::kernel::id::{DomainId, EnvironmentId, ProjectId, TenantId};
use wharf::kernel::name::ServiceName;
use wharf::kernel::random::Random;
use wharf::operations::Operations;
use wharf::releases::{Kept, NewRevision, Progress, store as releases};
use wharf::scheduler::health::Probe;
use wharf::scheduler::lint::lint;
use wharf::scheduler::memory::Memory;
use wharf::scheduler::model::{Desired, DesiredEnvironment, Release, Version, Wanted, World, network_name};
use wharf::scheduler::plan::plan;
use wharf::scheduler::policy::Policy;
use wharf::scheduler::{Scheduler, SchedulerParts};
use wharf::stack::{HealthCheck, ImageRef, Limits, Service, ServiceKind, Stack};
use wharf::store::Store;
use wharf::tenancy::access::Tenant;
use wharf::tenancy::model::Domain;
use wharf::tenancy::store::{domains, members, projects};
use wharf::tenancy::vault::Vault;

const INSTANCES: u32 = 10_000;
const SERVICES: usize = 1_000;
const ROUNDS: usize = 31;
const IDLE_SECONDS: u64 = 20;

fn main() {
    if std::env::args().any(|a| a == "--accept-probes") {
        return accept_probes();
    }
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    println!("| what | promise | measured |\n|---|---|---|");
    if only.as_deref().is_none_or(|o| o == "plan") {
        for (environments, services) in [(1, 10), (100, 10), (1_000, 2)] {
            plan_steady(environments, services);
        }
        plan_cold();
    }
    if only.as_deref().is_none_or(|o| o == "idle") {
        idle();
    }
}

fn owner(number: u32) -> Owner {
    let (random, at) = (Random::seeded(u64::from(number)), Timestamp(1_000 + i64::from(number)));
    Owner {
        tenant: TenantId::new(at, &random),
        project: ProjectId::new(at, &random),
        environment: EnvironmentId::new(at, &random),
    }
}

fn service(image: &str, port: u16, replicas: u32) -> Service {
    let image = ImageRef { name: "app:1".to_owned(), id: image.to_owned() };
    // A stack is data; what this benchmark does not name has its default.
    let minimal = serde_json::json!({
        "kind": "web", "image": image, "port": port, "health": HealthCheck::default_for(ServiceKind::Web),
        "replicas": replicas, "limits": Limits::default(), "stop_grace_seconds": 10,
    });
    serde_json::from_value(minimal).expect("a service")
}

fn stack(services: u32, image: &str, port: u16, replicas: u32) -> Stack {
    let named = |n: u32| format!("service-{n}").parse::<ServiceName>().expect("a name");
    let services = (0..services).map(|n| (named(n), service(image, port, replicas))).collect();
    Stack { services, ..Stack::default() }
}

/// So many environments whose instances all run and are healthy and routed.
fn steady(environments: u32, services: u32) -> (Desired, World, Timestamp) {
    let replicas = INSTANCES / environments / services;
    let stack = Arc::new(stack(services, "sha256:1", 8080, replicas));
    let (mut desired, mut containers, mut networks) = (Desired::default(), Vec::new(), BTreeSet::new());
    let start = Timestamp(1_000_000_000_000);
    for number in 0..environments {
        let owner = owner(number);
        let id = owner.environment.clone();
        let release = Release {
            version: Version { revision: 3, generation: 4 },
            config_version: 1,
            stack: Arc::clone(&stack),
            kept: BTreeMap::new(),
        };
        for name in stack.services.keys() {
            for slot in 1..=replicas {
                let key: InstanceKey = release.key(&id, name, slot);
                let id = format!("{:064x}", (containers.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                containers.push(observed(id, key, owner.clone(), start));
            }
        }
        networks.insert(network_name(&id));
        let environment = DesiredEnvironment::new(owner, Wanted::Run, Some(release));
        desired.environments.insert(id, environment);
    }
    let ids: BTreeSet<String> = containers.iter().map(|c| c.id.clone()).collect();
    let policy = Policy::default();
    let mut memory = Memory::new(start);
    memory.engine_seen(&desired, &policy, containers, networks, start);
    let now = start.plus_ms(20_000);
    for id in &ids {
        let _ = memory.probed(&desired, id, start, Probe::Passed, start.plus_ms(100));
        let _ = memory.probed(&desired, id, start, Probe::Passed, now);
    }
    memory.table_sent(1, ids);
    let _ = memory.ingress_said(Some(1), BTreeMap::new(), now);
    (desired, memory.world(), now)
}

fn observed(id: String, key: InstanceKey, owner: Owner, started_at: Timestamp) -> Observed {
    Observed {
        id,
        key,
        owner,
        role: Role::Instance,
        state: ContainerState::Running { started_at },
        restarts: 0,
        address: Some([10, 0, 0, 1].into()),
        image: "sha256:1".to_owned(),
        operation: None,
    }
}

/// The median CPU time of many rounds: what others do on the machine at the same time does not count.
fn median(mut round: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = own_cpu();
            round();
            own_cpu().saturating_sub(begun)
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

/// The CPU time this thread has used.
fn own_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the thread can be looked at");
    let nanos = text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    Duration::from_nanos(nanos)
}

fn plan_steady(environments: u32, services: u32) {
    let (desired, world, now) = steady(environments, services);
    let policy = Policy::default();
    let first = plan(&desired, &world, &policy, now);
    assert!(first.actions.is_empty(), "all is well: {:?}", first.actions.first());
    assert!(lint(&first, &desired, &world, now).is_empty());
    let planned = median(|| drop(std::hint::black_box(plan(&desired, &world, &policy, now))));
    let checked = median(|| drop(std::hint::black_box(lint(&first, &desired, &world, now))));
    println!(
        "| plan for {INSTANCES} running instances in {environments} environments of {services} services | ≤ 20 ms | {:.1} ms (and {:.1} ms to check the plan) |",
        ms(planned),
        ms(checked)
    );
}

/// Everything is missing, and then nothing is wanted any more.
fn plan_cold() {
    let (desired, mut world, now) = steady(100, 10);
    let policy = Policy::default();
    let wharf::scheduler::model::EngineView::Seen { containers, .. } = &mut world.engine else { return };
    let all = std::mem::take(containers);
    let missing = median(|| drop(std::hint::black_box(plan(&desired, &world, &policy, now))));
    println!("| the same, 100 environments with every instance missing | ≤ 20 ms | {:.1} ms |", ms(missing));
    let mut stopped = desired;
    stopped.environments.values_mut().for_each(|e| e.wanted = Wanted::Stopped);
    world.ingress.applied = Some(BTreeSet::new());
    let wharf::scheduler::model::EngineView::Seen { containers, .. } = &mut world.engine else { return };
    *containers = all;
    let plan_of = plan(&stopped, &world, &policy, now);
    assert_eq!(plan_of.actions.len(), INSTANCES as usize);
    let retired = median(|| drop(std::hint::black_box(plan(&stopped, &world, &policy, now))));
    let checked = median(|| drop(std::hint::black_box(lint(&plan_of, &stopped, &world, now))));
    println!(
        "| the same, every instance to be stopped | ≤ 20 ms | {:.1} ms (and {:.1} ms to check the plan) |",
        ms(retired),
        ms(checked)
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Seconds of CPU this process has used.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the process can be looked at");
    let nanos: u64 = tasks
        .filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    nanos as f64 / 1e9
}

/// The whole control loop (a real database, real probes over TCP, a real ingress) with services that just run.
fn idle() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let (_acceptor, port) = Acceptor::start();
        let (stop, scheduler) = platform(dir.path(), port).await;
        let settled = Instant::now();
        while !scheduler.is_at_rest() {
            assert!(settled.elapsed() < Duration::from_secs(180), "the platform does not come to rest");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (before, begun) = (cpu_seconds(), Instant::now());
        tokio::time::sleep(Duration::from_secs(IDLE_SECONDS)).await;
        let share = (cpu_seconds() - before) / begun.elapsed().as_secs_f64() * 100.0;
        println!(
            "| {SERVICES} services that just run: CPU of scheduler, probes, database and ingress | ≤ 2 % of a core | {share:.2} % |"
        );
        stop.cancel();
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Takes the connections of the probes on every loopback address; a process of its own, so that its CPU is not counted.
fn accept_probes() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    while listener.accept().is_ok() {}
}

struct Acceptor(std::process::Child);

impl Acceptor {
    fn start() -> (Self, u16) {
        let own = std::env::current_exe().expect("the path of this program");
        let mut command = std::process::Command::new(own);
        let mut child =
            command.arg("--accept-probes").stdout(std::process::Stdio::piped()).spawn().expect("a second process");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("its port");
        (Self(child), line.trim().parse().expect("a port"))
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn platform(dir: &Path, port: u16) -> (CancellationToken, Scheduler) {
    let (clock, random) = (Clock::system(), Random::seeded(7));
    let store = Store::open(&dir.join("wharf.db")).await.expect("a database");
    let vault = Vault::open(&dir.join("master.key"), true, &random).expect("a key");
    let engine = FakeEngine::new(clock.clone());
    let image = engine.add_image("app:1", ImageFacts::default());
    let now = clock.now();
    let tenant = TenantId::new(now, &random);
    let key = vault.new_tenant_key(&tenant);
    let mut tx = store.write().await.expect("a transaction");
    let slug = "acme".parse().expect("a name");
    let new = members::NewTenant { id: &tenant, slug: &slug, name: "Acme", is_primary: true, sealed_key: &key };
    members::create_tenant(&mut tx, new, now).await.expect("a tenant");
    let access = Tenant::platform(tenant.clone());
    for number in 0..SERVICES / 4 {
        let project = ProjectId::new(now, &random);
        let slug = format!("shop-{number}").parse().expect("a name");
        projects::create_project(&mut tx, &access, &project, &slug, now).await.expect("a project");
        let id = EnvironmentId::new(now, &random);
        let slug = "production".parse().expect("a name");
        projects::create_environment(&mut tx, &access, &project, &id, &slug, now).await.expect("an environment");
        for n in 0..4 {
            let domain = Domain {
                id: DomainId::new(now, &random),
                environment_id: id.clone(),
                host: format!("s{n}.shop-{number}.localhost").parse().expect("a host"),
                service: format!("service-{n}").parse().expect("a name"),
                is_default: true,
            };
            domains::add(&mut tx, &access, &domain, now).await.expect("a domain");
        }
        let stack = stack(4, &image, port, 1);
        let new = NewRevision {
            environment: &id,
            stack: &stack,
            config_version: 0,
            source_commit: None,
            author: "bench",
            message: "bench",
        };
        let revision = releases::insert(&mut tx, &access, new, now, &random).await.expect("a revision");
        let how = (&Kept::new(), &Progress::default());
        releases::set_target(&mut tx, &access, &id, revision, how, now).await.expect("a target");
    }
    tx.commit().await.expect("a commit");
    let parts = SchedulerParts {
        store: store.clone(),
        vault,
        clock: clock.clone(),
        random: random.clone(),
        engine: Arc::new(engine),
        operations: Operations::new(store, clock, random),
        ingress: ingress::Client::new(dir.join("run/ingress.sock")),
        portal: Route { id: "portal".to_owned(), hosts: vec!["wharf.localhost".to_owned()], ..Route::default() },
        apps_env: BTreeMap::new(),
        https_port: None,
    };
    let stop = CancellationToken::new();
    let config = IngressConfig {
        run_dir: dir.join("run"),
        data_dir: dir.join("data"),
        http: vec!["127.0.0.1:0".parse().expect("an address")],
        workers: 2,
        ..IngressConfig::default()
    };
    let ended = stop.clone().cancelled_owned();
    tokio::spawn(async move { ingress::run(config, ended).await });
    let scheduler = Scheduler::new(parts);
    tokio::spawn(scheduler.clone().run(stop.clone()));
    (stop, scheduler)
}
