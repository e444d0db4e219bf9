//! The SQL of revisions.

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, RevisionId};
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

/// Forgets a revision that is neither target nor serving nor kept warm.
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
                         AND revisions.number IN (e.target_revision, e.serving_revision, e.warm_revision))",
        tenant,
        environment,
        number
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
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
