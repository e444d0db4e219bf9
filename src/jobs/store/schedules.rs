//! Up to when the schedules were dealt with.

use crate::jobs::model::{Kind, Subject};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// What is known of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub subject: Subject,
    /// The schedule it is about.
    pub timetable: String,
    pub seen_until: Timestamp,
    /// Who holds it, so that it starts nothing.
    pub suspended_by: Option<String>,
}

struct Row {
    kind: Kind,
    name: String,
    timetable: String,
    seen_until: Timestamp,
    suspended_by: Option<String>,
}

/// All of an environment.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(store: &Store, tenant: &Tenant, environment: &EnvironmentId) -> Result<Vec<Cursor>, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT kind AS "kind: Kind", name, timetable, seen_until AS "seen_until: Timestamp", suspended_by
           FROM job_schedules WHERE tenant_id = ? AND environment_id = ? ORDER BY kind, name"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?;
    let cursor = |r: Row| Cursor {
        subject: Subject { kind: r.kind, name: r.name },
        timetable: r.timetable,
        seen_until: r.seen_until,
        suspended_by: r.suspended_by,
    };
    Ok(rows.into_iter().map(cursor).collect())
}

/// Stores how far a schedule was dealt with; who holds it stays.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    timetable: &str,
    seen_until: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO job_schedules (tenant_id, environment_id, kind, name, timetable, seen_until) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (environment_id, kind, name) DO UPDATE SET timetable = excluded.timetable, seen_until = excluded.seen_until",
        tenant,
        environment,
        subject.kind,
        subject.name,
        timetable,
        seen_until
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Holds a schedule, or lets it go on; false when there is none of this name yet.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_suspended(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
    by: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let tenant = tenant.id();
    // What passed while it was held is not made up for.
    let done = sqlx::query!(
        "UPDATE job_schedules SET suspended_by = ?, seen_until = ?
         WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ?",
        by,
        now,
        tenant,
        environment,
        subject.kind,
        subject.name
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets a schedule that is not there any more.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    subject: &Subject,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "DELETE FROM job_schedules WHERE tenant_id = ? AND environment_id = ? AND kind = ? AND name = ?",
        tenant,
        environment,
        subject.kind,
        subject.name
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
