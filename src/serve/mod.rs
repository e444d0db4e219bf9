//! The composition root: what is started in which order, and stopped in which.
//!
//! Order: directories and lock → database and keys → ports → engine, operations, scheduler, pipeline, verbs → git →
//! recovery of what a crash left → HTTP on a Unix socket → the ingress process (adopted when one runs) → readiness.
//! Only this room knows every part; none of them knows this one.
//!
//! Invariants: the ingress is a process of its own and outlives this one; nothing is answered before the database is up
//! to date; readiness is said only when the portal answers through the ingress.

mod git_backend;
mod git_push;
mod ingress_keeper;
pub mod options;
pub mod ports;
mod ready;
mod settings;
mod system;
mod web;

pub use options::ServeOptions;
pub use ready::Ready;
pub use settings::PlatformSettings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::apps::{Addresses, Apps, Live};
use crate::certificates::{self, Certificates};
use crate::engine::Engine;
use crate::engine::docker::{DockerEngine, Installation};
use crate::git::Git;
use crate::ingress;
use crate::jobs::{Jobs, JobsParts};
use crate::kernel::clock::Clock;
use crate::kernel::error::chain;
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::pipelines::Deployer;
use crate::scheduler::{Scheduler, SchedulerParts};
use crate::store::{Store, settings as stored};
use crate::tenancy::credentials::hash_token;
use crate::tenancy::vault::Vault;

/// How often deadlines of operations are looked at.
const WATCHDOG: Duration = Duration::from_secs(2);
/// How long a control plane that is ending may hold the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long the parts have to end after a stop was asked for.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Where apps find the operator's CA certificates, and what tells them so. An app's own configuration wins.
const CA_FILE: &str = "/etc/wharf/ca-certificates.crt";
const CA_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
];

/// What the parts have in common.
struct Foundation {
    store: Store,
    vault: Vault,
    clock: Clock,
    random: Random,
    installation: Installation,
    settings: PlatformSettings,
    _lock: std::fs::File,
}

/// Runs the control plane until it is told to stop.
///
/// # Errors
/// When something it cannot work without is not there; each says what, where and what to do.
pub async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let foundation = lay_foundation(&options).await?;
    let ports = ports::choose(&options).await?;
    let certificates = open_certificates(&options, &foundation)?;
    let addresses = Addresses {
        domain: options.domain.clone(),
        http_port: ports.http,
        https_port: ports.https,
        ssh_port: ports.ssh,
        secure: certificates.secure_hosts(),
    };
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();

    let engine = docker_engine(&options, &foundation)?;
    let operations = Operations::new(foundation.store.clone(), foundation.clock.clone(), foundation.random.clone());
    let ingress = ingress::Client::new(options.run.join("ingress.sock"));
    let scheduler = Scheduler::new(scheduler_parts(&foundation, &options, &addresses, &engine, &operations, &ingress)?);
    let deployer = Deployer::new(crate::pipelines::Parts {
        store: foundation.store.clone(),
        vault: foundation.vault.clone(),
        clock: foundation.clock.clone(),
        random: foundation.random.clone(),
        engine: Arc::clone(&engine),
        operations: operations.clone(),
        scheduler: scheduler.clone(),
        data_dir: options.data.clone(),
        builds: foundation.settings.builds.clone(),
        domain: options.domain.clone(),
        own_ports: [Some(ports.http), ports.https, Some(ports.ssh)].into_iter().flatten().collect(),
    });
    let jobs = Jobs::new(JobsParts {
        store: foundation.store.clone(),
        clock: foundation.clock.clone(),
        random: foundation.random.clone(),
        engine: Arc::clone(&engine),
        operations: operations.clone(),
        scheduler: scheduler.clone(),
    });
    let live = Live {
        engine: Arc::clone(&engine),
        operations: operations.clone(),
        scheduler: scheduler.clone(),
        deployer: deployer.clone(),
        certificates: certificates.clone(),
        ingress: ingress.clone(),
        jobs: jobs.clone(),
    };
    let Foundation { store, vault, clock, random, .. } = &foundation;
    let apps = Apps::new(store.clone(), vault.clone(), clock.clone(), random.clone(), addresses.clone(), live);

    let backend = Arc::new(git_backend::Backend::new(apps.clone(), store.clone(), clock.clone()));
    let git = Git::start(git_settings(&options)?, backend, random.clone()).await?;
    if let Some(listener) = ports.ssh_listener {
        crate::git::ssh::serve(&git, tokio::net::TcpListener::from_std(listener)?)?;
    }
    let info = system::Info {
        engine: Arc::clone(&engine),
        ingress: ingress.clone(),
        scheduler: scheduler.clone(),
        deployer: deployer.clone(),
        certificates: certificates.clone(),
        data: options.data.clone(),
    };
    let web = web::Web {
        apps: apps.clone(),
        store: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        git: git.clone(),
        info,
    };
    // Before anybody can begin something new, so that what a crash left is never mistaken for it.
    deployer.recover().await.context("operations of an earlier run could not be taken up")?;
    jobs.recover().await.context("jobs of an earlier run could not be taken up")?;
    let socket = options.run.join("api.sock");
    tasks.spawn(web::serve(web, web::listen(&socket)?, stop.clone()));
    tasks.spawn(ingress_keeper::keep(options.clone(), (ports.http, ports.https), scheduler.clone(), stop.clone()));
    tasks.spawn(scheduler.clone().run(stop.clone()));
    tasks.spawn(jobs.run(stop.clone()));
    tasks.spawn(certificates.clone().run(Arc::new(scheduler.clone()), stop.clone()));
    tasks.spawn(watch_deadlines(operations.clone(), stop.clone()));
    let setup_token = new_setup_token(&foundation, &apps).await?;
    let must_be_set_up = setup_token.is_some();
    ready::announce(&options, &addresses, foundation.installation.as_str(), setup_token, &stop).await?;
    tasks.spawn(ready::keep_address(options.run.clone(), addresses, certificates, stop.clone()));
    if must_be_set_up {
        tasks.spawn(ready::forget_setup_link(options.run.clone(), apps.clone(), stop.clone()));
    }

    stop_signal(&stop).await;
    tracing::info!("stopping; the ingress and the apps go on");
    stop.cancel();
    git.stop().await;
    tasks.close();
    if tokio::time::timeout(STOP_DEADLINE, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    foundation.store.close().await;
    Ok(())
}

async fn lay_foundation(options: &ServeOptions) -> anyhow::Result<Foundation> {
    for dir in [&options.data, &options.run] {
        make_private_dir(dir)?;
    }
    let lock = lock(&options.data).await?;
    let settings = settings::load(&options.data)?;
    let database = options.data.join("wharf.db");
    let first_start = !database.exists();
    let (clock, random) = (Clock::system(), Random::system());
    let store = Store::open(&database).await?;
    let vault = Vault::open(&options.data.join("master.key"), first_start, &random)?;
    let installation = match stored::get(&store, "installation").await? {
        Some(id) => id,
        None => {
            let id = random.token()[..16].to_owned();
            let mut tx = store.write().await?;
            stored::put(&mut tx, "installation", &id).await?;
            tx.commit().await?;
            id
        }
    };
    let installation =
        installation.parse().map_err(|e| anyhow::anyhow!("the database's installation id is not usable: {e}"))?;
    Ok(Foundation { store, vault, clock, random, installation, settings, _lock: lock })
}

fn make_private_dir(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| {
        format!("cannot make the directory {}; run as root, or choose another with --data and --run", dir.display())
    })
}

/// Two control planes on one data directory would undo each other's work. One that was killed a moment ago may still be
/// on its way out, so it is waited for.
async fn lock(data: &Path) -> anyhow::Result<std::fs::File> {
    let path = data.join("serve.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let end = tokio::time::Instant::now() + LOCK_PATIENCE;
    while rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        if tokio::time::Instant::now() > end {
            anyhow::bail!("another `wharf serve` works on {}; stop it first", data.display());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(file)
}

/// Docker, which gives every container the operator's CA certificates where there are any.
fn docker_engine(options: &ServeOptions, foundation: &Foundation) -> anyhow::Result<Arc<dyn Engine>> {
    let engine = DockerEngine::new(options.docker.clone(), foundation.installation.clone());
    Ok(match &foundation.settings.builds.extra_ca_file {
        Some(file) => {
            let certificates = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            Arc::new(engine.with_file(CA_FILE, certificates))
        }
        None => Arc::new(engine),
    })
}

/// The variables by which the usual languages and tools find CA certificates.
fn ca_variables(settings: &PlatformSettings) -> std::collections::BTreeMap<String, String> {
    if settings.builds.extra_ca_file.is_none() {
        return std::collections::BTreeMap::new();
    }
    CA_VARIABLES.iter().map(|name| ((*name).to_owned(), CA_FILE.to_owned())).collect()
}

fn scheduler_parts(
    foundation: &Foundation,
    options: &ServeOptions,
    addresses: &Addresses,
    engine: &Arc<dyn Engine>,
    operations: &Operations,
    ingress: &ingress::Client,
) -> anyhow::Result<SchedulerParts> {
    Ok(SchedulerParts {
        store: foundation.store.clone(),
        vault: foundation.vault.clone(),
        clock: foundation.clock.clone(),
        random: foundation.random.clone(),
        engine: Arc::clone(engine),
        operations: operations.clone(),
        ingress: ingress.clone(),
        portal: web::route(&addresses.portal_host(), &options.run.join("api.sock")),
        apps_env: ca_variables(&foundation.settings),
        https_port: addresses.https_port,
    })
}

fn open_certificates(options: &ServeOptions, foundation: &Foundation) -> anyhow::Result<Certificates> {
    let parts = certificates::Parts {
        store: foundation.store.clone(),
        vault: foundation.vault.clone(),
        clock: foundation.clock.clone(),
        random: foundation.random.clone(),
        data: options.data.clone(),
        domain: options.domain.clone(),
        https: foundation.settings.https.clone(),
        acme: foundation.settings.acme.clone(),
    };
    Ok(Certificates::open(parts)?)
}

fn git_settings(options: &ServeOptions) -> anyhow::Result<crate::git::Settings> {
    Ok(crate::git::Settings {
        data: options.data.clone(),
        run: options.run.clone(),
        executable: std::env::current_exe().context("cannot find this program's own file")?,
        limits: crate::git::Limits::default(),
    })
}

/// A fresh one-time token while nobody has set the installation up; an earlier one is worth nothing any more.
async fn new_setup_token(foundation: &Foundation, apps: &Apps) -> anyhow::Result<Option<String>> {
    if !apps.needs_setup().await? {
        return Ok(None);
    }
    let token = foundation.random.token();
    let mut tx = foundation.store.write().await?;
    stored::put(&mut tx, crate::apps::accounts::SETUP_TOKEN, &hash_token(&token)).await?;
    tx.commit().await?;
    Ok(Some(token))
}

async fn watch_deadlines(operations: Operations, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(WATCHDOG) => {}
        }
        if let Err(error) = operations.enforce_deadlines().await {
            tracing::error!(error = chain(&error), "deadlines could not be enforced");
        }
    }
}

async fn stop_signal(stop: &CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
}
