//! One container from its start to its end: made or found again, followed, judged, removed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;

use super::container::{SHARED_FOLDER, SHARED_MOUNT};
use super::handle::{Jobs, lock};
use super::model::{Attempt, AttemptState, Run, Step, Stop};
use super::plan::stopped;
use super::store::attempts::{self, Ending};
use crate::engine::{ContainerState, EngineError, EngineStream, LogChunk, LogQuery, Observed, Owner, Role};
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::operations::{LineKind, Log};
use crate::store::StoreError;
use crate::tenancy::access::Tenant;
use crate::tenancy::store::projects;

/// Seconds between the polite and the forceful stop of a container.
const GRACE_SECONDS: u32 = 10;
/// Making a container may take so long.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// Looking at containers, or removing one, may take so long.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// After a container has ended, its last lines may take so long to arrive.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Pause before a container is taken up again after the engine did not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// A container this process follows.
#[derive(Clone)]
pub(super) struct Flight {
    pub order: Arc<Order>,
}

/// What the loop tells the one who follows a container.
#[derive(Default)]
pub(super) struct Order {
    stop: Mutex<Option<Stop>>,
    /// The attempt is over, whatever becomes of the container.
    abandoned: Mutex<bool>,
    bell: Notify,
}

impl Order {
    pub(super) fn stop(&self, stop: Stop) {
        lock(&self.stop).get_or_insert(stop);
        self.bell.notify_one();
    }

    pub(super) fn abandon(&self) {
        *lock(&self.abandoned) = true;
        self.bell.notify_one();
    }
}

/// Why a flight broke off.
enum Broken {
    /// The engine did not answer: take it up again soon.
    Later(String),
    /// The attempt was given up.
    Abandoned,
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What people read of an attempt: its step, and the item.
pub(super) fn label(step: &Step, name: &str, item: u32) -> String {
    match step.items.get(item as usize) {
        Some(text) => format!("{name}[{text}]"),
        None => name.to_owned(),
    }
}

/// Before each line a container prints, where several may print.
pub(super) fn prefix(run: &Run, step: &Step, attempt: &Attempt) -> String {
    let single = run.program.steps.len() == 1 && step.width() == 1;
    if single { String::new() } else { format!("{} | ", label(step, &attempt.step, attempt.item)) }
}

fn heading(step: &Step, attempt: &Attempt) -> String {
    let label = label(step, &attempt.step, attempt.item);
    match step.retry.attempts {
        0 => label,
        more => format!("{label}, try {} of {}", attempt.number, more + 1),
    }
}

impl Jobs {
    /// Follows an attempt in the background, unless somebody does. `fresh`: it was decided by this process, so its
    /// container cannot be there.
    pub(super) fn take_off(&self, run: &Run, attempt: &Attempt, owner: &Owner, fresh: bool) {
        let key = (run.id.clone(), attempt.serial);
        let order = Arc::new(Order::default());
        {
            let mut flights = lock(&self.inner.flights);
            if flights.contains_key(&key) {
                return;
            }
            flights.insert(key.clone(), Flight { order: Arc::clone(&order) });
        }
        if let Some(stop) = attempt.stop {
            order.stop(stop);
        }
        let (this, run, attempt, owner) = (self.clone(), run.clone(), attempt.clone(), owner.clone());
        self.inner.tasks.spawn(async move {
            let tenant = Tenant::platform(run.tenant.clone());
            let flown = tokio::select! {
                flown = this.fly(&tenant, &run, &attempt, &owner, &order, fresh) => flown,
                () = this.inner.end.cancelled() => return,
            };
            match flown {
                Ok(()) | Err(Broken::Abandoned) => {}
                Err(Broken::Later(reason)) => {
                    tracing::warn!(run.id = %run.id, serial = attempt.serial, reason, "a job's container cannot be followed now");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(Broken::Store(error)) => {
                    tracing::error!(run.id = %run.id, serial = attempt.serial, error = chain(&error), "a job's container cannot be followed");
                    tokio::time::sleep(AGAIN).await;
                }
            }
            lock(&this.inner.flights).remove(&key);
            this.nudge();
        });
    }

    async fn fly(
        &self,
        tenant: &Tenant,
        run: &Run,
        attempt: &Attempt,
        owner: &Owner,
        order: &Order,
        fresh: bool,
    ) -> Result<(), Broken> {
        let Some(step) = run.program.steps.get(&attempt.step) else { return Ok(()) };
        if !fresh {
            // Whoever followed it before may have come to its end just now.
            let state = attempts::state(&self.inner.parts.store, tenant, &run.id, attempt.serial).await?;
            if !state.is_some_and(AttemptState::is_live) {
                return Ok(());
            }
        }
        let log = self.inner.parts.operations.log(&run.id);
        let container = match self.board(tenant, run, step, attempt, owner, order, fresh).await? {
            Ok(container) => container,
            Err(ending) => return self.land(tenant, run, step, attempt, ending, &log).await,
        };
        let copied = if fresh { 0 } else { self.copied(tenant, run, step, attempt).await? };
        let code = self.follow(&container, prefix(run, step, attempt), copied, &log, order).await?;
        let asked = *lock(&order.stop);
        let ending = match (code, asked) {
            (None, _) => failed(None, "its container was removed by somebody else".to_owned()),
            (Some(code), Some(stop)) => {
                let (state, reason) = stopped(stop.cause, step, run);
                Ending { state, exit_code: Some(code), reason: Some(reason) }
            }
            (Some(code), None) => self.judge(&container, code, step).await?,
        };
        self.land(tenant, run, step, attempt, ending, &log).await?;
        // What cannot be removed now is removed by the scheduler once the run has ended.
        if let Err(error) = self.bounded(self.inner.parts.engine.remove(&container)).await {
            tracing::warn!(container.id = container, error = chain(&error), "a job's container is left behind for now");
        }
        Ok(())
    }

    /// The container of an attempt: found again, or made. Or how the attempt ended without one.
    #[expect(clippy::too_many_arguments, reason = "all that one attempt is")]
    async fn board(
        &self,
        tenant: &Tenant,
        run: &Run,
        step: &Step,
        attempt: &Attempt,
        owner: &Owner,
        order: &Order,
        fresh: bool,
    ) -> Result<Result<String, Ending>, Broken> {
        if !fresh {
            match self.find(&run.id, attempt.serial).await? {
                // One that was made and never started is started below.
                Some(found) if found.state != ContainerState::Created => {
                    self.note_running(tenant, run, attempt, &found.id).await?;
                    return Ok(Ok(found.id));
                }
                Some(_) => {}
                None if attempt.state == AttemptState::Running => {
                    return Ok(Err(failed(None, "its container is gone".to_owned())));
                }
                None => {}
            }
        }
        if let Some(stop) = *lock(&order.stop) {
            let (state, reason) = stopped(stop.cause, step, run);
            return Ok(Err(Ending { state, exit_code: None, reason: Some(reason) }));
        }
        let spec = match self.spec(tenant, run, step, attempt, owner).await? {
            Ok(spec) => spec,
            Err(reason) => return Ok(Err(failed(None, format!("could not be started: {reason}")))),
        };
        if run.alone {
            self.clear_the_way(tenant, run).await?;
        }
        let log = self.inner.parts.operations.log(&run.id);
        log.step(heading(step, attempt)).await;
        let started = tokio::time::timeout(START_DEADLINE, self.inner.parts.engine.start(&spec)).await;
        match started {
            Ok(Ok(container)) => {
                self.note_running(tenant, run, attempt, &container).await?;
                Ok(Ok(container))
            }
            Ok(Err(error @ (EngineError::Unreachable(_) | EngineError::TimedOut { .. }))) => Err(later(error)),
            Ok(Err(error)) => {
                // It may have been made before it could not be started.
                if let Some(made) = self.find(&run.id, attempt.serial).await? {
                    self.bounded(self.inner.parts.engine.remove(&made.id)).await.map_err(later)?;
                }
                Ok(Err(failed(None, format!("could not be started: {}", chain(&error)))))
            }
            Err(_) => Err(Broken::Later("the engine took too long to start a container".to_owned())),
        }
    }

    /// The container of a run with this serial.
    async fn find(&self, run: &OperationId, serial: u32) -> Result<Option<Observed>, Broken> {
        let seen = self.bounded(self.inner.parts.engine.observe()).await.map_err(later)?;
        let is_it = |c: &Observed| c.role == Role::Task && c.operation.as_ref() == Some(run) && c.key.slot == serial;
        Ok(seen.into_iter().find(is_it))
    }

    /// Removes what earlier runs of the same may have left running when the engine did not answer.
    async fn clear_the_way(&self, tenant: &Tenant, run: &Run) -> Result<(), Broken> {
        let parts = &self.inner.parts;
        let loose = attempts::loose(&parts.store, tenant, &run.environment, &run.subject).await?;
        if loose.is_empty() {
            return Ok(());
        }
        for (earlier, serial) in loose {
            if let Some(found) = self.find(&earlier, serial).await? {
                self.bounded(parts.engine.remove(&found.id)).await.map_err(later)?;
            }
            let mut tx = parts.store.write().await?;
            attempts::mark_gone(&mut tx, tenant, &earlier, serial).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    async fn note_running(
        &self,
        tenant: &Tenant,
        run: &Run,
        attempt: &Attempt,
        container: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.inner.parts.store.write().await?;
        attempts::mark_running(&mut tx, tenant, &run.id, attempt.serial, container).await?;
        Ok(tx.commit().await?)
    }

    /// How many lines of an attempt are in the log already.
    async fn copied(&self, tenant: &Tenant, run: &Run, step: &Step, attempt: &Attempt) -> Result<usize, StoreError> {
        let (heading, prefix) = (heading(step, attempt), prefix(run, step, attempt));
        let (mut after, mut count) = (0, 0);
        loop {
            let page = self.inner.parts.operations.lines(tenant, &run.id, after).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.seq;
            for line in page {
                match line.kind {
                    LineKind::Step if line.line == heading => count = 0,
                    LineKind::Output if line.line.starts_with(&prefix) => count += 1,
                    _ => {}
                }
            }
        }
    }

    /// Copies what it prints until it ends; gives its exit code, `None` when it is gone. Stops it when that is asked.
    async fn follow(
        &self,
        id: &str,
        prefix: String,
        copied: usize,
        log: &Log,
        order: &Order,
    ) -> Result<Option<i64>, Broken> {
        let engine = &self.inner.parts.engine;
        let lines = match engine.logs(id, LogQuery { follow: true, ..LogQuery::default() }).await {
            Ok(lines) => lines,
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(later(error)),
        };
        let mut copying = std::pin::pin!(copy(lines, prefix, copied, log));
        let mut all_copied = false;
        let mut ended = std::pin::pin!(engine.wait(id));
        let code = loop {
            tokio::select! {
                code = &mut ended => break code,
                () = &mut copying, if !all_copied => all_copied = true,
                () = order.bell.notified() => {
                    if *lock(&order.abandoned) {
                        return Err(Broken::Abandoned);
                    }
                    let grace = Duration::from_secs(GRACE_SECONDS.into());
                    match tokio::time::timeout(CALL_DEADLINE + grace, engine.stop(id, GRACE_SECONDS)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(container.id = id, error = chain(&error), "a job could not be stopped"),
                        Err(_) => tracing::warn!(container.id = id, "stopping a job takes too long"),
                    }
                }
            }
        };
        if !all_copied {
            // The end may be known before the last lines have come.
            let _ = tokio::time::timeout(LAST_LINES, &mut copying).await;
        }
        match code {
            Ok(code) => Ok(Some(code)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(later(error)),
        }
    }

    /// What the end of a container that nobody stopped says.
    async fn judge(&self, container: &str, code: i64, step: &Step) -> Result<Ending, Broken> {
        let engine = &self.inner.parts.engine;
        let seen = self.bounded(engine.observe()).await.map_err(later)?;
        let oom = |state: &ContainerState| matches!(state, ContainerState::Exited { oom_killed: true, .. });
        let oom_killed = seen.iter().any(|c| c.id == container && oom(&c.state));
        if code != 0 || oom_killed {
            let state = ContainerState::Exited { code, oom_killed, finished_at: self.inner.parts.clock.now() };
            let reason = state.exit_reason().unwrap_or_default();
            return Ok(failed(Some(code), reason));
        }
        for path in &step.artifacts {
            let whole = format!("{SHARED_MOUNT}/{SHARED_FOLDER}/{path}");
            match self.bounded(engine.has_path(container, &whole)).await {
                Ok(true) => {}
                Ok(false) => {
                    let reason = format!(
                        "it ended well, but did not leave its artefact {path} in {SHARED_MOUNT}/{SHARED_FOLDER}"
                    );
                    return Ok(failed(Some(code), reason));
                }
                Err(error) => return Err(later(error)),
            }
        }
        Ok(Ending { state: AttemptState::Succeeded, exit_code: Some(code), reason: None })
    }

    /// Writes the end down, and says it in the log.
    async fn land(
        &self,
        tenant: &Tenant,
        run: &Run,
        step: &Step,
        attempt: &Attempt,
        ending: Ending,
        log: &Log,
    ) -> Result<(), Broken> {
        let label = label(step, &attempt.step, attempt.item);
        match &ending.reason {
            Some(reason) => log.error(format!("{label}: {reason}")).await,
            None => log.notice(format!("{label}: done")).await,
        }
        let mut tx = self.inner.parts.store.write().await?;
        let now = self.inner.parts.clock.now();
        attempts::finish(&mut tx, tenant, &run.id, attempt.serial, &ending, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Whose a run is; `None` when its environment is gone.
    pub(super) async fn owner_of(&self, tenant: &Tenant, run: &Run) -> Result<Option<Owner>, StoreError> {
        let found = projects::by_id(&self.inner.parts.store, tenant, &run.environment).await?;
        Ok(found.map(|e| Owner { tenant: e.tenant_id, project: e.project_id, environment: e.id }))
    }

    pub(super) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        tokio::time::timeout(CALL_DEADLINE, call).await.unwrap_or_else(|_| {
            Err(EngineError::TimedOut { what: "the call to the engine".to_owned(), seconds: CALL_DEADLINE.as_secs() })
        })
    }
}

fn later(error: EngineError) -> Broken {
    Broken::Later(chain(&error))
}

fn failed(exit_code: Option<i64>, reason: String) -> Ending {
    Ending { state: AttemptState::Failed, exit_code, reason: Some(reason) }
}

/// Copies lines but the first ones, which are in the log already.
async fn copy(mut lines: EngineStream<LogChunk>, prefix: String, copied: usize, log: &Log) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = lines.next().await {
        // The log leaves out what is empty.
        if chunk.line.is_empty() && prefix.is_empty() {
            continue;
        }
        seen += 1;
        if seen > copied {
            log.output(format!("{prefix}{}", chunk.line)).await;
        }
    }
}
