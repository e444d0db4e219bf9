//! The SQL of revisions and of what shall run.

use std::collections::BTreeMap;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, RevisionId};
use crate::kernel::name::ServiceName;
use crate::kernel::random::Random;
use crate::stack::{Revision, Stack};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// A revision to be stored.
#[derive(Debug, Clone)]
pub struct NewRevision<'a> {
    pub environment: &'a EnvironmentId,
    pub stack: &'a Stack,
    pub config_version: i64,
    pub source_commit: Option<&'a str>,
    pub author: &'a str,
    pub message: &'a str,
}

/// A revision as stored, and why it never served, when it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub revision: Revision,
    pub failed_reason: Option<String>,
}

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

struct Row {
    number: i64,
    hash: String,
    stack: String,
    config_version: i64,
    source_commit: Option<String>,
    author: String,
    message: String,
    failed_reason: Option<String>,
    created_at: Timestamp,
}

impl Row {
    fn stored(self) -> Result<Stored, StoreError> {
        let stack = serde_json::from_str(&self.stack)
            .map_err(|e| StoreError::Corrupt(format!("revision {}: {e}", self.number)))?;
        let revision = Revision {
            number: self.number,
            hash: self.hash,
            stack,
            config_version: self.config_version,
            source_commit: self.source_commit,
            author: self.author,
            message: self.message,
            created_at: self.created_at,
        };
        Ok(Stored { revision, failed_reason: self.failed_reason })
    }
}

/// Stores a revision; gives its number.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(
    tx: &mut Write,
    tenant: &Tenant,
    new: NewRevision<'_>,
    now: Timestamp,
    random: &Random,
) -> Result<i64, StoreError> {
    let tenant = tenant.id();
    let last = sqlx::query_scalar!(
        r#"SELECT COALESCE(MAX(number), 0) AS "last!: i64" FROM revisions WHERE tenant_id = ? AND environment_id = ?"#,
        tenant,
        new.environment
    )
    .fetch_one(&mut **tx)
    .await?;
    let (number, id) = (last + 1, RevisionId::new(now, random));
    let hash = new.stack.hash(new.config_version);
    let stack = serde_json::to_string(new.stack).expect("a stack is always representable as JSON");
    sqlx::query!(
        "INSERT INTO revisions (id, tenant_id, environment_id, number, hash, stack, config_version, source_commit, author, message, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        tenant,
        new.environment,
        number,
        hash,
        stack,
        new.config_version,
        new.source_commit,
        new.author,
        new.message,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(number)
}

/// One revision.
///
/// # Errors
/// When the database cannot be read.
pub async fn get(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    number: i64,
) -> Result<Option<Stored>, StoreError> {
    let tenant = tenant.id();
    sqlx::query_as!(
        Row,
        r#"SELECT number, hash, stack, config_version, source_commit, author, message, failed_reason, created_at AS "created_at: Timestamp"
           FROM revisions WHERE tenant_id = ? AND environment_id = ? AND number = ?"#,
        tenant,
        environment,
        number
    )
    .fetch_optional(store.read())
    .await?
    .map(Row::stored)
    .transpose()
}

/// The newest revisions, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let tenant = tenant.id();
    sqlx::query_as!(
        Row,
        r#"SELECT number, hash, stack, config_version, source_commit, author, message, failed_reason, created_at AS "created_at: Timestamp"
           FROM revisions WHERE tenant_id = ? AND environment_id = ? ORDER BY number DESC LIMIT ?"#,
        tenant,
        environment,
        limit
    )
    .fetch_all(store.read())
    .await?
    .into_iter()
    .map(Row::stored)
    .collect()
}

/// Forgets a revision that is neither target nor serving.
///
/// # Errors
/// When the database cannot be written.
pub async fn forget(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    number: i64,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "DELETE FROM revisions WHERE tenant_id = ? AND environment_id = ? AND number = ?
         AND NOT EXISTS (SELECT 1 FROM environments e WHERE e.id = revisions.environment_id
                         AND (e.target_revision = revisions.number OR e.serving_revision = revisions.number))",
        tenant,
        environment,
        number
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
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

/// Remembers why a revision never came to run.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_failed(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    number: i64,
    reason: &str,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE revisions SET failed_reason = ? WHERE environment_id = ? AND tenant_id = ? AND number = ?",
        reason,
        environment,
        tenant,
        number
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
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

/// Wanted instances by service, where that was said.
///
/// # Errors
/// When the database cannot be read.
pub async fn formation(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<BTreeMap<ServiceName, u32>, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query!(
        r#"SELECT service AS "service: ServiceName", replicas AS "replicas: u32" FROM formation WHERE tenant_id = ? AND environment_id = ?"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?;
    Ok(rows.into_iter().map(|r| (r.service, r.replicas)).collect())
}
