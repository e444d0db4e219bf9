//! Projects and their environments.

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, ProjectId, TenantId};
use crate::kernel::name::{EnvironmentSlug, ProjectSlug, TenantSlug};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Environment;

/// Environments with what identifies them; `query_as!` wants a literal, so that the columns stand here once.
macro_rules! select {
    ($rest:literal $(, $arg:expr)*) => {
        sqlx::query_as!(
            Environment,
            r#"SELECT e.id AS "id: EnvironmentId", e.tenant_id AS "tenant_id: TenantId", t.slug AS "tenant: TenantSlug",
                  e.project_id AS "project_id: ProjectId", p.slug AS "project: ProjectSlug", e.slug AS "slug: EnvironmentSlug",
                  e.protected AS "protected: bool", e.deploy_branch, e.config_version, e.target_revision, e.serving_revision,
                  e.stopped AS "stopped: bool", e.destroyed AS "destroyed: bool", e.created_at AS "created_at: Timestamp"
           FROM environments e JOIN projects p ON p.id = e.project_id JOIN tenants t ON t.id = e.tenant_id "# + $rest
            $(, $arg)*
        )
    };
}

/// Stores a new project.
///
/// # Errors
/// A uniqueness violation when the tenant has a project of that name.
pub async fn create_project(
    tx: &mut Write,
    tenant: &Tenant,
    id: &ProjectId,
    slug: &ProjectSlug,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!("INSERT INTO projects (id, tenant_id, slug, created_at) VALUES (?, ?, ?, ?)", id, tenant, slug, now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stores a new environment of a project.
///
/// # Errors
/// A uniqueness violation when the project has an environment of that name.
pub async fn create_environment(
    tx: &mut Write,
    tenant: &Tenant,
    project: &ProjectId,
    id: &EnvironmentId,
    slug: &EnvironmentSlug,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "INSERT INTO environments (id, tenant_id, project_id, slug, created_at) VALUES (?, ?, ?, ?, ?)",
        id,
        tenant,
        project,
        slug,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The environment of that name.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(
    store: &Store,
    tenant: &Tenant,
    project: &ProjectSlug,
    environment: &EnvironmentSlug,
) -> Result<Option<Environment>, StoreError> {
    let tenant = tenant.id();
    Ok(select!("WHERE e.tenant_id = ? AND p.slug = ? AND e.slug = ? AND e.destroyed = 0", tenant, project, environment)
        .fetch_optional(store.read())
        .await?)
}

/// The environment with this id, also when it is being removed.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_id(store: &Store, tenant: &Tenant, id: &EnvironmentId) -> Result<Option<Environment>, StoreError> {
    let tenant = tenant.id();
    Ok(select!("WHERE e.tenant_id = ? AND e.id = ?", tenant, id).fetch_optional(store.read()).await?)
}

/// All environments of a tenant, by project and name.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Environment>, StoreError> {
    let tenant = tenant.id();
    Ok(select!("WHERE e.tenant_id = ? AND e.destroyed = 0 ORDER BY p.slug, e.slug", tenant)
        .fetch_all(store.read())
        .await?)
}

/// All environments of all tenants, also those being removed: for the platform's own loops.
///
/// # Errors
/// When the database cannot be read.
pub async fn every(store: &Store) -> Result<Vec<Environment>, StoreError> {
    Ok(select!("ORDER BY e.id").fetch_all(store.read()).await?)
}

/// The project of that name.
///
/// # Errors
/// When the database cannot be read.
pub async fn project_id(store: &Store, tenant: &Tenant, slug: &ProjectSlug) -> Result<Option<ProjectId>, StoreError> {
    let tenant = tenant.id();
    Ok(sqlx::query_scalar!(
        r#"SELECT id AS "id: ProjectId" FROM projects WHERE tenant_id = ? AND slug = ?"#,
        tenant,
        slug
    )
    .fetch_optional(store.read())
    .await?)
}

/// Remembers which branch deploys.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_deploy_branch(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    branch: &str,
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "UPDATE environments SET deploy_branch = ? WHERE id = ? AND tenant_id = ?",
        branch,
        environment,
        tenant
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Marks an environment as being removed and frees its name: the reconcile task takes down what runs.
///
/// # Errors
/// When the database cannot be written.
pub async fn mark_destroyed(tx: &mut Write, tenant: &Tenant, environment: &EnvironmentId) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!("UPDATE environments SET destroyed = 1 WHERE id = ? AND tenant_id = ?", environment, tenant)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM domains WHERE environment_id = ? AND tenant_id = ?", environment, tenant)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets an environment whose last container is gone, and its project when that was its last environment.
///
/// # Errors
/// When the database cannot be written.
pub async fn forget(tx: &mut Write, tenant: &Tenant, environment: &EnvironmentId) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!("DELETE FROM environments WHERE id = ? AND tenant_id = ? AND destroyed = 1", environment, tenant)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "DELETE FROM projects WHERE tenant_id = ? AND NOT EXISTS (SELECT 1 FROM environments e WHERE e.project_id = projects.id)",
        tenant
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
