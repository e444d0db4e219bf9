//! The containers of runs.

use std::collections::BTreeMap;

use crate::jobs::model::{Attempt, AttemptState, Stop, StopCause, Subject};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

struct Row {
    run_id: OperationId,
    serial: i64,
    step: String,
    item: i64,
    number: i64,
    state: AttemptState,
    stop: Option<StopCause>,
    stop_at: Option<Timestamp>,
    container: Option<String>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    exit_code: Option<i64>,
    reason: Option<String>,
}

impl Row {
    fn attempt(self) -> Attempt {
        let small = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Attempt {
            serial: small(self.serial),
            step: self.step,
            item: small(self.item),
            number: small(self.number),
            state: self.state,
            stop: self.stop.zip(self.stop_at).map(|(cause, at)| Stop { cause, at }),
            container: self.container,
            created_at: self.created_at,
            ended_at: self.ended_at,
            exit_code: self.exit_code,
            reason: self.reason,
        }
    }
}

macro_rules! select {
    ($rest:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT run_id AS "run_id: OperationId", serial, step, item, number, state AS "state: AttemptState",
               stop AS "stop: StopCause", stop_at AS "stop_at: Timestamp", container, created_at AS "created_at: Timestamp",
               ended_at AS "ended_at: Timestamp", exit_code, reason FROM job_attempts "# + $rest
            $(, $arg)*
        )
    };
}

/// All of a run, in the order of their serials.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_run(store: &Store, tenant: &Tenant, run: &OperationId) -> Result<Vec<Attempt>, StoreError> {
    let tenant = tenant.id();
    let rows = select!("WHERE tenant_id = ? AND run_id = ? ORDER BY serial", tenant, run);
    Ok(rows.fetch_all(store.read()).await?.into_iter().map(Row::attempt).collect())
}

/// Those of all runs that are under way, for the platform's own loop.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_under_way(store: &Store) -> Result<BTreeMap<OperationId, Vec<Attempt>>, StoreError> {
    let rows = select!(
        "WHERE run_id IN (SELECT id FROM job_runs WHERE state IN ('waiting', 'running')) ORDER BY run_id, serial"
    );
    let mut all: BTreeMap<OperationId, Vec<Attempt>> = BTreeMap::new();
    for row in rows.fetch_all(store.read()).await? {
        all.entry(row.run_id.clone()).or_default().push(row.attempt());
    }
    Ok(all)
}

/// Where an attempt stands; `None` when there is none.
///
/// # Errors
/// When the database cannot be read.
pub async fn state(
    store: &Store,
    tenant: &Tenant,
    run: &OperationId,
    serial: u32,
) -> Result<Option<AttemptState>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_scalar!(
        r#"SELECT state AS "state: AttemptState" FROM job_attempts WHERE tenant_id = ? AND run_id = ? AND serial = ?"#,
        tenant,
        run,
        serial
    )
    .fetch_optional(store.read())
    .await?)
}

/// Notes an attempt before its container is made.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Write,
    tenant: &Tenant,
    run: &OperationId,
    (serial, step, item, number): (u32, &str, u32, u32),
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO job_attempts (tenant_id, run_id, serial, step, item, number, state, created_at)
         VALUES (?, ?, ?, ?, ?, ?, 'starting', ?)",
        tenant,
        run,
        serial,
        step,
        item,
        number,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Its container was started.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_running(
    tx: &mut Write,
    tenant: &Tenant,
    run: &OperationId,
    serial: u32,
    container: &str,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_attempts SET state = 'running', container = ?
         WHERE tenant_id = ? AND run_id = ? AND serial = ? AND state IN ('starting', 'running')",
        container,
        tenant,
        run,
        serial
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It shall stop. The first cause stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_stopping(
    tx: &mut Write,
    tenant: &Tenant,
    run: &OperationId,
    serial: u32,
    stop: Stop,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_attempts SET stop = ?, stop_at = ? WHERE tenant_id = ? AND run_id = ? AND serial = ? AND stop IS NULL",
        stop.cause,
        stop.at,
        tenant,
        run,
        serial
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It is counted as ended though nobody saw its end: its container may be there still.
///
/// # Errors
/// When the database cannot be written.
pub async fn give_up(
    tx: &mut Write,
    tenant: &Tenant,
    run: &OperationId,
    serial: u32,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_attempts SET state = 'failed', loose = 1, reason = ?, ended_at = ?
         WHERE tenant_id = ? AND run_id = ? AND serial = ? AND state IN ('starting', 'running')",
        reason,
        now,
        tenant,
        run,
        serial
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of a job or workflow that were given up, by run and serial.
///
/// # Errors
/// When the database cannot be read.
pub async fn loose(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
) -> Result<Vec<(OperationId, u32)>, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query!(
        r#"SELECT a.run_id AS "run: OperationId", a.serial FROM job_attempts a JOIN job_runs r ON r.id = a.run_id
           WHERE r.tenant_id = ? AND r.environment_id = ? AND r.kind = ? AND r.name = ? AND a.loose = 1"#,
        tenant,
        environment,
        subject.kind,
        subject.name
    )
    .fetch_all(store.read())
    .await?;
    Ok(rows.into_iter().map(|r| (r.run, u32::try_from(r.serial).unwrap_or(u32::MAX))).collect())
}

/// Its container is gone for sure.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_gone(tx: &mut Write, tenant: &Tenant, run: &OperationId, serial: u32) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_attempts SET loose = 0 WHERE tenant_id = ? AND run_id = ? AND serial = ?",
        tenant,
        run,
        serial
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub state: AttemptState,
    pub exit_code: Option<i64>,
    pub reason: Option<String>,
}

/// It has ended. The first end stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn finish(
    tx: &mut Write,
    tenant: &Tenant,
    run: &OperationId,
    serial: u32,
    ending: &Ending,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_attempts SET state = ?, exit_code = ?, reason = ?, ended_at = ?
         WHERE tenant_id = ? AND run_id = ? AND serial = ? AND state IN ('starting', 'running')",
        ending.state,
        ending.exit_code,
        ending.reason,
        now,
        tenant,
        run,
        serial
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
