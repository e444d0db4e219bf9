//! The SQL of operations.

use super::model::{Kind, Line, LineKind, Operation, State};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, TenantId};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// A row as the database gives it; `query_as!` wants a literal, so that the columns stand once per query.
macro_rules! select {
    ($rest:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Operation,
            r#"SELECT id AS "id: OperationId", tenant_id AS "tenant: TenantId", environment_id AS "environment: EnvironmentId",
               kind AS "kind: Kind", state AS "state: State", phase, exclusive AS "exclusive: bool", actor, cause, input, revision, boot,
               deadline_at AS "deadline_at: Timestamp", created_at AS "created_at: Timestamp", started_at AS "started_at: Timestamp",
               finished_at AS "finished_at: Timestamp", summary FROM operations "# + $rest
            $(, $arg)*
        )
    };
}

pub(super) async fn insert(tx: &mut Write, o: &Operation) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO operations (id, tenant_id, environment_id, kind, state, phase, exclusive, actor, cause, input, revision, boot,
                                 deadline_at, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        o.id,
        o.tenant,
        o.environment,
        o.kind,
        o.state,
        o.phase,
        o.exclusive,
        o.actor,
        o.cause,
        o.input,
        o.revision,
        o.boot,
        o.deadline_at,
        o.created_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn active<'e>(
    from: impl sqlx::SqliteExecutor<'e>,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<Option<Operation>, StoreError> {
    let tenant = tenant.id();
    Ok(select!(
        "WHERE tenant_id = ? AND environment_id = ? AND exclusive = 1 AND state IN ('queued', 'running')",
        tenant,
        environment
    )
    .fetch_optional(from)
    .await?)
}

pub(super) async fn set_input(tx: &mut Write, id: &OperationId, input: &str) -> Result<(), StoreError> {
    sqlx::query!("UPDATE operations SET input = ? WHERE id = ?", input, id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn mark_running(
    tx: &mut Write,
    id: &OperationId,
    boot: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE operations SET state = 'running', boot = ?, started_at = COALESCE(started_at, ?)
         WHERE id = ? AND state IN ('queued', 'running')",
        boot,
        now,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves the deadline of an operation that has not ended.
///
/// # Errors
/// When the database cannot be written.
pub(super) async fn set_deadline(tx: &mut Write, id: &OperationId, deadline_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!("UPDATE operations SET deadline_at = ? WHERE id = ? AND finished_at IS NULL", deadline_at, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn set_phase(tx: &mut Write, id: &OperationId, phase: &str) -> Result<(), StoreError> {
    sqlx::query!("UPDATE operations SET phase = ? WHERE id = ?", phase, id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn set_revision(tx: &mut Write, id: &OperationId, revision: i64) -> Result<(), StoreError> {
    sqlx::query!("UPDATE operations SET revision = ? WHERE id = ?", revision, id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn finish(
    tx: &mut Write,
    id: &OperationId,
    state: State,
    summary: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE operations SET state = ?, summary = ?, finished_at = ? WHERE id = ? AND state IN ('queued', 'running')",
        state,
        summary,
        now,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Write, id: &OperationId) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM operations WHERE id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn get(store: &Store, tenant: &Tenant, id: &OperationId) -> Result<Option<Operation>, StoreError> {
    let tenant = tenant.id();
    Ok(select!("WHERE tenant_id = ? AND id = ?", tenant, id).fetch_optional(store.read()).await?)
}

pub(super) async fn list(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    before: Option<&OperationId>,
    limit: u32,
) -> Result<Vec<Operation>, StoreError> {
    let tenant = tenant.id();
    // Ids sort by age, so that the id itself is the cursor. Jobs have lists of their own: one that runs every minute
    // would fill this one.
    Ok(select!(
        "WHERE tenant_id = ? AND environment_id = ? AND kind <> 'job' AND (? IS NULL OR id < ?) ORDER BY id DESC LIMIT ?",
        tenant,
        environment,
        before,
        before,
        limit
    )
    .fetch_all(store.read())
    .await?)
}

pub(super) async fn abandoned(store: &Store, boot: &str) -> Result<Vec<Operation>, StoreError> {
    Ok(select!("WHERE state IN ('queued', 'running') AND boot <> ? ORDER BY id", boot).fetch_all(store.read()).await?)
}

pub(super) async fn revisions_under_way(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<Vec<i64>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_scalar!(
        r#"SELECT DISTINCT revision AS "revision!: i64" FROM operations
           WHERE tenant_id = ? AND environment_id = ? AND state IN ('queued', 'running') AND revision IS NOT NULL"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?)
}

pub(super) async fn past_deadline(store: &Store, now: Timestamp) -> Result<Vec<Operation>, StoreError> {
    Ok(select!("WHERE state IN ('queued', 'running') AND deadline_at < ? ORDER BY id", now)
        .fetch_all(store.read())
        .await?)
}

pub(super) async fn last_seq(tx: &mut Write, id: &OperationId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT COALESCE(MAX(seq), 0) AS "seq!: i64" FROM operation_log WHERE operation_id = ?"#,
        id
    )
    .fetch_one(&mut **tx)
    .await?)
}

pub(super) async fn append(tx: &mut Write, id: &OperationId, line: &Line) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO operation_log (operation_id, seq, at, kind, line) VALUES (?, ?, ?, ?, ?)",
        id,
        line.seq,
        line.at,
        line.kind,
        line.line
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn lines(
    store: &Store,
    tenant: &Tenant,
    id: &OperationId,
    after: i64,
    limit: u32,
) -> Result<Vec<Line>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_as!(
        Line,
        r#"SELECT l.seq, l.at AS "at: Timestamp", l.kind AS "kind: LineKind", l.line
           FROM operation_log l JOIN operations o ON o.id = l.operation_id
           WHERE o.tenant_id = ? AND l.operation_id = ? AND l.seq > ? ORDER BY l.seq LIMIT ?"#,
        tenant,
        id,
        after,
        limit
    )
    .fetch_all(store.read())
    .await?)
}
