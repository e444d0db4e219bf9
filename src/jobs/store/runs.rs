//! Runs.

use crate::jobs::model::{Kind, Program, Run, RunState, Subject, Trigger};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, TenantId};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

struct Row {
    id: OperationId,
    tenant: TenantId,
    environment: EnvironmentId,
    kind: Kind,
    name: String,
    number: i64,
    revision: i64,
    trigger: Trigger,
    actor: String,
    scheduled_for: Option<Timestamp>,
    program: String,
    state: RunState,
    alone: bool,
    cancelled_by: Option<String>,
    reason: Option<String>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl Row {
    fn run(self) -> Result<Run, StoreError> {
        let program: Program = serde_json::from_str(&self.program)
            .map_err(|e| StoreError::Corrupt(format!("the program of run {}: {e}", self.id)))?;
        Ok(Run {
            id: self.id,
            tenant: self.tenant,
            environment: self.environment,
            subject: Subject { kind: self.kind, name: self.name },
            number: self.number,
            revision: self.revision,
            trigger: self.trigger,
            actor: self.actor,
            scheduled_for: self.scheduled_for,
            program,
            state: self.state,
            alone: self.alone,
            cancelled_by: self.cancelled_by,
            reason: self.reason,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

macro_rules! select {
    ($rest:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id AS "id: OperationId", tenant_id AS "tenant: TenantId", environment_id AS "environment: EnvironmentId",
               kind AS "kind: Kind", name, number, revision, cause AS "trigger: Trigger", actor,
               scheduled_for AS "scheduled_for: Timestamp", program, state AS "state: RunState", alone AS "alone: bool", cancelled_by,
               reason, created_at AS "created_at: Timestamp", started_at AS "started_at: Timestamp",
               finished_at AS "finished_at: Timestamp" FROM job_runs "# + $rest
            $(, $arg)*
        )
    };
}

fn runs(rows: Vec<Row>) -> Result<Vec<Run>, StoreError> {
    rows.into_iter().map(Row::run).collect()
}

/// The next number of a job or workflow.
///
/// # Errors
/// When the database cannot be read.
pub async fn next_number(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
) -> Result<i64, StoreError> {
    let tenant = tenant.id();
    let last = sqlx::query_scalar!(
        r#"SELECT COALESCE(MAX(number), 0) AS "last!: i64" FROM job_runs
           WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ?"#,
        tenant,
        environment,
        subject.kind,
        subject.name
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(last + 1)
}

/// Stores a new run.
///
/// # Errors
/// When the database cannot be written, or a rule of the schema is broken: a moment has one run, and what must run alone
/// has one under way.
pub async fn insert(tx: &mut Write, tenant: &Tenant, run: &Run) -> Result<(), StoreError> {
    let tenant = tenant.id();
    let program = serde_json::to_string(&run.program).expect("a program is always representable as JSON");
    sqlx::query!(
        "INSERT INTO job_runs (id, tenant_id, environment_id, kind, name, number, revision, cause, actor, scheduled_for, program,
                               state, alone, cancelled_by, reason, created_at, started_at, finished_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        run.id,
        tenant,
        run.environment,
        run.subject.kind,
        run.subject.name,
        run.number,
        run.revision,
        run.trigger,
        run.actor,
        run.scheduled_for,
        program,
        run.state,
        run.alone,
        run.cancelled_by,
        run.reason,
        run.created_at,
        run.started_at,
        run.finished_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// All runs that have not ended, of all tenants, in the order of their making: for the platform's own loop.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_under_way(store: &Store) -> Result<Vec<Run>, StoreError> {
    runs(select!("WHERE state IN ('waiting', 'running') ORDER BY id").fetch_all(store.read()).await?)
}

/// Those of one job or workflow that have not ended.
///
/// # Errors
/// When the database cannot be read.
pub async fn under_way(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
) -> Result<Vec<Run>, StoreError> {
    let tenant = tenant.id();
    runs(
        select!(
            "WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ? AND state IN ('waiting', 'running') ORDER BY number",
            tenant,
            environment,
            subject.kind,
            subject.name
        )
        .fetch_all(&mut **tx)
        .await?,
    )
}

/// The newest runs of a job or workflow, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    limit: u32,
) -> Result<Vec<Run>, StoreError> {
    let tenant = tenant.id();
    runs(
        select!(
            "WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ? ORDER BY number DESC LIMIT ?",
            tenant,
            environment,
            subject.kind,
            subject.name,
            limit
        )
        .fetch_all(store.read())
        .await?,
    )
}

/// The newest run of each job and workflow of an environment.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest(store: &Store, tenant: &Tenant, environment: &EnvironmentId) -> Result<Vec<Run>, StoreError> {
    let tenant = tenant.id();
    runs(
        select!(
            "AS r WHERE tenant_id = ? AND environment_id = ? AND number = (SELECT MAX(number) FROM job_runs AS o
             WHERE o.environment_id = r.environment_id AND o.kind = r.kind AND o.name = r.name)",
            tenant,
            environment
        )
        .fetch_all(store.read())
        .await?,
    )
}

/// One run by its number.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    number: i64,
) -> Result<Option<Run>, StoreError> {
    let tenant = tenant.id();
    select!(
        "WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ? AND number = ?",
        tenant,
        environment,
        subject.kind,
        subject.name,
        number
    )
    .fetch_optional(store.read())
    .await?
    .map(Row::run)
    .transpose()
}

/// A waiting run begins.
///
/// # Errors
/// When the database cannot be written, or another one that must be alone is under way.
pub async fn begin(tx: &mut Write, tenant: &Tenant, id: &OperationId, now: Timestamp) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_runs SET state = 'running', started_at = ? WHERE tenant_id = ? AND id = ? AND state = 'waiting'",
        now,
        tenant,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A run that has not ended shall; the first who says so is named. False when it has ended, or was told so before.
///
/// # Errors
/// When the database cannot be written.
pub async fn cancel(tx: &mut Write, tenant: &Tenant, id: &OperationId, by: &str) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let done = sqlx::query!(
        "UPDATE job_runs SET cancelled_by = ?
         WHERE tenant_id = ? AND id = ? AND state IN ('waiting', 'running') AND cancelled_by IS NULL",
        by,
        tenant,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A run has ended. The first end stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn finish(
    tx: &mut Write,
    tenant: &Tenant,
    id: &OperationId,
    state: RunState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE job_runs SET state = ?, reason = ?, finished_at = ?
         WHERE tenant_id = ? AND id = ? AND state IN ('waiting', 'running')",
        state,
        reason,
        now,
        tenant,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets all ended runs of a job or workflow but the newest `keep`; gives them, since their operations go too. The
/// newest one stays always, so that numbers go on.
///
/// # Errors
/// When the database cannot be written.
pub async fn prune(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    keep: u32,
) -> Result<Vec<OperationId>, StoreError> {
    let tenant = tenant.id();
    let keep = keep.max(1);
    Ok(sqlx::query_scalar!(
        r#"DELETE FROM job_runs WHERE id IN (
               SELECT id FROM job_runs WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ? AND finished_at IS NOT NULL
               ORDER BY number DESC LIMIT -1 OFFSET ?)
           RETURNING id AS "id: OperationId""#,
        tenant,
        environment,
        subject.kind,
        subject.name,
        keep
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Whether a moment of a schedule has a run already.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_known(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    moment: Timestamp,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let found = sqlx::query_scalar!(
        r#"SELECT COUNT(*) AS "found!: i64" FROM job_runs
           WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ? AND scheduled_for = ?"#,
        tenant,
        environment,
        subject.kind,
        subject.name,
        moment
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found > 0)
}
