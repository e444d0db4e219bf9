//! Secrets of an environment: values by name and version, sealed with the tenant's key. They go into containers, and
//! nowhere else.

use std::collections::BTreeMap;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::secret::Secret;
use crate::stack::model::ResourceName;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::SecretVersion;
use crate::tenancy::vault::TenantKey;

/// Opened values by name.
pub type Opened = BTreeMap<ResourceName, Secret<Vec<u8>>>;

/// One version of a secret, opened; `None` when there is no such version, or it was removed.
///
/// # Errors
/// When the database cannot be read, or the value cannot be opened.
pub async fn open(
    store: &Store,
    key: &TenantKey,
    tenant: &Tenant,
    environment: &EnvironmentId,
    name: &ResourceName,
    version: i64,
) -> Result<Option<Secret<Vec<u8>>>, StoreError> {
    let (tenant, text) = (tenant.id(), name.as_str());
    let sealed = sqlx::query_scalar!(
        "SELECT sealed FROM secrets WHERE tenant_id = ? AND environment_id = ? AND name = ? AND version = ?",
        tenant,
        environment,
        text,
        version
    )
    .fetch_optional(store.read())
    .await?
    .flatten();
    let open = |sealed: Vec<u8>| {
        let opened = key.open(&place(environment, name, version), &sealed);
        opened.map(Secret::new).map_err(|e| StoreError::Corrupt(e.to_string()))
    };
    sealed.map(open).transpose()
}

/// Stores the next version of a secret, or (without a value) its removal; gives its number. Older versions stay for the
/// revisions that name them.
///
/// # Errors
/// When the database cannot be written.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and every caller names them all")]
pub async fn put(
    tx: &mut Write,
    key: &TenantKey,
    tenant: &Tenant,
    environment: &EnvironmentId,
    name: &ResourceName,
    value: Option<&Secret<Vec<u8>>>,
    author: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let (tenant, text) = (tenant.id(), name.as_str());
    let last = sqlx::query_scalar!(
        r#"SELECT COALESCE(MAX(version), 0) AS "last!: i64" FROM secrets
           WHERE tenant_id = ? AND environment_id = ? AND name = ?"#,
        tenant,
        environment,
        text
    )
    .fetch_one(&mut **tx)
    .await?;
    let version = last + 1;
    let sealed = value.map(|v| key.seal(&place(environment, name, version), v.expose()));
    sqlx::query!(
        "INSERT INTO secrets (tenant_id, environment_id, name, version, sealed, author, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        tenant,
        environment,
        text,
        version,
        sealed,
        author,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(version)
}

/// The newest version of each secret that was not removed, by name, without values.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<Vec<SecretVersion>, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query!(
        r#"SELECT name, version, author, created_at AS "created_at: Timestamp" FROM secrets s
           WHERE tenant_id = ? AND environment_id = ? AND sealed IS NOT NULL AND version =
               (SELECT MAX(version) FROM secrets WHERE environment_id = s.environment_id AND name = s.name)
           ORDER BY name"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?;
    let secret = |name: String, version, author, created_at| {
        let name = name.parse().map_err(|e| StoreError::Corrupt(format!("the secret {name}: {e}")))?;
        Ok(SecretVersion { name, version, author, created_at })
    };
    rows.into_iter().map(|r| secret(r.name, r.version, r.author, r.created_at)).collect()
}

fn place(environment: &EnvironmentId, name: &ResourceName, version: i64) -> String {
    format!("secret/{environment}/{name}/{version}")
}
