//! Host names and where they lead.

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{DomainId, EnvironmentId, TenantId};
use crate::kernel::name::{HostName, ServiceName};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Domain;

/// Stores a domain.
///
/// # Errors
/// A uniqueness violation when any environment of any tenant has it.
pub async fn add(tx: &mut Write, tenant: &Tenant, domain: &Domain, now: Timestamp) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO domains (id, tenant_id, environment_id, host, service, is_default, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        domain.id,
        tenant,
        domain.environment_id,
        domain.host,
        domain.service,
        domain.is_default,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes a domain of this environment; false when it has no such domain.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    host: &HostName,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    let done = sqlx::query!(
        "DELETE FROM domains WHERE tenant_id = ? AND environment_id = ? AND host = ?",
        tenant,
        environment,
        host
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The domains of an environment: that which the platform gave it first, then those it gave to single services.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(store: &Store, tenant: &Tenant, environment: &EnvironmentId) -> Result<Vec<Domain>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_as!(
        Domain,
        r#"SELECT id AS "id: DomainId", environment_id AS "environment_id: EnvironmentId", host AS "host: HostName",
                  service AS "service: ServiceName", is_default AS "is_default: bool"
           FROM domains WHERE tenant_id = ? AND environment_id = ?
           ORDER BY is_default DESC, CASE WHEN is_default THEN length(host) ELSE 0 END, host"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?)
}

/// All domains of all tenants: for the route table.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(store: &Store) -> Result<Vec<Domain>, StoreError> {
    Ok(sqlx::query_as!(
        Domain,
        r#"SELECT id AS "id: DomainId", environment_id AS "environment_id: EnvironmentId", host AS "host: HostName",
                  service AS "service: ServiceName", is_default AS "is_default: bool"
           FROM domains ORDER BY host"#
    )
    .fetch_all(store.read())
    .await?)
}

/// All host names of all tenants with their owners: for certificates.
///
/// # Errors
/// When the database cannot be read.
pub async fn owners(store: &Store) -> Result<Vec<(HostName, TenantId)>, StoreError> {
    let rows =
        sqlx::query!(r#"SELECT host AS "host: HostName", tenant_id AS "tenant: TenantId" FROM domains ORDER BY host"#)
            .fetch_all(store.read())
            .await?;
    Ok(rows.into_iter().map(|row| (row.host, row.tenant)).collect())
}
