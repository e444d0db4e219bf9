//! Ports of the machine and where they lead.

use std::collections::BTreeSet;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::{PublicPort, Transport};

/// Stores a port.
///
/// # Errors
/// A uniqueness violation when any environment of any tenant has it.
pub async fn add(tx: &mut Write, tenant: &Tenant, port: &PublicPort, now: Timestamp) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO ports (tenant_id, environment_id, transport, published, service, port, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        tenant,
        port.environment_id,
        port.transport,
        port.published,
        port.service,
        port.port,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The ports of an environment.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(store: &Store, tenant: &Tenant, environment: &EnvironmentId) -> Result<Vec<PublicPort>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_as!(
        PublicPort,
        r#"SELECT environment_id AS "environment_id: EnvironmentId", transport AS "transport: Transport",
                  published AS "published: u16", service AS "service: ServiceName", port AS "port: u16"
           FROM ports WHERE tenant_id = ? AND environment_id = ? ORDER BY service, port, published"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?)
}

/// All ports of all tenants: for the table of the ingress.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(store: &Store) -> Result<Vec<PublicPort>, StoreError> {
    Ok(sqlx::query_as!(
        PublicPort,
        r#"SELECT environment_id AS "environment_id: EnvironmentId", transport AS "transport: Transport",
                  published AS "published: u16", service AS "service: ServiceName", port AS "port: u16"
           FROM ports ORDER BY transport, published"#
    )
    .fetch_all(store.read())
    .await?)
}

/// The ports of a transport that nobody may be given any more.
///
/// # Errors
/// When the database cannot be read.
pub async fn taken(store: &Store, transport: Transport) -> Result<BTreeSet<u16>, StoreError> {
    let all = every(store).await?;
    Ok(all.into_iter().filter(|p| p.transport == transport).map(|p| p.published).collect())
}
