//! Carrying one operation out, from its phase to its end.

use tokio_util::sync::CancellationToken;

use super::converge::WaitFor;
use super::input::Input;
use super::recovery::phase;
use super::{Deployer, build, stack};
use crate::kernel::error::chain;
use crate::operations::{Kind, Log, Operation, Operations, State};
use crate::releases::model::unchanged;
use crate::releases::{Attempt, Kept, NewRevision, Progress as Rollout, Warm, store as releases};
use crate::stack::model::ReleaseCommand;
use crate::stack::{ImageRef, Stack};
use crate::store::StoreError;
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Environment;
use crate::tenancy::store::{config, projects};

/// Why an operation did not reach its goal.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something about what was deployed; the sentence is for its owner.
    Theirs(String),
    /// Something about the platform.
    Platform(String),
    /// Somebody, or the deadline, stopped it.
    Cancelled,
}

impl Failure {
    pub(super) fn platform(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Platform(format!("{what}: {}", chain(error)))
    }

    pub(super) fn engine(error: &crate::engine::EngineError) -> Self {
        use crate::engine::EngineError as E;
        match error {
            E::ImageMissing { .. } | E::BuildFailed(_) | E::StartFailed(_) | E::TimedOut { .. } => {
                Self::Theirs(chain(error))
            }
            E::Unreachable(_) | E::NotFound(_) | E::Refused(_) => Self::Platform(chain(error)),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::platform("the platform's database could not be used", &error)
    }
}

/// A release kept warm for less than this is too near its end to be used.
const WARM_MARGIN_MS: i64 = 2_000;

/// How an attempt begins.
struct Beginning {
    kept: Kept,
    progress: Rollout,
    warm: Option<Warm>,
}

/// One operation under way.
pub(super) struct Progress<'a> {
    pub(super) operation: &'a Operation,
    pub(super) environment: &'a Environment,
    pub(super) tenant: &'a Tenant,
    pub(super) operations: &'a Operations,
    pub(super) log: Log,
    pub(super) cancel: CancellationToken,
}

impl Progress<'_> {
    /// Says what begins now; after a crash it is known.
    pub(super) async fn phase(&self, name: &str) -> Result<(), Failure> {
        Ok(self.operations.phase(&self.operation.id, name).await?)
    }
}

impl Deployer {
    /// Carries the operation out and ends it, whatever happens.
    pub(super) async fn drive(&self, operation: Operation) {
        let operations = &self.parts.operations;
        let log = operations.log(&operation.id);
        let outcome = match operations.start(&operation).await {
            Ok(cancel) => self.carry_out(&operation, log.clone(), cancel).await,
            Err(error) => Err(error.into()),
        };
        self.clean_up(&operation).await;
        if outcome.is_err() {
            self.take_back_configuration(&operation).await;
        }
        let (state, summary) = match outcome {
            Ok(summary) => (State::Succeeded, summary),
            Err(Failure::Theirs(reason) | Failure::Platform(reason)) => (State::Failed, reason),
            Err(Failure::Cancelled) if operations.is_late(&operation) => {
                let minutes = operation.deadline_at.since_ms(operation.created_at) / 60_000;
                (State::Failed, format!("not done within its deadline of {minutes} min; what served before goes on"))
            }
            Err(Failure::Cancelled) => (State::Cancelled, "cancelled; what served before goes on".to_owned()),
        };
        if state == State::Succeeded {
            log.step(summary.clone()).await;
        } else {
            log.error(summary.clone()).await;
        }
        tracing::info!(operation.id = %operation.id, operation.kind = operation.kind.as_str(), state = state.as_str(), summary, "operation ended");
        if let Err(error) = operations.finish(&operation.id, state, &summary).await {
            tracing::error!(operation.id = %operation.id, error = chain(&error), "the end of an operation could not be recorded");
        }
    }

    /// A configuration that did not come to run is not the newest one any more: what failed has changed nothing.
    async fn take_back_configuration(&self, operation: &Operation) {
        let Ok(Input::Revision { config_before, .. }) = serde_json::from_str(&operation.input) else { return };
        let tenant = Tenant::platform(operation.tenant.clone());
        let restore = async {
            let mut tx = self.parts.store.write().await?;
            config::make_current(&mut tx, &tenant, &operation.environment, config_before).await?;
            tx.commit().await.map_err(StoreError::from)
        };
        if let Err(error) = restore.await {
            tracing::error!(operation.id = %operation.id, error = chain(&error), "a configuration could not be taken back");
        }
    }

    async fn carry_out(&self, operation: &Operation, log: Log, cancel: CancellationToken) -> Result<String, Failure> {
        let input: Input = serde_json::from_str(&operation.input)
            .map_err(|e| Failure::platform("the operation's record cannot be read", &e))?;
        let tenant = Tenant::platform(operation.tenant.clone());
        let environment = projects::by_id(&self.parts.store, &tenant, &operation.environment)
            .await?
            .ok_or_else(|| Failure::Platform("the app is gone".to_owned()))?;
        let job = Progress {
            operation,
            environment: &environment,
            tenant: &tenant,
            operations: &self.parts.operations,
            log,
            cancel,
        };
        // A later phase than the first means that an earlier run came so far: its revision and attempt are stored.
        let resumed = operation.phase == phase::ROLLOUT;
        match input {
            Input::Source { .. } | Input::Image { .. } | Input::Revision { .. } if resumed => {
                self.resume_rollout(&job).await
            }
            Input::Source { commit, message, request, .. } => {
                let stack = self.build(&job, &request).await?;
                let number = self.store_revision(&job, &stack, commit.as_deref(), &message).await?;
                self.release_and_roll_out(&job, number, &stack).await
            }
            Input::Image { image, message } => {
                let stack = self.image_stack(&job, &image).await?;
                let number = self.store_revision(&job, &stack, None, &message).await?;
                self.release_and_roll_out(&job, number, &stack).await
            }
            Input::Revision { number, .. } => self.roll_out(&job, number).await,
            Input::Attempt { revision, generation, .. } => {
                self.wait_for(&job, WaitFor::Attempt(Attempt { revision, generation })).await?;
                Ok(format!("v{revision} runs in fresh instances"))
            }
            Input::Settle { message } => {
                self.wait_for(&job, WaitFor::Settled).await?;
                Ok(message)
            }
            Input::Destroy => self.destroy(&job).await,
            Input::Run { .. } => Err(Failure::Platform("a one-off command lives with its connection".to_owned())),
        }
    }

    async fn image_stack(&self, job: &Progress<'_>, image: &str) -> Result<Stack, Failure> {
        job.phase(phase::BUILD).await?;
        job.log.step(format!("Fetching the image {image}")).await;
        let facts = tokio::select! {
            facts = self.parts.engine.ensure_image(image) => facts.map_err(|e| Failure::engine(&e))?,
            () = job.cancel.cancelled() => return Err(Failure::Cancelled),
        };
        Ok(stack::from_image(&ImageRef { name: image.to_owned(), id: facts.id.clone() }, &facts))
    }

    async fn store_revision(
        &self,
        job: &Progress<'_>,
        stack: &Stack,
        commit: Option<&str>,
        message: &str,
    ) -> Result<i64, Failure> {
        let parts = &self.parts;
        // The newest configuration, which may have changed while the build ran.
        let now_environment = projects::by_id(&parts.store, job.tenant, &job.environment.id).await?;
        let config_version = now_environment.map_or(job.environment.config_version, |e| e.config_version);
        let mut tx = parts.store.write().await?;
        let new = NewRevision {
            environment: &job.environment.id,
            stack,
            config_version,
            source_commit: commit,
            author: &job.operation.actor,
            message,
        };
        let number = releases::insert(&mut tx, job.tenant, new, parts.clock.now(), &parts.random).await?;
        self.give_hosts(&mut tx, job, stack).await?;
        self.give_ports(&mut tx, job, stack).await?;
        parts.operations.set_revision(&mut tx, &job.operation.id, number).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(number)
    }

    async fn release_and_roll_out(&self, job: &Progress<'_>, number: i64, stack: &Stack) -> Result<String, Failure> {
        let commands = stack.release_commands();
        if !commands.is_empty() {
            job.phase(phase::RELEASE).await?;
            if let Err(failure) = self.run_releases(job, number, &commands).await {
                self.note_failed(job, number, &failure).await?;
                return Err(failure);
            }
        }
        self.roll_out(job, number).await
    }

    /// Remembers at the revision why it never came to run.
    async fn note_failed(&self, job: &Progress<'_>, number: i64, failure: &Failure) -> Result<(), Failure> {
        let reason = match failure {
            Failure::Theirs(r) | Failure::Platform(r) => r.as_str(),
            Failure::Cancelled => "cancelled",
        };
        let mut tx = self.parts.store.write().await?;
        releases::note_failed(&mut tx, job.tenant, &job.environment.id, number, reason).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Begins the attempt and the phase in one transaction, then waits for the outcome.
    async fn roll_out(&self, job: &Progress<'_>, number: i64) -> Result<String, Failure> {
        let parts = &self.parts;
        job.log.step(format!("Rolling out v{number}")).await;
        let begin = self.beginning(job, number).await?;
        let mut tx = parts.store.write().await?;
        let (environment, now) = (&job.environment.id, parts.clock.now());
        let attempt = match &begin.warm {
            Some(warm) => {
                releases::set_warm_target(&mut tx, job.tenant, environment, warm, &begin.progress, now).await?
            }
            None => {
                if let Err(failure) = self.admit(&mut tx, job, number).await {
                    drop(tx);
                    self.note_failed(job, number, &failure).await?;
                    return Err(failure);
                }
                let how = (&begin.kept, &begin.progress);
                releases::set_target(&mut tx, job.tenant, environment, number, how, now).await?
            }
        };
        parts.operations.phase_in(&mut tx, &job.operation.id, phase::ROLLOUT).await?;
        parts.operations.set_revision(&mut tx, &job.operation.id, number).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.finish_rollout(job, attempt).await
    }

    /// How the attempt begins: what of what serves it takes over as it is, or, on the way back, the instances that were
    /// kept for that.
    async fn beginning(&self, job: &Progress<'_>, number: i64) -> Result<Beginning, Failure> {
        let (store, environment) = (&self.parts.store, &job.environment.id);
        let operation = job.operation;
        let back = operation.kind == Kind::Rollback;
        let progress = Rollout::begin(&operation.actor, operation.kind.as_str(), back);
        let desired = releases::desired(store, job.tenant, environment).await?;
        let Some((desired, serving)) = desired.and_then(|d| d.serving.map(|s| (d, s))) else {
            return Ok(Beginning { kept: Kept::new(), progress, warm: None });
        };
        let soon = self.parts.clock.now().plus_ms(WARM_MARGIN_MS);
        let warm = desired.warm.filter(|w| back && w.attempt.revision == number && w.until > soon);
        let old = releases::get(store, job.tenant, environment, serving.revision).await?;
        let new = releases::get(store, job.tenant, environment, number).await?;
        let kept = match (old, new) {
            (Some(old), Some(new)) => {
                let key = config::tenant_key(store, &self.parts.vault, job.tenant).await?;
                let versions = (old.revision.config_version, new.revision.config_version);
                let changed = config::changed(store, &key, job.tenant, environment, versions).await?;
                unchanged(&old.revision, serving, &desired.serving_kept, &new.revision, &changed)
            }
            _ => Kept::new(),
        };
        Ok(Beginning { kept, progress, warm })
    }

    async fn resume_rollout(&self, job: &Progress<'_>) -> Result<String, Failure> {
        let desired = releases::desired(&self.parts.store, job.tenant, &job.environment.id).await?;
        let number = job.operation.revision;
        match desired {
            Some(d) if d.serving.map(|a| a.revision) == number && d.target.map(|t| t.0) == d.serving => {
                Ok(format!("v{} is live", number.unwrap_or_default()))
            }
            Some(d) if d.target.is_some_and(|t| Some(t.0.revision) == number) => {
                let attempt = d.target.map(|t| t.0).expect("the guard has seen it");
                self.finish_rollout(job, attempt).await
            }
            _ => Err(Failure::Theirs(
                "the rollout failed while the control plane was being restarted; see the release's reason".to_owned(),
            )),
        }
    }

    async fn finish_rollout(&self, job: &Progress<'_>, attempt: Attempt) -> Result<String, Failure> {
        match self.wait_for(job, WaitFor::Attempt(attempt)).await {
            Ok(()) => Ok(format!("v{} is live", attempt.revision)),
            Err(Failure::Cancelled) => {
                self.give_up(job, attempt, "it was stopped before it was done").await?;
                Err(Failure::Cancelled)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Wants again what served before.
    async fn give_up(&self, job: &Progress<'_>, attempt: Attempt, reason: &str) -> Result<(), Failure> {
        let mut tx = self.parts.store.write().await?;
        releases::fail_target(&mut tx, job.tenant, &job.environment.id, attempt, reason).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.parts.scheduler.nudge();
        Ok(())
    }

    async fn run_releases(&self, job: &Progress<'_>, number: i64, commands: &[ReleaseCommand]) -> Result<(), Failure> {
        let owner = build::owner(job.environment);
        for release in commands {
            job.log.step(format!("Release command of {}: {}", release.service, release.command.join(" "))).await;
            let outcome =
                self.parts.scheduler.run_release(&owner, number, release, job.operation, &job.log, &job.cancel).await;
            outcome.map_err(|reason| match reason {
                crate::scheduler::TaskFailure::Cancelled => Failure::Cancelled,
                crate::scheduler::TaskFailure::Failed(text) => Failure::Theirs(text),
            })?;
        }
        Ok(())
    }
}
