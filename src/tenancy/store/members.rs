//! Tenants and who belongs to them.

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{TenantId, UserId};
use crate::kernel::name::TenantSlug;
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::{Member, Membership};
use crate::tenancy::roles::Role;

/// A new tenant, as stored.
#[derive(Debug)]
pub struct NewTenant<'a> {
    pub id: &'a TenantId,
    pub slug: &'a TenantSlug,
    pub name: &'a str,
    pub is_primary: bool,
    pub sealed_key: &'a [u8],
}

/// Stores a new tenant.
///
/// # Errors
/// A uniqueness violation when the slug is taken.
pub async fn create_tenant(tx: &mut Write, new: NewTenant<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tenants (id, slug, name, is_primary, sealed_key, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        new.id,
        new.slug,
        new.name,
        new.is_primary,
        new.sealed_key,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The membership of a person in the tenant with this slug.
pub(in crate::tenancy) async fn find(
    store: &Store,
    slug: &TenantSlug,
    user: &UserId,
) -> Result<Option<Membership>, StoreError> {
    Ok(sqlx::query_as!(
        Membership,
        r#"SELECT t.id AS "tenant_id: TenantId", t.slug AS "slug: TenantSlug", t.name, m.role AS "role: Role"
           FROM memberships m JOIN tenants t ON t.id = m.tenant_id
           WHERE t.slug = ? AND m.user_id = ?"#,
        slug,
        user
    )
    .fetch_optional(store.read())
    .await?)
}

/// All tenants a person belongs to, by name.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_user(store: &Store, user: &UserId) -> Result<Vec<Membership>, StoreError> {
    Ok(sqlx::query_as!(
        Membership,
        r#"SELECT t.id AS "tenant_id: TenantId", t.slug AS "slug: TenantSlug", t.name, m.role AS "role: Role"
           FROM memberships m JOIN tenants t ON t.id = m.tenant_id
           WHERE m.user_id = ? ORDER BY t.slug"#,
        user
    )
    .fetch_all(store.read())
    .await?)
}

/// The tenant with this slug, for callers whose permission was checked already.
///
/// # Errors
/// When the database cannot be read.
pub async fn platform_tenant(store: &Store, slug: &TenantSlug) -> Result<Option<Tenant>, StoreError> {
    let id = sqlx::query_scalar!(r#"SELECT id AS "id: TenantId" FROM tenants WHERE slug = ?"#, slug)
        .fetch_optional(store.read())
        .await?;
    Ok(id.map(Tenant::platform))
}

/// All members of a tenant, by e-mail address.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Member>, StoreError> {
    let id = tenant.id();
    Ok(sqlx::query_as!(
        Member,
        r#"SELECT u.id AS "user_id: UserId", u.email, u.name, m.role AS "role: Role", m.created_at AS "since: Timestamp"
           FROM memberships m JOIN users u ON u.id = m.user_id
           WHERE m.tenant_id = ? ORDER BY u.email"#,
        id
    )
    .fetch_all(store.read())
    .await?)
}

/// Makes somebody a member, or changes their role.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(tx: &mut Write, tenant: &Tenant, user: &UserId, role: Role, now: Timestamp) -> Result<(), StoreError> {
    let id = tenant.id();
    sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role",
        id,
        user,
        role,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a membership; false when there was none.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove(tx: &mut Write, tenant: &Tenant, user: &UserId) -> Result<bool, StoreError> {
    let id = tenant.id();
    let done = sqlx::query!("DELETE FROM memberships WHERE tenant_id = ? AND user_id = ?", id, user)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How many owners a tenant has, so that the last one is never removed.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_owners(tx: &mut Write, tenant: &Tenant) -> Result<i64, StoreError> {
    let id = tenant.id();
    Ok(sqlx::query_scalar!("SELECT COUNT(*) FROM memberships WHERE tenant_id = ? AND role = 'owner'", id)
        .fetch_one(&mut **tx)
        .await?)
}

/// A tenant's wrapped data key, and whether it is the primary tenant.
///
/// # Errors
/// When the database cannot be read, or the tenant is gone.
pub async fn key_of(store: &Store, tenant: &Tenant) -> Result<(Vec<u8>, bool), StoreError> {
    let id = tenant.id();
    let row = sqlx::query!(r#"SELECT sealed_key, is_primary AS "is_primary: bool" FROM tenants WHERE id = ?"#, id)
        .fetch_one(store.read())
        .await?;
    Ok((row.sealed_key, row.is_primary))
}
