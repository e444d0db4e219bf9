//! The SQL of what shall run.

use std::collections::BTreeMap;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// One attempt to run a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub revision: i64,
    pub generation: i64,
}

/// What shall run in an environment, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desired {
    /// What shall run, and since when that is so.
    pub target: Option<(Attempt, Timestamp)>,
    /// What passed and takes traffic.
    pub serving: Option<Attempt>,
    pub stopped: bool,
    pub destroyed: bool,
}

/// What shall run, as the row says now.
///
/// # Errors
/// When the database cannot be read.
pub async fn desired(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<Option<Desired>, StoreError> {
    let tenant = tenant.id();
    let row = sqlx::query!(
        r#"SELECT target_revision, target_generation, target_since AS "target_since: Timestamp", serving_revision, serving_generation,
                  stopped AS "stopped: bool", destroyed AS "destroyed: bool"
           FROM environments WHERE tenant_id = ? AND id = ?"#,
        tenant,
        environment
    )
    .fetch_optional(store.read())
    .await?;
    let attempt =
        |revision: Option<i64>, generation: Option<i64>| Some(Attempt { revision: revision?, generation: generation? });
    Ok(row.map(|r| Desired {
        target: attempt(r.target_revision, r.target_generation).zip(r.target_since),
        serving: attempt(r.serving_revision, r.serving_generation),
        stopped: r.stopped,
        destroyed: r.destroyed,
    }))
}

/// What shall run in every environment of every tenant: the planner's question, asked in one go.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_desired(store: &Store) -> Result<BTreeMap<EnvironmentId, Desired>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: EnvironmentId", target_revision, target_generation, target_since AS "target_since: Timestamp",
                  serving_revision, serving_generation, stopped AS "stopped: bool", destroyed AS "destroyed: bool"
           FROM environments"#
    )
    .fetch_all(store.read())
    .await?;
    let attempt =
        |revision: Option<i64>, generation: Option<i64>| Some(Attempt { revision: revision?, generation: generation? });
    let desired = rows.into_iter().map(|r| {
        let desired = Desired {
            target: attempt(r.target_revision, r.target_generation).zip(r.target_since),
            serving: attempt(r.serving_revision, r.serving_generation),
            stopped: r.stopped,
            destroyed: r.destroyed,
        };
        (r.id, desired)
    });
    Ok(desired.collect())
}

/// Begins an attempt to run a revision, and ends a stop; gives the attempt.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_target(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    revision: i64,
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let tenant = tenant.id();
    let generation = sqlx::query_scalar!(
        "UPDATE environments SET generation = generation + 1, target_generation = generation + 1, target_revision = ?, target_since = ?,
                stopped = 0
         WHERE id = ? AND tenant_id = ? RETURNING generation",
        revision,
        now,
        environment,
        tenant
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Attempt { revision, generation })
}

/// The attempt passed: it takes the traffic now. False when something else is wanted meanwhile.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_serving(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    attempt: Attempt,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let done = sqlx::query!(
        "UPDATE environments SET serving_revision = target_revision, serving_generation = target_generation
         WHERE id = ? AND tenant_id = ? AND target_revision = ? AND target_generation = ?",
        environment,
        tenant,
        attempt.revision,
        attempt.generation
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an attempt up: what serves is wanted again, and a revision that never served remembers why.
/// False when something else is wanted meanwhile.
///
/// # Errors
/// When the database cannot be written.
pub async fn fail_target(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    attempt: Attempt,
    reason: &str,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let done = sqlx::query!(
        "UPDATE environments SET target_revision = serving_revision, target_generation = serving_generation
         WHERE id = ? AND tenant_id = ? AND target_revision = ? AND target_generation = ?",
        environment,
        tenant,
        attempt.revision,
        attempt.generation
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE revisions SET failed_reason = ? WHERE environment_id = ? AND tenant_id = ? AND number = ?
         AND NOT EXISTS (SELECT 1 FROM environments e WHERE e.id = revisions.environment_id AND e.serving_revision = revisions.number)",
        reason,
        environment,
        tenant,
        attempt.revision
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Wants everything down, or up again.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_stopped(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    stopped: bool,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!("UPDATE environments SET stopped = ? WHERE id = ? AND tenant_id = ?", stopped, environment, tenant)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// How many instances of a service are wanted from now on.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_formation(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    service: &ServiceName,
    replicas: u32,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO formation (tenant_id, environment_id, service, replicas) VALUES (?, ?, ?, ?)
         ON CONFLICT (environment_id, service) DO UPDATE SET replicas = excluded.replicas",
        tenant,
        environment,
        service,
        replicas
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Wanted instances by service, where that was said, of every environment of every tenant.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_formation(store: &Store) -> Result<BTreeMap<EnvironmentId, BTreeMap<ServiceName, u32>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT environment_id AS "environment: EnvironmentId", service AS "service: ServiceName", replicas AS "replicas: u32" FROM formation"#
    )
    .fetch_all(store.read())
    .await?;
    let mut all: BTreeMap<EnvironmentId, BTreeMap<ServiceName, u32>> = BTreeMap::new();
    for row in rows {
        all.entry(row.environment).or_default().insert(row.service, row.replicas);
    }
    Ok(all)
}
