//! Carries single actions out. It makes no choices: an action names everything, and what the engine answers goes back
//! into the memory for the next plan.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::desired::Wish;
use super::handle::{Scheduler, lock};
use super::memory::Outcome;
use super::model::{Action, Release, version_of};
use super::spec;
use crate::engine::{EngineError, InstanceKey, InstanceSpec, Owner};
use crate::kernel::error::chain;
use crate::kernel::id::EnvironmentId;
use crate::kernel::secret::Secret;
use crate::releases::{Attempt, Progress, store as releases};
use crate::stack::{Service, Stack};
use crate::store::{StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Environment;
use crate::tenancy::store::{config, secrets};

/// Engine calls at the same time: enough that a slow one holds nobody up, few enough for a small machine.
const CALLS_AT_ONCE: usize = 8;
/// One engine call may take so long, besides the grace of a stop.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct Executor {
    slots: Arc<Semaphore>,
    pub tasks: TaskTracker,
}

impl Default for Executor {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(CALLS_AT_ONCE)), tasks: TaskTracker::new() }
    }
}

impl Scheduler {
    /// Carries the actions of a plan out: what concerns only the database at once and together, the rest in the
    /// background, each on its own.
    pub(super) async fn execute(&self, actions: Vec<Action>, wish: &Arc<Wish>) {
        let (decisions, calls): (Vec<Action>, Vec<Action>) = actions.into_iter().partition(Action::is_decision);
        if !decisions.is_empty() {
            match self.decide(&decisions, wish).await {
                // What was decided changes what is wanted.
                Ok(()) => self.nudge(),
                Err(error) => tracing::error!(error = chain(&error), "decisions of the planner could not be stored"),
            }
        }
        for action in calls {
            lock(&self.inner.memory).begun(&action);
            let (this, wish) = (self.clone(), Arc::clone(wish));
            self.inner.executor.tasks.spawn(async move { this.carry_out(action, &wish).await });
        }
    }

    /// Stores what was decided, in one transaction.
    async fn decide(&self, decisions: &[Action], wish: &Wish) -> Result<(), StoreError> {
        let mut tx = self.inner.parts.store.write().await?;
        let mut failures = Vec::new();
        for action in decisions {
            let Some(environment) = action.environment() else { continue };
            let Some(desired) = wish.desired.environments.get(environment) else { continue };
            let tenant = Tenant::platform(desired.owner.tenant.clone());
            self.decide_one(&mut tx, &tenant, environment, action, &mut failures).await?;
        }
        // Whoever sees the row without its target must find the reason, so the reason comes first.
        for (environment, attempt, reason) in failures {
            self.note_failure(environment, attempt, reason);
        }
        tx.commit().await?;
        Ok(())
    }

    async fn decide_one<'a>(
        &self,
        tx: &mut Write,
        tenant: &Tenant,
        environment: &'a EnvironmentId,
        action: &Action,
        failures: &mut Vec<(&'a EnvironmentId, Attempt, String)>,
    ) -> Result<(), StoreError> {
        let now = self.inner.parts.clock.now();
        match action {
            Action::FailTarget { version, reason, .. } => {
                let attempt = (*version).into();
                if releases::fail_target(tx, tenant, environment, attempt, reason).await? {
                    tracing::info!(environment.id = %environment, revision = version.revision, reason, "a release was given up");
                    failures.push((environment, attempt, reason.clone()));
                }
            }
            Action::MarkServing { version, warm_until, .. } => {
                let serves = releases::mark_serving(tx, tenant, environment, (*version).into(), *warm_until).await?;
                tracing::info!(environment.id = %environment, revision = version.revision, serves, "a release passed");
            }
            Action::Step { version, service, step, .. } => {
                let change = |p: &mut Progress| p.steps.insert(service.clone(), step.clone());
                releases::change_progress(tx, tenant, environment, (*version).into(), change).await?;
                tracing::info!(environment.id = %environment, revision = version.revision, %service, step = step.index, "a canary came a step further");
            }
            Action::Hold { version, reason, .. } => {
                // Somebody may have paused it in the same moment; then it is held already.
                let change = |p: &mut Progress| p.pause("its failure policy", now);
                releases::change_progress(tx, tenant, environment, (*version).into(), change).await?;
                tracing::warn!(environment.id = %environment, revision = version.revision, reason, "a rollout is held");
            }
            Action::Withdraw { version, reason, .. } => {
                let change = |p: &mut Progress| p.withdraw(reason, now);
                releases::change_progress(tx, tenant, environment, (*version).into(), change).await?;
                tracing::info!(environment.id = %environment, revision = version.revision, reason, "a release is taken back");
            }
            _ => {}
        }
        Ok(())
    }

    async fn carry_out(&self, action: Action, wish: &Wish) {
        let Ok(_slot) = self.inner.executor.slots.acquire().await else { return };
        let grace = match &action {
            Action::Stop { grace_seconds, .. } => Duration::from_secs(u64::from(*grace_seconds)),
            _ => Duration::ZERO,
        };
        let result = match tokio::time::timeout(CALL_DEADLINE + grace, self.call(&action, wish)).await {
            Ok(result) => result,
            Err(_) => {
                let seconds = (CALL_DEADLINE + grace).as_secs();
                Err(EngineError::TimedOut { what: "the call to the container engine".to_owned(), seconds })
            }
        };
        if let Err(error) = &result {
            tracing::warn!(?action, error = chain(error), "an action failed");
        }
        let outcome = outcome(result);
        lock(&self.inner.memory).ended(&action, outcome, self.inner.parts.clock.now());
        self.nudge();
    }

    async fn call(&self, action: &Action, wish: &Wish) -> Result<(), EngineError> {
        let engine = &self.inner.parts.engine;
        match action {
            Action::EnsureNetwork { name, owner, .. } => engine.ensure_network(name, owner).await,
            Action::RemoveNetwork { name } => engine.remove_network(name).await,
            Action::Start { key, owner } => {
                let spec = self.instance_spec(key, owner, wish).await.map_err(EngineError::StartFailed)?;
                engine.start(&spec).await.map(drop)
            }
            Action::Restart { id, .. } => engine.restart(id).await,
            Action::Stop { id, grace_seconds, .. } => engine.stop(id, *grace_seconds).await,
            Action::Remove { id, .. } | Action::RemoveTask { id, .. } => engine.remove(id).await,
            // These are decisions, and change no container.
            Action::MarkServing { .. }
            | Action::FailTarget { .. }
            | Action::Step { .. }
            | Action::Hold { .. }
            | Action::Withdraw { .. } => Ok(()),
        }
    }

    async fn instance_spec(&self, key: &InstanceKey, owner: &Owner, wish: &Wish) -> Result<InstanceSpec, String> {
        let gone = || "it is not wanted any more".to_owned();
        let environment = wish.environments.get(&key.environment).ok_or_else(gone)?;
        let desired = wish.desired.environments.get(&key.environment).ok_or_else(gone)?;
        let of_key = |r: &&Release| r.version_of(&key.service) == version_of(key);
        let release = desired.releases().find(of_key).ok_or_else(gone)?;
        let service = release.stack.services.get(&key.service).ok_or_else(gone)?;
        let values = self.values(owner, service, &release.stack, release.config_version).await?;
        values.source(&self.inner.parts.apps_env, owner, environment, &release.stack).instance(key, service)
    }

    /// All values a container of a service needs, opened.
    pub(super) async fn values(
        &self,
        owner: &Owner,
        service: &Service,
        stack: &Stack,
        config_version: i64,
    ) -> Result<Values, String> {
        let configuration = self.configuration(owner, config_version).await?;
        let secrets = self.secrets(owner, service, stack, &configuration).await?;
        Ok(Values { configuration, secrets })
    }

    /// The secrets of a service by their names in the environment: the versions the revision is pinned to, or the
    /// variables of the configuration of the same names.
    async fn secrets(
        &self,
        owner: &Owner,
        service: &Service,
        stack: &Stack,
        configuration: &config::Values,
    ) -> Result<secrets::Opened, String> {
        let parts = &self.inner.parts;
        let tenant = Tenant::platform(owner.tenant.clone());
        let mut opened = secrets::Opened::new();
        for reference in stack.secrets_of(service) {
            let value = match reference.version {
                None => {
                    configuration.get(reference.name.as_str()).map(|v| Secret::new(v.expose().clone().into_bytes()))
                }
                Some(version) => {
                    let open = async {
                        let key = config::tenant_key(&parts.store, &parts.vault, &tenant).await?;
                        secrets::open(&parts.store, &key, &tenant, &owner.environment, &reference.name, version).await
                    };
                    open.await
                        .map_err(|e| format!("the secret `{}` cannot be opened: {}", reference.name, chain(&e)))?
                }
            };
            opened.extend(value.map(|v| (reference.name.clone(), v)));
        }
        Ok(opened)
    }

    /// One version of an app's configuration, opened.
    pub(super) async fn configuration(&self, owner: &Owner, version: i64) -> Result<config::Values, String> {
        let parts = &self.inner.parts;
        let tenant = Tenant::platform(owner.tenant.clone());
        let opened = async {
            let key = config::tenant_key(&parts.store, &parts.vault, &tenant).await?;
            config::values(&parts.store, &key, &tenant, &owner.environment, version).await
        };
        opened.await.map_err(|e| format!("its configuration (version {version}) cannot be opened: {}", chain(&e)))
    }
}

/// Values that were opened for one container.
pub(super) struct Values {
    configuration: config::Values,
    secrets: secrets::Opened,
}

impl Values {
    pub(super) fn source<'a>(
        &'a self,
        everybody: &'a std::collections::BTreeMap<String, String>,
        owner: &'a Owner,
        environment: &'a Environment,
        stack: &'a Stack,
    ) -> spec::Source<'a> {
        let (configuration, secrets) = (&self.configuration, &self.secrets);
        spec::Source { owner, environment, stack, everybody, configuration, secrets }
    }
}

/// What an answer of the engine says about the instance it was about.
fn outcome(result: Result<(), EngineError>) -> Outcome {
    let failed =
        |hopeless, reason: String| Outcome::Failed { hopeless, reason: format!("could not be started: {reason}") };
    match result {
        Ok(()) => Outcome::Done,
        Err(EngineError::Unreachable(_)) => Outcome::Unknown,
        Err(EngineError::ImageMissing { image, reason }) => {
            failed(true, format!("its image {image} cannot be had: {reason}"))
        }
        Err(EngineError::StartFailed(reason)) => failed(false, reason),
        Err(error) => failed(false, chain(&error)),
    }
}
