//! The loop: reads what is stored, decides, writes the decision down, then acts. Level-triggered: a pass takes no
//! arguments and may run at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::container::{run_of, volume_of};
use super::handle::{Jobs, lock};
use super::model::{Attempt, AttemptState, Run, RunState, Stop};
use super::places::{Place, Reader};
use super::plan::{Action, decide};
use super::store::{attempts, runs};
use crate::engine::EngineError;
use crate::kernel::clock::Timestamp;
use crate::kernel::error::chain;
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::operations::State;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;

/// The longest pause between two looks; deploys bring new schedules without a nudge.
pub(super) const CALM_MS: i64 = 5_000;
/// The shortest one.
const PACE: Duration = Duration::from_millis(50);
/// Containers of all runs at the same time.
const MOST_CONTAINERS: usize = 64;
/// How often volumes that a crash left behind are looked for.
const SWEEP: Duration = Duration::from_secs(3_600);

impl Jobs {
    /// Takes up the runs of an earlier control plane, so that their containers are not taken for leftovers. To be called
    /// before the scheduler runs.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn recover(&self) -> Result<(), StoreError> {
        for run in runs::every_under_way(&self.inner.parts.store).await? {
            if run.state == RunState::Running {
                self.own(&run).await?;
                self.inner.parts.operations.log(&run.id).notice("the control plane was restarted; going on").await;
            }
        }
        Ok(())
    }

    /// Runs until told to stop. Containers go on; the next control plane finds them.
    pub async fn run(self, stop: CancellationToken) {
        let work = async { tokio::join!(self.keep_looking(), self.keep_swept()) };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = work => {}
        }
        self.inner.end.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    async fn keep_looking(&self) {
        let mut reader = Reader::default();
        loop {
            let wake_at = match self.pass(&mut reader).await {
                Ok(wake_at) => wake_at,
                Err(error) => {
                    tracing::error!(error = chain(&error), "jobs cannot be looked after");
                    None
                }
            };
            let now = self.inner.parts.clock.now();
            let pause = wake_at.map_or(CALM_MS, |at| at.since_ms(now)).clamp(0, CALM_MS);
            tokio::time::sleep(PACE).await;
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())) => {}
            }
        }
    }

    /// One look at everything; gives when time alone changes something.
    pub(super) async fn pass(&self, reader: &mut Reader) -> Result<Option<Timestamp>, StoreError> {
        let places = self.places(reader).await?;
        let mut wakes = Vec::new();
        for place in places.values() {
            wakes.extend(self.follow_schedules(place).await?);
        }
        self.admit_waiting(&places).await?;
        wakes.extend(self.carry_on(&places).await?);
        Ok(wakes.into_iter().min())
    }

    /// Lets waiting runs begin whose turn it is, and ends those whose turn will not come.
    async fn admit_waiting(&self, places: &BTreeMap<EnvironmentId, Place>) -> Result<(), StoreError> {
        let parts = &self.inner.parts;
        let all = runs::every_under_way(&parts.store).await?;
        let now = parts.clock.now();
        for run in all.iter().filter(|r| r.state == RunState::Waiting) {
            let tenant = Tenant::platform(run.tenant.clone());
            let same = |r: &&Run| r.environment == run.environment && r.subject == run.subject && r.id != run.id;
            let runs_there = places.get(&run.environment).is_some_and(|p| p.runs);
            if let Some(by) = &run.cancelled_by {
                self.finish(&tenant, run, RunState::Cancelled, format!("cancelled by {by}"), places).await?;
            } else if !runs_there {
                self.finish(&tenant, run, RunState::Cancelled, "the app was stopped".to_owned(), places).await?;
            } else if now >= run.deadline() {
                let reason = "the run before it did not end in time".to_owned();
                self.finish(&tenant, run, RunState::Failed, reason, places).await?;
            } else if all.iter().filter(same).all(|r| r.state != RunState::Running && r.number > run.number) {
                let mut tx = parts.store.write().await?;
                runs::begin(&mut tx, &tenant, &run.id, now).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Brings every run that is under way a step further; gives when to look again.
    async fn carry_on(&self, places: &BTreeMap<EnvironmentId, Place>) -> Result<Vec<Timestamp>, StoreError> {
        let parts = &self.inner.parts;
        // The runs first: an attempt that is made meanwhile belongs to a run that was read.
        let under_way = runs::every_under_way(&parts.store).await?;
        let mut all = attempts::every_under_way(&parts.store).await?;
        let live = all.values().flatten().filter(|a| a.state.is_live()).count();
        let mut room = MOST_CONTAINERS.saturating_sub(live);
        let mut wakes = Vec::new();
        for run in under_way.iter().filter(|r| r.state == RunState::Running) {
            self.own(run).await?;
            let attempts = all.remove(&run.id).unwrap_or_default();
            wakes.extend(self.step(run, attempts, places, &mut room).await?);
        }
        Ok(wakes)
    }

    async fn step(
        &self,
        run: &Run,
        mut attempts: Vec<Attempt>,
        places: &BTreeMap<EnvironmentId, Place>,
        room: &mut usize,
    ) -> Result<Option<Timestamp>, StoreError> {
        let parts = &self.inner.parts;
        let tenant = Tenant::platform(run.tenant.clone());
        let mut run = run.clone();
        if run.cancelled_by.is_none() && !places.get(&run.environment).is_some_and(|p| p.runs) {
            let by = "the stop of the app";
            self.cancel(&tenant, &run.id, by).await?;
            run.cancelled_by = Some(by.to_owned());
        }
        let now = parts.clock.now();
        let decision = decide(&run, &attempts, now, *room);
        if let Some((state, reason)) = decision.outcome {
            return self.finish(&tenant, &run, state, reason, places).await.map(|()| None);
        }
        let Some(owner) = self.owner_of(&tenant, &run).await? else { return Ok(None) };
        self.write_down(&tenant, &run, &decision.actions, now).await?;
        for attempt in attempts.iter_mut().filter(|a| a.state.is_live()) {
            let stop = decision.actions.iter().find_map(|action| match action {
                Action::Stop { serial, cause } if *serial == attempt.serial => Some(Stop { cause: *cause, at: now }),
                _ => None,
            });
            attempt.stop = attempt.stop.or(stop);
            self.take_off(&run, attempt, &owner, false);
            if let Some(stop) = attempt.stop
                && let Some(flight) = lock(&self.inner.flights).get(&(run.id.clone(), attempt.serial))
            {
                flight.order.stop(stop);
            }
        }
        for action in decision.actions {
            match action {
                Action::Start { serial, step, item, number } => {
                    *room = room.saturating_sub(1);
                    self.take_off(&run, &begun(serial, step, item, number, now), &owner, true);
                }
                Action::GiveUp { serial } => {
                    if let Some(flight) = lock(&self.inner.flights).get(&(run.id.clone(), serial)) {
                        flight.order.abandon();
                    }
                }
                Action::Stop { .. } => {}
            }
        }
        Ok(decision.wake_at)
    }

    /// All that a look at a run has decided, in one transaction, before anything of it is done.
    async fn write_down(
        &self,
        tenant: &Tenant,
        run: &Run,
        actions: &[Action],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if actions.is_empty() {
            return Ok(());
        }
        let mut tx = self.inner.parts.store.write().await?;
        for action in actions {
            match action {
                Action::Start { serial, step, item, number } => {
                    attempts::insert(&mut tx, tenant, &run.id, (*serial, step, *item, *number), now).await?;
                }
                Action::Stop { serial, cause } => {
                    let stop = Stop { cause: *cause, at: now };
                    attempts::mark_stopping(&mut tx, tenant, &run.id, *serial, stop).await?;
                }
                Action::GiveUp { serial } => {
                    let reason = "it was told to stop, and the engine did not say that it has ended";
                    attempts::give_up(&mut tx, tenant, &run.id, *serial, reason, now).await?;
                }
            }
        }
        Ok(tx.commit().await?)
    }

    /// Ends a run: what it has goes first, so that an end that is written down is one.
    async fn finish(
        &self,
        tenant: &Tenant,
        run: &Run,
        state: RunState,
        reason: String,
        places: &BTreeMap<EnvironmentId, Place>,
    ) -> Result<(), StoreError> {
        let parts = &self.inner.parts;
        if run.program.shares_files() {
            // The last containers may be on their way out still; what stays is swept.
            if let Err(error) = self.bounded(parts.engine.remove_volume(&volume_of(run))).await {
                tracing::warn!(run.id = %run.id, error = chain(&error), "the files of a run stay for now");
            }
        }
        let of_operation = match state {
            RunState::Failed => State::Failed,
            RunState::Cancelled => State::Cancelled,
            _ => State::Succeeded,
        };
        // First, because it waits until the whole log is on disk.
        parts.operations.finish(&run.id, of_operation, &reason).await?;
        let mut tx = parts.store.write().await?;
        runs::finish(&mut tx, tenant, &run.id, state, &reason, parts.clock.now()).await?;
        let definitions = places.get(&run.environment).and_then(|p| p.serving.as_ref()).map(|(_, all)| all);
        if let Some(known) = definitions.and_then(|all| all.iter().find(|d| d.subject == run.subject)) {
            self.forget_old(&mut tx, tenant, run, known.history).await?;
        }
        tx.commit().await?;
        tracing::info!(run.id = %run.id, subject = %run.subject, number = run.number, state = state.as_str(), reason, "a run has ended");
        Ok(())
    }

    /// Keeps so many ended runs of a job or workflow, with their logs.
    pub(super) async fn forget_old(
        &self,
        tx: &mut crate::store::Write,
        tenant: &Tenant,
        run: &Run,
        keep: u32,
    ) -> Result<(), StoreError> {
        for id in runs::prune(tx, tenant, &run.environment, &run.subject, keep).await? {
            self.inner.parts.operations.forget(tx, &id).await?;
        }
        Ok(())
    }

    /// Makes a run's operation one of this process.
    async fn own(&self, run: &Run) -> Result<(), StoreError> {
        let operations = &self.inner.parts.operations;
        if operations.is_running(&run.id) {
            return Ok(());
        }
        let tenant = Tenant::platform(run.tenant.clone());
        if let Some(operation) = operations.get(&tenant, &run.id).await?.filter(|o| !o.state.is_final()) {
            operations.start(&operation).await?;
        }
        Ok(())
    }

    async fn keep_swept(&self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error, "the files of ended runs could not be looked for");
            }
            tokio::time::sleep(SWEEP).await;
        }
    }

    /// Removes the volumes of runs that have ended.
    pub(super) async fn sweep(&self) -> Result<(), String> {
        let parts = &self.inner.parts;
        let volumes = self.bounded(parts.engine.volumes(false)).await.map_err(|e: EngineError| chain(&e))?;
        // Read after the list: a run that begins now has no volume in it.
        let under_way = runs::every_under_way(&parts.store).await.map_err(|e| chain(&e))?;
        let alive: BTreeSet<&OperationId> = under_way.iter().map(|r| &r.id).collect();
        for seen in volumes.iter().filter(|v| run_of(&v.volume).is_some_and(|run| !alive.contains(&run))) {
            if let Err(error) = self.bounded(parts.engine.remove_volume(&seen.volume)).await {
                tracing::warn!(volume = %seen.volume.name, error = chain(&error), "the files of a run stay for now");
            }
        }
        Ok(())
    }
}

/// An attempt as it is written down.
fn begun(serial: u32, step: String, item: u32, number: u32, now: Timestamp) -> Attempt {
    Attempt {
        serial,
        step,
        item,
        number,
        state: AttemptState::Starting,
        stop: None,
        container: None,
        created_at: now,
        ended_at: None,
        exit_code: None,
        reason: None,
    }
}
