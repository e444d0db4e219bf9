//! The SQL of certificates.

use std::collections::BTreeMap;

use super::model::{Certificate, HttpsPolicy, Redirect, Renewal, Source};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{CertificateId, TenantId};
use crate::kernel::name::HostName;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// An order that was made, for the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ordered {
    pub host: HostName,
    pub domain: String,
    pub at: Timestamp,
}

struct Row {
    id: CertificateId,
    tenant: Option<TenantId>,
    host: HostName,
    source: Source,
    names: String,
    issuer: String,
    fingerprint: String,
    chain_pem: String,
    sealed_key: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    added_by: String,
    created_at: Timestamp,
}

impl TryFrom<Row> for Certificate {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let names = serde_json::from_str(&row.names).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        Ok(Self {
            id: row.id,
            tenant: row.tenant,
            host: row.host,
            source: row.source,
            names,
            issuer: row.issuer,
            fingerprint: row.fingerprint,
            chain_pem: row.chain_pem,
            sealed_key: row.sealed_key,
            not_before: row.not_before,
            not_after: row.not_after,
            added_by: row.added_by,
            created_at: row.created_at,
        })
    }
}

/// All certificates of all tenants, for the room's own loop.
pub(super) async fn every(store: &Store) -> Result<Vec<Certificate>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: CertificateId", tenant_id AS "tenant: TenantId", host AS "host: HostName",
                  source AS "source: Source", names, issuer, fingerprint, chain_pem, sealed_key,
                  not_before AS "not_before: Timestamp", not_after AS "not_after: Timestamp", added_by,
                  created_at AS "created_at: Timestamp"
           FROM certificates ORDER BY host, created_at"#
    )
    .fetch_all(store.read())
    .await?;
    rows.into_iter().map(Certificate::try_from).collect()
}

pub(super) async fn insert(tx: &mut Write, certificate: &Certificate) -> Result<(), StoreError> {
    let names = serde_json::to_string(&certificate.names).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    sqlx::query!(
        "INSERT INTO certificates (id, tenant_id, host, source, names, issuer, fingerprint, chain_pem, sealed_key,
                                   not_before, not_after, added_by, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        certificate.id,
        certificate.tenant,
        certificate.host,
        certificate.source,
        names,
        certificate.issuer,
        certificate.fingerprint,
        certificate.chain_pem,
        certificate.sealed_key,
        certificate.not_before,
        certificate.not_after,
        certificate.added_by,
        certificate.created_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes one that nothing needs any more.
pub(super) async fn forget(tx: &mut Write, id: &CertificateId) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM certificates WHERE id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

/// Removes those uploaded for a host by this tenant; gives how many there were.
pub(super) async fn remove_uploaded(tx: &mut Write, tenant: &Tenant, host: &HostName) -> Result<u64, StoreError> {
    let tenant = tenant.id();
    let done =
        sqlx::query!("DELETE FROM certificates WHERE tenant_id = ? AND host = ? AND source = 'uploaded'", tenant, host)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected())
}

/// The same for the platform's own.
pub(super) async fn remove_uploaded_platform(tx: &mut Write, host: &HostName) -> Result<u64, StoreError> {
    let done =
        sqlx::query!("DELETE FROM certificates WHERE tenant_id IS NULL AND host = ? AND source = 'uploaded'", host)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected())
}

/// How getting certificates goes, by host.
pub(super) async fn renewals(store: &Store) -> Result<BTreeMap<HostName, Renewal>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT host AS "host: HostName", failures AS "failures: u32", last_error, tried_at AS "tried_at: Timestamp",
                  try_at AS "try_at: Timestamp", held AS "held: bool", asked AS "asked: bool" FROM certificate_renewals"#
    )
    .fetch_all(store.read())
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let renewal = Renewal {
                failures: r.failures,
                last_error: r.last_error,
                tried_at: r.tried_at,
                try_at: r.try_at,
                held: r.held,
                asked: r.asked,
            };
            (r.host, renewal)
        })
        .collect())
}

pub(super) async fn put_renewal(tx: &mut Write, host: &HostName, renewal: &Renewal) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO certificate_renewals (host, failures, last_error, tried_at, try_at, held, asked)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (host) DO UPDATE SET failures = excluded.failures, last_error = excluded.last_error,
             tried_at = excluded.tried_at, try_at = excluded.try_at, held = excluded.held, asked = excluded.asked",
        host,
        renewal.failures,
        renewal.last_error,
        renewal.tried_at,
        renewal.try_at,
        renewal.held,
        renewal.asked
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a new one is asked for now: our own pause is over, one the authority asked for is kept.
pub(super) async fn ask(tx: &mut Write, host: &HostName) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO certificate_renewals (host, asked) VALUES (?, 1)
         ON CONFLICT (host) DO UPDATE SET asked = 1, try_at = CASE WHEN held THEN try_at END",
        host
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn clear_renewal(tx: &mut Write, host: &HostName) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM certificate_renewals WHERE host = ?", host).execute(&mut **tx).await?;
    Ok(())
}

/// Orders made at a directory since then.
pub(super) async fn orders(store: &Store, directory: &str, since: Timestamp) -> Result<Vec<Ordered>, StoreError> {
    Ok(sqlx::query_as!(
        Ordered,
        r#"SELECT host AS "host: HostName", domain, ordered_at AS "at: Timestamp" FROM certificate_orders
           WHERE directory = ? AND ordered_at >= ? ORDER BY ordered_at"#,
        directory,
        since
    )
    .fetch_all(store.read())
    .await?)
}

pub(super) async fn note_order(tx: &mut Write, directory: &str, order: &Ordered) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO certificate_orders (directory, host, domain, ordered_at) VALUES (?, ?, ?, ?)",
        directory,
        order.host,
        order.domain,
        order.at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn forget_orders(tx: &mut Write, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM certificate_orders WHERE ordered_at < ?", before).execute(&mut **tx).await?;
    Ok(())
}

/// The account with the authority of this directory, sealed.
pub(super) async fn account(store: &Store, directory: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT sealed FROM acme_accounts WHERE directory = ?", directory)
        .fetch_optional(store.read())
        .await?)
}

pub(super) async fn put_account(
    tx: &mut Write,
    directory: &str,
    email: &str,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO acme_accounts (directory, email, sealed, created_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (directory) DO UPDATE SET email = excluded.email, sealed = excluded.sealed",
        directory,
        email,
        sealed,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What is wanted of HTTPS, by host; hosts that are not in it go by the default.
pub(super) async fn policies(store: &Store) -> Result<BTreeMap<HostName, HttpsPolicy>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT host AS "host: HostName", redirect AS "redirect: Redirect", hsts_secs AS "hsts_secs: u32" FROM https_policies"#
    )
    .fetch_all(store.read())
    .await?;
    Ok(rows.into_iter().map(|r| (r.host, HttpsPolicy { redirect: r.redirect, hsts_secs: r.hsts_secs })).collect())
}

pub(super) async fn put_policy(tx: &mut Write, host: &HostName, policy: HttpsPolicy) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO https_policies (host, redirect, hsts_secs) VALUES (?, ?, ?)
         ON CONFLICT (host) DO UPDATE SET redirect = excluded.redirect, hsts_secs = excluded.hsts_secs",
        host,
        policy.redirect,
        policy.hsts_secs
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
