//! The one check: who is this, and may they do that here?

use thiserror::Error;

use super::model::User;
use super::roles::{Permission, Role, Scope};
use super::store::{members, people};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{SshKeyId, TenantId, TokenId, UserId};
use crate::kernel::name::TenantSlug;
use crate::store::{Store, StoreError};

/// Proof that the bearer may act within a tenant. Queries of tenants' tables take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    id: TenantId,
}

impl Tenant {
    /// The tenant a row belongs to, for the platform's own loops (reconcile, recovery), which serve every tenant.
    /// Request handlers have no use for it: they get theirs from [`enter`].
    #[must_use]
    pub fn platform(id: TenantId) -> Self {
        Self { id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.id
    }
}

/// Somebody who has shown a valid credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user: UserId,
    pub name: String,
    pub email: String,
    pub is_operator: bool,
    pub credential: Credential,
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A browser session; carries the token forms must send back, and the hash that identifies the session.
    Session { csrf_token: String, token_hash: String },
    /// An API token, perhaps good for one tenant only.
    Token { id: TokenId, scope: Scope, tenant: Option<TenantId> },
    /// A public key, over SSH.
    SshKey { id: SshKeyId },
}

impl Principal {
    /// A person with the credential they showed.
    #[must_use]
    pub fn new(user: User, credential: Credential) -> Self {
        Self { user: user.id, name: user.name, email: user.email, is_operator: user.is_operator, credential }
    }

    /// Whether the credential itself allows this, whatever the person's role.
    fn credential_allows(&self, tenant: &TenantId, permission: Permission) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
            Credential::SshKey { .. } => matches!(permission, Permission::AppView | Permission::AppDeploy),
            Credential::Token { scope, tenant: only, .. } => {
                only.as_ref().is_none_or(|t| t == tenant) && scope.allows(permission)
            }
        }
    }

    /// Whether the person may act on the platform itself with this credential.
    #[must_use]
    pub fn may_operate_platform(&self) -> bool {
        self.is_operator
            && match &self.credential {
                Credential::Session { .. } => true,
                Credential::Token { scope, tenant, .. } => *scope == Scope::Full && tenant.is_none(),
                Credential::SshKey { .. } => false,
            }
    }

    /// Whether the person may change their own account (keys, tokens, password) with this credential.
    #[must_use]
    pub fn may_change_account(&self) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
            Credential::Token { scope, tenant, .. } => *scope == Scope::Full && tenant.is_none(),
            Credential::SshKey { .. } => false,
        }
    }
}

/// Somebody inside a tenant, with a permission that was checked.
#[derive(Debug, Clone)]
pub struct Entered {
    pub tenant: Tenant,
    pub slug: TenantSlug,
    pub role: Role,
}

/// Why somebody may not.
#[derive(Debug, Error)]
pub enum Denied {
    /// There is no such tenant, or it is none of theirs: the same answer.
    #[error("there is no organisation `{0}`, or you are not a member of it")]
    NotFound(String),
    /// They are a member, but not allowed this.
    #[error("your role in `{tenant}` is {role}, which does not allow this; ask an owner of `{tenant}`")]
    Role { tenant: TenantSlug, role: &'static str },
    /// The credential they show does not carry this.
    #[error("this token's scope does not allow this; use a token with a wider scope")]
    Scope,
    /// It could not be found out.
    #[error("cannot check the permission")]
    Store(#[from] StoreError),
}

/// Lets a principal into a tenant for one purpose, or says why not.
///
/// # Errors
/// [`Denied::NotFound`] for a missing and a foreign tenant alike, and for a token bound to another tenant.
pub async fn enter(store: &Store, who: &Principal, slug: &str, permission: Permission) -> Result<Entered, Denied> {
    let unknown = || Denied::NotFound(slug.to_owned());
    let slug: TenantSlug = slug.parse().map_err(|_| unknown())?;
    let membership = members::find(store, &slug, &who.user).await?.ok_or_else(unknown)?;
    if let Credential::Token { tenant: Some(only), .. } = &who.credential
        && *only != membership.tenant_id
    {
        return Err(unknown());
    }
    if !who.credential_allows(&membership.tenant_id, permission) {
        return Err(Denied::Scope);
    }
    if !membership.role.allows(permission) {
        let role = match membership.role {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Owner => "owner",
        };
        return Err(Denied::Role { tenant: slug, role });
    }
    Ok(Entered { tenant: Tenant { id: membership.tenant_id }, slug, role: membership.role })
}

/// The person behind an API token, if it is good.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_token(store: &Store, token: &str, now: Timestamp) -> Result<Option<Principal>, StoreError> {
    people::by_token(store, &super::credentials::hash_token(token), now).await
}

/// The person behind an API token that was shown before, if it is still good.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_token_id(store: &Store, id: &TokenId, now: Timestamp) -> Result<Option<Principal>, StoreError> {
    people::by_token_id(store, id, now).await
}

/// The person behind an SSH key that was shown before, if it is still known.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_ssh_key_id(store: &Store, id: &SshKeyId) -> Result<Option<Principal>, StoreError> {
    people::by_ssh_key_id(store, id).await
}

/// The person behind a session cookie, if it is good.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_session(store: &Store, cookie: &str, now: Timestamp) -> Result<Option<Principal>, StoreError> {
    people::by_session(store, &super::credentials::hash_token(cookie), now).await
}

/// The person behind an SSH key, if it is known.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_ssh_key(store: &Store, fingerprint: &str) -> Result<Option<Principal>, StoreError> {
    people::by_ssh_key(store, fingerprint).await
}
