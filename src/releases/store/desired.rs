//! The SQL of what shall run.

use std::collections::BTreeMap;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::releases::{Attempt, Desired, Kept, Progress, Warm};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

struct Row {
    id: EnvironmentId,
    target_revision: Option<i64>,
    target_generation: Option<i64>,
    target_since: Option<Timestamp>,
    target_progress: String,
    target_kept: String,
    serving_revision: Option<i64>,
    serving_generation: Option<i64>,
    serving_kept: String,
    warm_revision: Option<i64>,
    warm_generation: Option<i64>,
    warm_kept: String,
    warm_until: Option<Timestamp>,
    stopped: bool,
    destroyed: bool,
}

fn attempt(revision: Option<i64>, generation: Option<i64>) -> Option<Attempt> {
    Some(Attempt { revision: revision?, generation: generation? })
}

fn read<T: serde::de::DeserializeOwned + Default>(what: &str, id: &EnvironmentId, text: &str) -> Result<T, StoreError> {
    // Almost every row says nothing here.
    if text == "{}" {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt(format!("{what} of {id}: {e}")))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain values are always representable as JSON")
}

impl Row {
    fn desired(self) -> Result<(EnvironmentId, Desired), StoreError> {
        let warm = match attempt(self.warm_revision, self.warm_generation).zip(self.warm_until) {
            Some((attempt, until)) => {
                Some(Warm { attempt, until, kept: read("the warm release", &self.id, &self.warm_kept)? })
            }
            None => None,
        };
        let desired = Desired {
            target: attempt(self.target_revision, self.target_generation).zip(self.target_since),
            target_kept: read("the target", &self.id, &self.target_kept)?,
            progress: read("the rollout", &self.id, &self.target_progress)?,
            serving: attempt(self.serving_revision, self.serving_generation),
            serving_kept: read("the serving release", &self.id, &self.serving_kept)?,
            warm,
            stopped: self.stopped,
            destroyed: self.destroyed,
        };
        Ok((self.id, desired))
    }
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
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: EnvironmentId", target_revision, target_generation, target_since AS "target_since: Timestamp",
                  target_progress, target_kept, serving_revision, serving_generation, serving_kept,
                  warm_revision, warm_generation, warm_kept, warm_until AS "warm_until: Timestamp",
                  stopped AS "stopped: bool", destroyed AS "destroyed: bool"
           FROM environments WHERE tenant_id = ? AND id = ?"#,
        tenant,
        environment
    )
    .fetch_optional(store.read())
    .await?;
    Ok(row.map(Row::desired).transpose()?.map(|(_, desired)| desired))
}

/// What shall run in every environment of every tenant: the planner's question, asked in one go.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_desired(store: &Store) -> Result<BTreeMap<EnvironmentId, Desired>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: EnvironmentId", target_revision, target_generation, target_since AS "target_since: Timestamp",
                  target_progress, target_kept, serving_revision, serving_generation, serving_kept,
                  warm_revision, warm_generation, warm_kept, warm_until AS "warm_until: Timestamp",
                  stopped AS "stopped: bool", destroyed AS "destroyed: bool"
           FROM environments"#
    )
    .fetch_all(store.read())
    .await?;
    rows.into_iter().map(Row::desired).collect()
}

/// Begins an attempt to run a revision, and ends a stop; gives the attempt. `kept` are the services that go on in the
/// instances of an earlier one.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_target(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    revision: i64,
    (kept, progress): (&Kept, &Progress),
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let (tenant, kept, progress) = (tenant.id(), json(kept), json(progress));
    let generation = sqlx::query_scalar!(
        "UPDATE environments SET generation = generation + 1, target_generation = generation + 1, target_revision = ?, target_since = ?,
                target_kept = ?, target_progress = ?, stopped = 0
         WHERE id = ? AND tenant_id = ? RETURNING generation",
        revision,
        now,
        kept,
        progress,
        environment,
        tenant
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Attempt { revision, generation })
}

/// Wants an attempt again whose instances still run.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_warm_target(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    warm: &Warm,
    progress: &Progress,
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let (tenant, kept, progress) = (tenant.id(), json(&warm.kept), json(progress));
    sqlx::query!(
        "UPDATE environments SET target_revision = ?, target_generation = ?, target_since = ?, target_kept = ?, target_progress = ?,
                stopped = 0
         WHERE id = ? AND tenant_id = ?",
        warm.attempt.revision,
        warm.attempt.generation,
        now,
        kept,
        progress,
        environment,
        tenant
    )
    .execute(&mut **tx)
    .await?;
    Ok(warm.attempt)
}

/// Changes how far an attempt is; gives what `change` made of it, or `None` when something else is wanted meanwhile.
///
/// # Errors
/// When the database cannot be used.
pub async fn change_progress<T>(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    of: Attempt,
    change: impl FnOnce(&mut Progress) -> T,
) -> Result<Option<T>, StoreError> {
    let tenant = tenant.id();
    let found = sqlx::query_scalar!(
        "SELECT target_progress FROM environments
         WHERE id = ? AND tenant_id = ? AND target_revision = ? AND target_generation = ?",
        environment,
        tenant,
        of.revision,
        of.generation
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(text) = found else { return Ok(None) };
    let mut progress: Progress = read("the rollout", environment, &text)?;
    let made = change(&mut progress);
    let progress = json(&progress);
    sqlx::query!(
        "UPDATE environments SET target_progress = ? WHERE id = ? AND tenant_id = ?",
        progress,
        environment,
        tenant
    )
    .execute(&mut **tx)
    .await?;
    Ok(Some(made))
}

/// The attempt passed: it takes the traffic now, and what had it is kept until `warm_until`. False when something else is wanted meanwhile.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_serving(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    attempt: Attempt,
    warm_until: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let done = sqlx::query!(
        "UPDATE environments
         SET warm_revision = CASE WHEN ?1 IS NULL THEN NULL ELSE serving_revision END,
             warm_generation = CASE WHEN ?1 IS NULL THEN NULL ELSE serving_generation END,
             warm_kept = CASE WHEN ?1 IS NULL THEN '{}' ELSE serving_kept END,
             warm_until = ?1,
             serving_revision = target_revision, serving_generation = target_generation, serving_kept = target_kept
         WHERE id = ?2 AND tenant_id = ?3 AND target_revision = ?4 AND target_generation = ?5",
        warm_until,
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
        "UPDATE environments SET target_revision = serving_revision, target_generation = serving_generation,
                target_kept = serving_kept, target_progress = '{}'
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
