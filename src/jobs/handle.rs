//! What other rooms hold: list, start, cancel, hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::due::{Admission, admit};
use super::flight::Flight;
use super::model::{Attempt, Definition, Program, Run, RunState, Subject, Trigger};
use super::plan::{Decision, STOP_MS, decide};
use super::program::definitions;
use super::store::{attempts, runs, schedules};
use super::timetable::Timetable;
use crate::engine::Engine;
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::random::Random;
use crate::operations::{BeginError, Kind as OperationKind, NewOperation, Operations};
use crate::scheduler::Scheduler;
use crate::stack::Stack;
use crate::stack::model::Overlap;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// The phase of a run's operation.
const PHASE: &str = "job";
/// What acts for a schedule.
pub const SCHEDULE: &str = "schedule";
/// Moments shown of a schedule.
const UPCOMING: usize = 3;
/// Runs that may wait for the same one to end.
const MOST_WAITING: usize = 5;

/// What the room works with.
pub struct JobsParts {
    pub store: Store,
    pub clock: Clock,
    pub random: Random,
    pub engine: Arc<dyn Engine>,
    pub operations: Operations,
    pub scheduler: Scheduler,
}

/// Jobs and workflows. Clones share everything; [`Jobs::run`] must be running for anything to happen.
#[derive(Clone)]
pub struct Jobs {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub parts: JobsParts,
    /// The containers this process follows, by run and serial.
    pub flights: Mutex<BTreeMap<(OperationId, u32), Flight>>,
    pub tasks: TaskTracker,
    /// Pulled when this control plane ends: containers are followed no longer, and go on.
    pub end: CancellationToken,
    pub wake: Notify,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job or workflow with what there is to show of it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub definition: Definition,
    /// The next moments of its schedule, none while it is held.
    pub upcoming: Vec<Timestamp>,
    pub suspended_by: Option<String>,
    pub last: Option<Run>,
}

/// Why a run could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// What was given is wrong, in a sentence.
    #[error("{0}")]
    Invalid(String),
    /// The one under way must end first, in a sentence.
    #[error("{0}")]
    Busy(String),
    /// The database could not be used.
    #[error("the run could not be recorded")]
    Store(#[from] StoreError),
}

impl From<BeginError> for StartError {
    fn from(error: BeginError) -> Self {
        match error {
            // Runs are not exclusive, so no operation is in their way.
            BeginError::Busy(operation) => Self::Busy(format!("operation {} is under way", operation.id)),
            BeginError::Store(error) => Self::Store(error),
        }
    }
}

/// A run that is wanted.
pub(super) struct Wanted<'a> {
    pub environment: &'a EnvironmentId,
    pub definition: &'a Definition,
    pub program: Program,
    pub revision: i64,
    pub trigger: Trigger,
    pub actor: &'a str,
    pub moment: Option<Timestamp>,
}

impl Jobs {
    /// Over these parts; begins nothing.
    #[must_use]
    pub fn new(parts: JobsParts) -> Self {
        let inner = Inner {
            parts,
            flights: Mutex::default(),
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            wake: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Something may have changed: look soon.
    pub fn nudge(&self) {
        self.inner.wake.notify_one();
    }

    /// All jobs and workflows of a stack, with their next and their last runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        stack: &Stack,
        stopped: bool,
    ) -> Result<Vec<Listed>, StoreError> {
        let store = &self.inner.parts.store;
        let cursors = schedules::list(store, tenant, environment).await?;
        let mut newest = runs::newest(store, tenant, environment).await?;
        let now = self.inner.parts.clock.now();
        let listed = |definition: Definition| {
            let cursor = cursors.iter().find(|c| c.subject == definition.subject);
            let suspended_by = cursor.and_then(|c| c.suspended_by.clone());
            let table = definition.schedule.as_ref().and_then(|s| Timetable::new(s).ok());
            let table = table.filter(|_| suspended_by.is_none() && !stopped);
            let last = newest.iter().position(|r| r.subject == definition.subject).map(|at| newest.swap_remove(at));
            let upcoming = table.map(|t| t.upcoming(now, UPCOMING)).unwrap_or_default();
            Listed { definition, upcoming, suspended_by, last }
        };
        Ok(definitions(stack).into_iter().map(listed).collect())
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        subject: &Subject,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        runs::list(&self.inner.parts.store, tenant, environment, subject, limit).await
    }

    /// One run, with its containers and where its steps stand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn look(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        subject: &Subject,
        number: i64,
    ) -> Result<Option<(Run, Vec<Attempt>, Decision)>, StoreError> {
        let store = &self.inner.parts.store;
        let Some(run) = runs::get(store, tenant, environment, subject, number).await? else { return Ok(None) };
        let attempts = attempts::of_run(store, tenant, &run.id).await?;
        // What has ended is looked at as of then.
        let now = run.finished_at.unwrap_or_else(|| self.inner.parts.clock.now());
        let decision = decide(&run, &attempts, now, 0);
        Ok(Some((run, attempts, decision)))
    }

    /// Starts a run because somebody asks for it.
    ///
    /// # Errors
    /// When a parameter is wrong or missing, or the one under way must end first.
    pub async fn start(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        definition: &Definition,
        revision: i64,
        parameters: BTreeMap<String, String>,
        actor: &str,
    ) -> Result<Run, StartError> {
        let program = definition.with(parameters).map_err(StartError::Invalid)?;
        let wanted =
            Wanted { environment, definition, program, revision, trigger: Trigger::Manual, actor, moment: None };
        let mut tx = self.inner.parts.store.write().await?;
        let run = self.enter(&mut tx, tenant, wanted).await?;
        if let (RunState::Skipped, Some(reason)) = (run.state, &run.reason) {
            return Err(StartError::Busy(reason.clone()));
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.nudge();
        Ok(run)
    }

    /// Tells a run to stop; false when it has ended, or was told so before.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn cancel(&self, tenant: &Tenant, run: &OperationId, by: &str) -> Result<bool, StoreError> {
        let mut tx = self.inner.parts.store.write().await?;
        let done = runs::cancel(&mut tx, tenant, run, by).await?;
        tx.commit().await?;
        self.nudge();
        Ok(done)
    }

    /// Holds a schedule, or lets it go on; false when the loop has not seen it yet.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn suspend(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        subject: &Subject,
        by: Option<&str>,
    ) -> Result<bool, StoreError> {
        let now = self.inner.parts.clock.now();
        let mut tx = self.inner.parts.store.write().await?;
        let done = schedules::set_suspended(&mut tx, tenant, environment, subject, by, now).await?;
        tx.commit().await?;
        self.nudge();
        Ok(done)
    }

    /// Records a run within the caller's transaction: under way, waiting, or left out.
    pub(super) async fn enter(&self, tx: &mut Write, tenant: &Tenant, wanted: Wanted<'_>) -> Result<Run, StartError> {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        let Wanted { environment, definition, program, revision, trigger, actor, moment } = wanted;
        let subject = &definition.subject;
        let number = runs::next_number(tx, tenant, environment, subject).await?;
        let others = runs::under_way(tx, tenant, environment, subject).await?;
        let (state, reason) = match admit(definition.overlap, &others, number) {
            Admission::Begin => (RunState::Running, None),
            Admission::Wait { .. } if others.len() > MOST_WAITING => {
                (RunState::Skipped, Some(format!("{MOST_WAITING} runs wait already")))
            }
            Admission::Wait { replace } => {
                for id in &replace {
                    runs::cancel(tx, tenant, id, &format!("run {number}, which takes its place")).await?;
                }
                (RunState::Waiting, None)
            }
            Admission::Refuse { reason } => (RunState::Skipped, Some(reason)),
        };
        let id = match state {
            RunState::Skipped => OperationId::new(now, &parts.random),
            _ => {
                let deadline = i64::from(program.deadline_seconds) + 2 * STOP_MS / 1_000;
                let new = NewOperation {
                    environment: environment.clone(),
                    kind: OperationKind::Job,
                    exclusive: false,
                    phase: PHASE,
                    actor: actor.to_owned(),
                    cause: subject.to_string(),
                    input: "{}".to_owned(),
                    revision: Some(revision),
                    deadline_seconds: deadline,
                };
                parts.operations.begin(tx, tenant, new).await?.id
            }
        };
        let run = Run {
            id,
            tenant: tenant.id().clone(),
            environment: environment.clone(),
            subject: subject.clone(),
            number,
            revision,
            trigger,
            actor: actor.to_owned(),
            scheduled_for: moment,
            program,
            state,
            alone: definition.overlap != Overlap::Allow,
            cancelled_by: None,
            reason,
            created_at: now,
            started_at: (state == RunState::Running).then_some(now),
            finished_at: state.is_final().then_some(now),
        };
        runs::insert(tx, tenant, &run).await?;
        Ok(run)
    }
}
