//! Configuration (environment variables) by version, sealed with the tenant's key.

use std::collections::{BTreeMap, BTreeSet};

use super::members;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::secret::Secret;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::ConfigVersion;
use crate::tenancy::vault::{TenantKey, Vault};

/// Values by name. They are opened where they are used, and nowhere else.
pub type Values = BTreeMap<String, Secret<String>>;

/// Opens a tenant's data key.
///
/// # Errors
/// When the database cannot be read or the key was wrapped by another master key.
pub async fn tenant_key(store: &Store, vault: &Vault, tenant: &Tenant) -> Result<TenantKey, StoreError> {
    let (sealed, _) = members::key_of(store, tenant).await?;
    vault.tenant_key(tenant.id(), &sealed).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// The names of the variables that are not the same in two versions of the configuration.
///
/// # Errors
/// When one of the versions does not exist or cannot be opened.
pub async fn changed(
    store: &Store,
    key: &TenantKey,
    tenant: &Tenant,
    environment: &EnvironmentId,
    (from, to): (i64, i64),
) -> Result<BTreeSet<String>, StoreError> {
    if from == to {
        return Ok(BTreeSet::new());
    }
    let old = values(store, key, tenant, environment, from).await?;
    let new = values(store, key, tenant, environment, to).await?;
    let names = old.keys().chain(new.keys());
    Ok(names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect())
}

/// What one version of the configuration holds; version 0 is the empty one every environment starts with.
///
/// # Errors
/// When the version does not exist or cannot be opened.
pub async fn values(
    store: &Store,
    key: &TenantKey,
    tenant: &Tenant,
    environment: &EnvironmentId,
    version: i64,
) -> Result<Values, StoreError> {
    if version == 0 {
        return Ok(Values::new());
    }
    let tenant = tenant.id();
    let sealed = sqlx::query_scalar!(
        "SELECT sealed FROM config_sets WHERE tenant_id = ? AND environment_id = ? AND version = ?",
        tenant,
        environment,
        version
    )
    .fetch_one(store.read())
    .await?;
    let bytes = key.open(&place(environment, version), &sealed).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Stores a new, whole version and makes it the newest of the environment; gives its number.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(
    tx: &mut Write,
    key: &TenantKey,
    tenant: &Tenant,
    environment: &EnvironmentId,
    values: &Values,
    author: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let tenant = tenant.id();
    let last = sqlx::query_scalar!(
        r#"SELECT COALESCE(MAX(version), 0) AS "last!: i64" FROM config_sets WHERE tenant_id = ? AND environment_id = ?"#,
        tenant,
        environment
    )
    .fetch_one(&mut **tx)
    .await?;
    let version = last + 1;
    let plain: BTreeMap<&str, &str> = values.iter().map(|(k, v)| (k.as_str(), v.expose().as_str())).collect();
    let json = Secret::new(serde_json::to_vec(&plain).expect("a map of texts is representable as JSON"));
    let sealed = key.seal(&place(environment, version), json.expose());
    let names = serde_json::to_string(&values.keys().collect::<Vec<_>>()).expect("names are texts");
    sqlx::query!(
        "INSERT INTO config_sets (tenant_id, environment_id, version, names, sealed, author, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        tenant,
        environment,
        version,
        names,
        sealed,
        author,
        now
    )
    .execute(&mut **tx)
    .await?;
    select(tx, tenant, environment, version).await?;
    Ok(version)
}

/// Makes an older version the newest one again, as a rollback does.
///
/// # Errors
/// When the database cannot be written.
pub async fn make_current(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    version: i64,
) -> Result<(), StoreError> {
    select(tx, tenant.id(), environment, version).await
}

async fn select(
    tx: &mut Write,
    tenant: &crate::kernel::id::TenantId,
    environment: &EnvironmentId,
    version: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE environments SET config_version = ? WHERE id = ? AND tenant_id = ?",
        version,
        environment,
        tenant
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The versions of an environment's configuration, newest first, without values.
///
/// # Errors
/// When the database cannot be read.
pub async fn versions(
    store: &Store,
    tenant: &Tenant,
    environment: &EnvironmentId,
) -> Result<Vec<ConfigVersion>, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query!(
        r#"SELECT version, names, author, created_at AS "created_at: Timestamp" FROM config_sets
           WHERE tenant_id = ? AND environment_id = ? ORDER BY version DESC"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?;
    rows.into_iter()
        .map(|r| {
            let names = serde_json::from_str(&r.names).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            Ok(ConfigVersion { version: r.version, names, author: r.author, created_at: r.created_at })
        })
        .collect()
}

fn place(environment: &EnvironmentId, version: i64) -> String {
    format!("config/{environment}/{version}")
}
