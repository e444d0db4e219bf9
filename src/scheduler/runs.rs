//! Containers that run once, to their end: release commands, and the specification of one-off commands.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::handle::Scheduler;
use super::model::network_name;
use super::spec;
use crate::engine::{EngineError, EngineStream, InstanceSpec, LogChunk, LogQuery, Owner};
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::kernel::name::ServiceName;
use crate::operations::{Log, Operation};
use crate::releases::store as releases;
use crate::stack::Revision;
use crate::stack::model::ReleaseCommand;
use crate::tenancy::access::Tenant;
use crate::tenancy::store::projects;

/// Seconds between the polite and the forceful stop of a task that is cancelled.
const CANCEL_GRACE_SECONDS: u32 = 5;
/// After a task has ended, its last lines may take so long to arrive.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Starting or removing a task's container may take so long.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// Why a task did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskFailure {
    /// It was told to stop.
    Cancelled,
    /// The reason, in one sentence.
    Failed(String),
}

impl From<EngineError> for TaskFailure {
    fn from(error: EngineError) -> Self {
        Self::Failed(chain(&error))
    }
}

impl Scheduler {
    /// Runs a release command of a revision to its end, with its output in the operation's log. Its container is removed
    /// whatever happens; when this process dies, the next one removes it.
    ///
    /// # Errors
    /// When it was cancelled, could not be run, took longer than it may, or ended with another code than 0.
    pub async fn run_release(
        &self,
        owner: &Owner,
        revision: i64,
        release: &ReleaseCommand,
        operation: &Operation,
        log: &Log,
        cancel: &CancellationToken,
    ) -> Result<(), TaskFailure> {
        let tenant = Tenant::platform(owner.tenant.clone());
        let stored = releases::get(&self.inner.parts.store, &tenant, &owner.environment, revision)
            .await
            .map_err(|e| TaskFailure::Failed(format!("the revision cannot be read: {}", chain(&e))))?
            .ok_or_else(|| TaskFailure::Failed(format!("v{revision} is not stored any more")))?;
        let command = release.command.clone();
        let task = self
            .task_spec(owner, &stored.revision, &release.service, command, &operation.id)
            .await
            .map_err(TaskFailure::Failed)?;
        self.run_task(&task, log, Duration::from_secs(u64::from(release.deadline_seconds)), cancel).await.map_err(
            |failure| match failure {
                TaskFailure::Failed(reason) => TaskFailure::Failed(format!("the release command {reason}")),
                TaskFailure::Cancelled => TaskFailure::Cancelled,
            },
        )
    }

    /// The container of a one-off command in the image, environment and limits of a service of a revision.
    ///
    /// # Errors
    /// A sentence for the person who wants to run it.
    pub async fn task_spec(
        &self,
        owner: &Owner,
        revision: &Revision,
        service: &ServiceName,
        command: Vec<String>,
        operation: &OperationId,
    ) -> Result<InstanceSpec, String> {
        self.numbered_task_spec(owner, revision, service, Some(command), (operation, 0)).await
    }

    /// The same for one of several containers of an operation, told from the others by a serial. Without a command it
    /// has the service's own.
    ///
    /// # Errors
    /// A sentence for the person whose it is.
    pub async fn numbered_task_spec(
        &self,
        owner: &Owner,
        revision: &Revision,
        service: &ServiceName,
        command: Option<Vec<String>>,
        (operation, serial): (&OperationId, u32),
    ) -> Result<InstanceSpec, String> {
        let parts = &self.inner.parts;
        let known = || revision.stack.services.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let found =
            revision.stack.services.get(service).ok_or_else(|| {
                format!("there is no service `{service}` in v{}; it has: {}", revision.number, known())
            })?;
        let tenant = Tenant::platform(owner.tenant.clone());
        let environment = projects::by_id(&parts.store, &tenant, &owner.environment)
            .await
            .map_err(|e| format!("the app cannot be read: {}", chain(&e)))?
            .ok_or("the app is gone")?;
        let values = self.values(owner, found, &revision.stack, revision.config_version).await?;
        let key = spec::task_key(owner, service, revision.number, serial);
        let source = values.source(&parts.apps_env, owner, &environment, &revision.stack);
        let task = source.task(key, found, command, operation)?;
        let network = network_name(&owner.environment);
        parts.engine.ensure_network(&network, owner).await.map_err(|e| chain(&e))?;
        Ok(task)
    }

    async fn run_task(
        &self,
        task: &InstanceSpec,
        log: &Log,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), TaskFailure> {
        let engine = &self.inner.parts.engine;
        let id = tokio::time::timeout(CALL_DEADLINE, engine.start(task))
            .await
            .map_err(|_| TaskFailure::Failed("could not be started in time".to_owned()))?
            .map_err(|e| TaskFailure::Failed(format!("could not be started: {}", chain(&e))))?;
        let outcome = tokio::select! {
            outcome = self.follow_to_end(&id, log) => outcome,
            () = cancel.cancelled() => Err(TaskFailure::Cancelled),
            () = tokio::time::sleep(deadline) => {
                Err(TaskFailure::Failed(format!("took longer than its {} s and was stopped", deadline.as_secs())))
            }
        };
        if outcome.is_err()
            && let Err(error) = engine.stop(&id, CANCEL_GRACE_SECONDS).await
        {
            tracing::warn!(container.id = %id, error = chain(&error), "a task could not be stopped politely");
        }
        // What cannot be removed now is removed by the planner once its operation has ended.
        if let Err(error) = engine.remove(&id).await {
            tracing::warn!(container.id = %id, error = chain(&error), "the container of a task is left behind for now");
        }
        outcome
    }

    /// Copies its output until it ends; then judges its exit code.
    async fn follow_to_end(&self, id: &str, log: &Log) -> Result<(), TaskFailure> {
        let engine = &self.inner.parts.engine;
        let lines = engine.logs(id, LogQuery { follow: true, ..LogQuery::default() }).await?;
        let mut copying = std::pin::pin!(copy(lines, log));
        let code = tokio::select! {
            code = engine.wait(id) => {
                // The end may be known before the last lines have come.
                let _ = tokio::time::timeout(LAST_LINES, &mut copying).await;
                code?
            }
            () = &mut copying => engine.wait(id).await?,
        };
        if code == 0 {
            return Ok(());
        }
        let said = tokio::time::timeout(LAST_LINES, self.last_line(id)).await.ok().flatten();
        let said = said.map(|line| format!("; its last line: {line}")).unwrap_or_default();
        Err(TaskFailure::Failed(format!("exited with code {code}{said}")))
    }
}

async fn copy(mut lines: EngineStream<LogChunk>, log: &Log) {
    while let Some(Ok(chunk)) = lines.next().await {
        log.output(chunk.line).await;
    }
}
