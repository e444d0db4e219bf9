//! The SQL of quotas and of what was admitted.

use std::collections::BTreeMap;

use crate::kernel::id::{EnvironmentId, ProjectId, TenantId};
use crate::stack::quota::{Amounts, Exceeded, Quota};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;

/// The quotas of all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    pub tenants: BTreeMap<TenantId, Quota>,
    pub projects: BTreeMap<ProjectId, Quota>,
}

/// Reads and judges within one write transaction: two admissions at the same time cannot both take the last of it.
/// Gives the reason when what the environment needs is more than its organisation or its project may use; then nothing
/// is reserved.
///
/// # Errors
/// When the database cannot be used.
pub async fn reserve(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    needed: Amounts,
) -> Result<Result<(), Exceeded>, StoreError> {
    let tenant = tenant.id();
    let project = sqlx::query_scalar!(
        r#"SELECT project_id AS "project: ProjectId" FROM environments WHERE id = ? AND tenant_id = ?"#,
        environment,
        tenant
    )
    .fetch_one(&mut **tx)
    .await?;
    let quotas = sqlx::query!(
        r#"SELECT project_id AS "project: ProjectId", instances, cpu_millis, memory_mib FROM quotas
           WHERE tenant_id = ? AND (project_id IS NULL OR project_id = ?)"#,
        tenant,
        project
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in quotas {
        let whose = if row.project.is_none() { "the organisation" } else { "the project" };
        let others = sqlx::query!(
            r#"SELECT COALESCE(SUM(instances), 0) AS "instances!: i64", COALESCE(SUM(cpu_millis), 0) AS "cpu_millis!: i64",
                      COALESCE(SUM(memory_mib), 0) AS "memory_mib!: i64"
               FROM reservations WHERE tenant_id = ? AND environment_id <> ? AND (? IS NULL OR project_id = ?)"#,
            tenant,
            environment,
            row.project,
            row.project
        )
        .fetch_one(&mut **tx)
        .await?;
        let used = Amounts {
            instances: others.instances.unsigned_abs(),
            cpu_millis: others.cpu_millis.unsigned_abs(),
            memory_mib: others.memory_mib.unsigned_abs(),
        };
        if let Err(exceeded) = quota(row.instances, row.cpu_millis, row.memory_mib).allows(whose, used, needed) {
            return Ok(Err(exceeded));
        }
    }
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (instances, cpu, memory) = (number(needed.instances), number(needed.cpu_millis), number(needed.memory_mib));
    sqlx::query!(
        "INSERT INTO reservations (environment_id, tenant_id, project_id, instances, cpu_millis, memory_mib)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (environment_id) DO UPDATE
         SET instances = excluded.instances, cpu_millis = excluded.cpu_millis, memory_mib = excluded.memory_mib",
        environment,
        tenant,
        project,
        instances,
        cpu,
        memory
    )
    .execute(&mut **tx)
    .await?;
    Ok(Ok(()))
}

fn quota(instances: Option<i64>, cpu_millis: Option<i64>, memory_mib: Option<i64>) -> Quota {
    let number = |n: Option<i64>| n.map(i64::unsigned_abs);
    Quota { instances: number(instances), cpu_millis: number(cpu_millis), memory_mib: number(memory_mib) }
}

/// Sets what an organisation, or one of its projects, may use; replaces what was set before.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_quota(
    tx: &mut Write,
    tenant: &Tenant,
    project: Option<&ProjectId>,
    quota: Quota,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!("DELETE FROM quotas WHERE tenant_id = ? AND project_id IS ?", tenant, project)
        .execute(&mut **tx)
        .await?;
    let number = |n: Option<u64>| n.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let (instances, cpu, memory) = (number(quota.instances), number(quota.cpu_millis), number(quota.memory_mib));
    sqlx::query!(
        "INSERT INTO quotas (tenant_id, project_id, instances, cpu_millis, memory_mib) VALUES (?, ?, ?, ?, ?)",
        tenant,
        project,
        instances,
        cpu,
        memory
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// All quotas: the planner's question.
///
/// # Errors
/// When the database cannot be read.
pub async fn every_quota(store: &Store) -> Result<Quotas, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant: TenantId", project_id AS "project: ProjectId", instances, cpu_millis, memory_mib
           FROM quotas"#
    )
    .fetch_all(store.read())
    .await?;
    let mut quotas = Quotas::default();
    for row in rows {
        let quota = quota(row.instances, row.cpu_millis, row.memory_mib);
        match row.project {
            None => drop(quotas.tenants.insert(row.tenant, quota)),
            Some(project) => drop(quotas.projects.insert(project, quota)),
        }
    }
    Ok(quotas)
}
