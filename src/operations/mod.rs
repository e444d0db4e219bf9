//! Durable operations: every change that takes time is a row that says what is done, for whom, by when, and how far it is.
//!
//! Invariants: an operation always ends, because it has a deadline and a watchdog; it outlives a `kill -9`, because its
//! row says what is needed to go on or to fail with a reason; at most one operation changes an environment at a time
//! (a unique index of the schema holds that, not a lock in memory); its log is append-only and numbered, so that a
//! reader can leave and come back.
//!
//! To add a kind: a variant of [`model::Kind`], and its driver in the room that carries it out.

pub mod follow;
pub mod log;
pub mod model;
pub mod store;

pub use follow::FollowItem;
pub use log::Log;
pub use model::{Kind, LineKind, NewOperation, Operation, State};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::random::Random;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// Why an operation could not begin.
#[derive(Debug, Error)]
pub enum BeginError {
    /// Another one is changing the environment.
    #[error("another operation is running")]
    Busy(Box<Operation>),
    /// The database could not be used.
    #[error("the operation could not be recorded")]
    Store(#[from] StoreError),
}

/// The operations of this installation. Clones share everything.
#[derive(Clone)]
pub struct Operations {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    random: Random,
    /// Names this run of the control plane; rows of other boots were left behind by a crash.
    boot: String,
    log: log::Writer,
    /// Rung whenever a row or a log changes.
    bell: Arc<Notify>,
    /// What to pull when somebody cancels, or the watchdog does.
    running: Mutex<BTreeMap<OperationId, CancellationToken>>,
}

impl Operations {
    /// Over this state; must be called within a tokio runtime, since it starts the log's writer.
    #[must_use]
    pub fn new(store: Store, clock: Clock, random: Random) -> Self {
        let bell = Arc::new(Notify::new());
        let log = log::Writer::start(store.clone(), clock.clone(), Arc::clone(&bell));
        let boot = random.token();
        Self { inner: Arc::new(Inner { store, clock, random, boot, log, bell, running: Mutex::default() }) }
    }

    /// Records a new operation within the caller's transaction, so that it exists exactly if what it is about does.
    ///
    /// # Errors
    /// [`BeginError::Busy`] when another one is changing the environment; the transaction should then be dropped.
    pub async fn begin(&self, tx: &mut Write, tenant: &Tenant, new: NewOperation) -> Result<Operation, BeginError> {
        if new.exclusive
            && let Some(active) = store::active(&mut **tx, tenant, &new.environment).await?
        {
            return Err(BeginError::Busy(Box::new(active)));
        }
        let now = self.inner.clock.now();
        let operation = Operation {
            id: OperationId::new(now, &self.inner.random),
            tenant: tenant.id().clone(),
            environment: new.environment,
            kind: new.kind,
            state: State::Queued,
            phase: new.phase.to_owned(),
            exclusive: new.exclusive,
            actor: new.actor,
            cause: new.cause,
            input: new.input,
            revision: new.revision,
            boot: self.inner.boot.clone(),
            deadline_at: now.plus_secs(new.deadline_seconds),
            created_at: now,
            started_at: None,
            finished_at: None,
            summary: None,
        };
        store::insert(tx, &operation).await?;
        Ok(operation)
    }

    /// Marks it as running and gives the token that tells its driver to stop.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn start(&self, operation: &Operation) -> Result<CancellationToken, StoreError> {
        let token = CancellationToken::new();
        self.running().insert(operation.id.clone(), token.clone());
        let mut tx = self.inner.store.write().await?;
        store::mark_running(&mut tx, &operation.id, &self.inner.boot, self.inner.clock.now()).await?;
        tx.commit().await?;
        self.ring();
        Ok(token)
    }

    /// Says what it is doing now.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn phase(&self, id: &OperationId, phase: &str) -> Result<(), StoreError> {
        let mut tx = self.inner.store.write().await?;
        store::set_phase(&mut tx, id, phase).await?;
        tx.commit().await?;
        self.ring();
        Ok(())
    }

    /// Gives it until then: what it waits for has deadlines of its own, and may lawfully take longer.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn extend(&self, id: &OperationId, deadline_at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.inner.store.write().await?;
        store::set_deadline(&mut tx, id, deadline_at).await?;
        Ok(tx.commit().await?)
    }

    /// The same within the caller's transaction.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn phase_in(&self, tx: &mut Write, id: &OperationId, phase: &str) -> Result<(), StoreError> {
        store::set_phase(tx, id, phase).await
    }

    /// Replaces what its driver needs, when that became known only after it began.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_input(&self, id: &OperationId, input: &str) -> Result<(), StoreError> {
        let mut tx = self.inner.store.write().await?;
        store::set_input(&mut tx, id, input).await?;
        Ok(tx.commit().await?)
    }

    /// The operation that is changing an environment now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn active(&self, tenant: &Tenant, environment: &EnvironmentId) -> Result<Option<Operation>, StoreError> {
        store::active(self.inner.store.read(), tenant, environment).await
    }

    /// Takes back an operation that turned out to change nothing, such as a push of tags.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn discard(&self, id: &OperationId) -> Result<(), StoreError> {
        let mut tx = self.inner.store.write().await?;
        store::remove(&mut tx, id).await?;
        tx.commit().await?;
        self.running().remove(id);
        self.ring();
        Ok(())
    }

    /// Forgets one that has ended, with its log.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget(&self, tx: &mut Write, id: &OperationId) -> Result<(), StoreError> {
        store::remove(tx, id).await
    }

    /// The revisions that operations under way need.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn revisions_under_way(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
    ) -> Result<Vec<i64>, StoreError> {
        store::revisions_under_way(&self.inner.store, tenant, environment).await
    }

    /// The lines of one after `after`, at most a page of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lines(&self, tenant: &Tenant, id: &OperationId, after: i64) -> Result<Vec<model::Line>, StoreError> {
        store::lines(&self.inner.store, tenant, id, after, follow::PAGE).await
    }

    /// Whether its deadline has passed.
    #[must_use]
    pub fn is_late(&self, operation: &Operation) -> bool {
        self.inner.clock.now() >= operation.deadline_at
    }

    /// Whether a driver of this process has it.
    #[must_use]
    pub fn is_running(&self, id: &OperationId) -> bool {
        self.running().contains_key(id)
    }

    /// All that drivers of this process have.
    #[must_use]
    pub fn running_ids(&self) -> Vec<OperationId> {
        self.running().keys().cloned().collect()
    }

    /// Says which revision it made, within the transaction that stores the revision.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_revision(&self, tx: &mut Write, id: &OperationId, revision: i64) -> Result<(), StoreError> {
        store::set_revision(tx, id, revision).await
    }

    /// Where its lines go.
    #[must_use]
    pub fn log(&self, id: &OperationId) -> Log {
        self.inner.log.of(id.clone())
    }

    /// Ends it: its log is on disk before its end is visible. Ending twice keeps the first end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish(&self, id: &OperationId, state: State, summary: &str) -> Result<(), StoreError> {
        self.inner.log.flush().await;
        let mut tx = self.inner.store.write().await?;
        store::finish(&mut tx, id, state, summary, self.inner.clock.now()).await?;
        tx.commit().await?;
        self.running().remove(id);
        self.ring();
        Ok(())
    }

    /// Tells the driver of a running operation to stop; false when none of this process drives it.
    #[must_use]
    pub fn cancel(&self, id: &OperationId) -> bool {
        match self.running().get(id) {
            Some(token) => {
                token.cancel();
                true
            }
            None => false,
        }
    }

    /// One operation of the tenant's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(&self, tenant: &Tenant, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        store::get(&self.inner.store, tenant, id).await
    }

    /// The newest operations of an environment, newest first; older than `before` when given.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(
        &self,
        tenant: &Tenant,
        environment: &EnvironmentId,
        before: Option<&OperationId>,
        limit: u32,
    ) -> Result<Vec<Operation>, StoreError> {
        store::list(&self.inner.store, tenant, environment, before, limit).await
    }

    /// Operations that do not run here though their rows say so: left behind by an earlier run of the control plane.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn abandoned(&self) -> Result<Vec<Operation>, StoreError> {
        store::abandoned(&self.inner.store, &self.inner.boot).await
    }

    /// The watchdog's turn: what is past its deadline is told to stop, and failed when its driver does not react.
    /// Gives how many were past it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn enforce_deadlines(&self) -> Result<usize, StoreError> {
        let now = self.inner.clock.now();
        let late = store::past_deadline(&self.inner.store, now).await?;
        for operation in &late {
            let over_ms = now.since_ms(operation.deadline_at);
            if self.cancel(&operation.id) && over_ms < model::CANCEL_GRACE_MS {
                continue;
            }
            let minutes = operation.deadline_at.since_ms(operation.created_at) / 60_000;
            let reason =
                format!("not done within its deadline of {minutes} min; it was in the phase `{}`", operation.phase);
            self.finish(&operation.id, State::Failed, &reason).await?;
        }
        Ok(late.len())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<OperationId, CancellationToken>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.inner.bell.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
