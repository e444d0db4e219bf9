//! The handle other rooms hold: nudge, look, wait. What it shows is what the last pass found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::desired::Wish;
use super::executor::Executor;
use super::memory::Memory;
use super::node::Node;
use super::policy::Policy;
use super::pressure::Pressure;
use super::prober::{Ask, NetworkProber};
use super::publisher::{IngressPort, Publication, SnapshotPort};
use super::report::{EnvironmentReport, Report};
use crate::engine::Engine;
use crate::ingress;
use crate::ingress::snapshot::Route;
use crate::kernel::clock::Clock;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::releases::Attempt;
use crate::stack::lifecycle::{Cause, Life};
use crate::store::Store;
use crate::tenancy::vault::Vault;

/// Reasons of failed attempts kept for those who ask; older ones stand in the revision's row.
const FAILURES_KEPT: usize = 1_000;

/// What the scheduler works with.
pub struct SchedulerParts {
    pub store: Store,
    pub vault: Vault,
    pub clock: Clock,
    pub random: Random,
    pub engine: Arc<dyn Engine>,
    pub operations: Operations,
    pub ingress: ingress::Client,
    /// The route of the portal and the API, which is always in the table.
    pub portal: Route,
    /// Environment variables every app and task gets, such as those that name an extra CA certificate.
    pub apps_env: BTreeMap<String, String>,
    /// Where HTTPS is spoken, when it is.
    pub https_port: Option<u16>,
}

/// The scheduler. Clones share everything; [`Scheduler::run`] must be running for anything to happen.
#[derive(Clone)]
pub struct Scheduler {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub parts: SchedulerParts,
    pub policy: Policy,
    /// Names the tables of this run of the control plane.
    pub boot: String,
    pub ask: Box<dyn Ask>,
    pub port: Box<dyn SnapshotPort>,
    pub memory: Mutex<Memory>,
    /// The machine, and what is owed to it.
    pub node: Mutex<Node>,
    pub pressure: Mutex<Pressure>,
    /// What was wanted at the last pass; probes are judged by it.
    pub wish: Mutex<Arc<Wish>>,
    pub executor: Executor,
    pub publication: Publication,
    report: Mutex<Report>,
    /// The lives of services, by environment and name.
    lives: Mutex<BTreeMap<(EnvironmentId, String), Life>>,
    failures: Mutex<BTreeMap<(EnvironmentId, i64), (Attempt, String)>>,
    wake: Notify,
    /// Rung when there may be something new to probe.
    pub probe_wake: Notify,
    passes: AtomicU64,
    passed: watch::Sender<u64>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// Over these parts; begins nothing.
    #[must_use]
    pub fn new(parts: SchedulerParts) -> Self {
        let ask = Box::new(NetworkProber { engine: Arc::clone(&parts.engine) });
        let port = Box::new(IngressPort { client: parts.ingress.clone() });
        Self::with(parts, Policy::default(), ask, port)
    }

    /// The same with other figures, another way to probe and another ingress.
    pub(super) fn with(parts: SchedulerParts, policy: Policy, ask: Box<dyn Ask>, port: Box<dyn SnapshotPort>) -> Self {
        let memory = Memory::new(parts.clock.now());
        let boot = parts.random.token();
        let inner = Inner {
            parts,
            policy,
            boot,
            ask,
            port,
            memory: Mutex::new(memory),
            node: Mutex::default(),
            pressure: Mutex::default(),
            wish: Mutex::default(),
            executor: Executor::default(),
            publication: Publication::default(),
            report: Mutex::default(),
            lives: Mutex::default(),
            failures: Mutex::default(),
            wake: Notify::new(),
            probe_wake: Notify::new(),
            passes: AtomicU64::new(0),
            passed: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Something may have changed: look soon. A nudge carries nothing, so losing one costs only time.
    pub fn nudge(&self) {
        self.inner.wake.notify_one();
    }

    /// How many passes have been finished.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.inner.passes.load(Ordering::SeqCst)
    }

    /// Ready when a pass ends after this call; so call it before looking at what it may change.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut passed = self.inner.passed.subscribe();
        async move {
            // The sender lives as long as the scheduler; without one, nothing will change.
            if passed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What an environment is at and what it waits for, as of the last pass; `None` before the first one.
    #[must_use]
    pub fn report(&self, environment: &EnvironmentId) -> Option<EnvironmentReport> {
        lock(&self.inner.report).environments.get(environment).cloned()
    }

    /// Why nothing can be decided at present, when that is so.
    #[must_use]
    pub fn blind(&self) -> Option<String> {
        lock(&self.inner.report).blind.clone()
    }

    /// Whether this attempt has the traffic: it serves, and the ingress uses a table with all its instances.
    #[must_use]
    pub fn is_live(&self, environment: &EnvironmentId, attempt: Attempt) -> bool {
        let serves = |r: &EnvironmentReport| r.serving == Some(attempt.into()) && r.routed;
        self.report(environment).is_some_and(|r| serves(&r))
    }

    /// Why an attempt failed, when it did so in this run of the control plane.
    #[must_use]
    pub fn failure(&self, environment: &EnvironmentId, attempt: Attempt) -> Option<String> {
        let failures = lock(&self.inner.failures);
        let (failed, reason) = failures.get(&(environment.clone(), attempt.generation))?;
        (*failed == attempt).then(|| reason.clone())
    }

    pub(super) fn note_failure(&self, environment: &EnvironmentId, attempt: Attempt, reason: String) {
        let mut failures = lock(&self.inner.failures);
        failures.insert((environment.clone(), attempt.generation), (attempt, reason));
        while failures.len() > FAILURES_KEPT {
            failures.pop_first();
        }
    }

    /// Shows what a pass found. A pass that saw nothing keeps the last picture and says that it is one.
    pub(super) fn show(&self, new: Report) {
        {
            let mut report = lock(&self.inner.report);
            match &new.blind {
                None => {
                    *report = new;
                    self.live_on(&mut report);
                }
                Some(reason) => {
                    report.blind = Some(reason.clone());
                    for environment in report.environments.values_mut() {
                        environment.settled = false;
                        environment.waits = vec![reason.clone()];
                    }
                }
            }
        }
        self.inner.passes.fetch_add(1, Ordering::SeqCst);
        self.inner.passed.send_modify(|n| *n += 1);
    }

    /// Lets the lives of all services follow what the newest plan saw.
    fn live_on(&self, report: &mut Report) {
        let now = self.inner.parts.clock.now();
        let mut before = std::mem::take(&mut *lock(&self.inner.lives));
        let mut lives = BTreeMap::new();
        for (id, environment) in &mut report.environments {
            let change = environment.rollout.as_ref().map(|r| r.cause.clone());
            for service in environment.services.iter_mut().filter(|s| s.serving || environment.serving.is_none()) {
                let upkeep = || Cause {
                    cause: "upkeep".to_owned(),
                    actor: "wharf".to_owned(),
                    revision: service.version.revision,
                    deadline: None,
                };
                let cause = change.clone().unwrap_or_else(upkeep);
                let place = (id.clone(), service.name.clone());
                let life = before.remove(&place).unwrap_or_else(|| Life::begin(cause.clone(), now));
                let life = life.follow(service.state, &cause, now);
                service.life = Some(life.clone());
                lives.insert(place, life);
            }
        }
        *lock(&self.inner.lives) = lives;
    }

    /// A person has looked at what is left alone: its instances are tried again.
    pub fn retry(&self, environment: &EnvironmentId, service: &ServiceName) {
        lock(&self.inner.memory).forgive(environment, service);
        self.nudge();
    }

    /// Whether everything that is wanted was so at the last pass; false before the first.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.passes() > 0 && self.is_settled()
    }

    /// Whether nothing is waited for anywhere.
    pub(super) fn is_settled(&self) -> bool {
        let report = lock(&self.inner.report);
        report.blind.is_none() && report.environments.values().all(|e| e.settled)
    }

    pub(super) async fn woken(&self) {
        self.inner.wake.notified().await;
    }
}
