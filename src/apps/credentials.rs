//! One's own API tokens and SSH keys.

use super::{AppError, Apps};
use crate::kernel::id::{SshKeyId, TenantId, TokenId, UserId};
use crate::kernel::name::TenantSlug;
use crate::kernel::secret::Secret;
use crate::store::{StoreError, Write};
use crate::tenancy::access::Principal;
use crate::tenancy::credentials::{hash_token, new_api_token};
use crate::tenancy::model::{ApiToken, SshKey};
use crate::tenancy::roles::Scope;
use crate::tenancy::ssh_keys::parse_public_key;
use crate::tenancy::store::people;

/// Tokens and keys one person may have.
const MOST_CREDENTIALS: usize = 100;

impl Apps {
    /// One's own API tokens.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tokens(&self, who: &Principal) -> Result<Vec<ApiToken>, AppError> {
        Ok(people::tokens(self.store(), &who.user).await?)
    }

    /// A new API token: its secret is shown this once.
    ///
    /// # Errors
    /// When an input is not valid, or the tenant is none of one's own.
    pub async fn create_token(
        &self,
        who: &Principal,
        name: &str,
        scope: Scope,
        tenant: Option<&TenantSlug>,
        expires_in_days: Option<u32>,
    ) -> Result<(ApiToken, Secret<String>), AppError> {
        let tenant = match tenant {
            None => None,
            Some(slug) => {
                let all = self.tenants_of(who).await?;
                let found = all.into_iter().find(|m| m.slug == *slug).map(|m| m.tenant_id);
                Some(found.ok_or_else(|| {
                    AppError::NotFound(format!("there is no organisation `{slug}`, or you are not a member of it"))
                })?)
            }
        };
        if people::tokens(self.store(), &who.user).await?.len() >= MOST_CREDENTIALS {
            return Err(AppError::Conflict(format!("you have {MOST_CREDENTIALS} tokens; revoke some first")));
        }
        let mut tx = self.store().write().await?;
        let made = self.insert_token(&mut tx, &who.user, name, scope, tenant.as_ref(), expires_in_days).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(made)
    }

    pub(super) async fn insert_token(
        &self,
        tx: &mut Write,
        user: &UserId,
        name: &str,
        scope: Scope,
        tenant: Option<&TenantId>,
        expires_in_days: Option<u32>,
    ) -> Result<(ApiToken, Secret<String>), AppError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
            return Err(AppError::invalid(
                "name",
                "give the token a name of 1 to 80 characters, such as where it is used",
            ));
        }
        if expires_in_days.is_some_and(|d| d == 0 || d > 3650) {
            return Err(AppError::invalid("expires_in_days", "a token may live 1 to 3650 days"));
        }
        let (now, secret) = (self.now(), new_api_token(self.random()));
        let id = TokenId::new(now, self.random());
        let expires_at = expires_in_days.map(|d| now.plus_secs(i64::from(d) * 86_400));
        let secret_hash = hash_token(secret.expose());
        let new = people::NewToken { id: &id, user, tenant, name, scope, secret_hash: &secret_hash, expires_at };
        people::add_token(tx, new, now).await?;
        let view = ApiToken { id, name: name.to_owned(), scope, created_at: now, last_used_at: None, expires_at };
        Ok((view, secret))
    }

    /// Revokes one of one's own tokens.
    ///
    /// # Errors
    /// When there is no such token.
    pub async fn revoke_token(&self, who: &Principal, id: &TokenId) -> Result<(), AppError> {
        let mut tx = self.store().write().await?;
        let found = people::remove_token(&mut tx, &who.user, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if found { Ok(()) } else { Err(AppError::NotFound("you have no such token".to_owned())) }
    }

    /// One's own SSH keys.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ssh_keys(&self, who: &Principal) -> Result<Vec<SshKey>, AppError> {
        Ok(people::ssh_keys(self.store(), &who.user).await?)
    }

    /// Adds a public key in OpenSSH format.
    ///
    /// # Errors
    /// When it is no public key, too weak, or in use already.
    pub async fn add_ssh_key(&self, who: &Principal, name: Option<&str>, public_key: &str) -> Result<SshKey, AppError> {
        let key = parse_public_key(public_key).map_err(|e| AppError::invalid("public_key", e.to_string()))?;
        if people::ssh_keys(self.store(), &who.user).await?.len() >= MOST_CREDENTIALS {
            return Err(AppError::Conflict(format!("you have {MOST_CREDENTIALS} keys; remove some first")));
        }
        let given = name.map(str::trim).filter(|n| !n.is_empty());
        let fallback = if key.comment.is_empty() { key.algorithm.as_str() } else { key.comment.as_str() };
        let name: String = given.unwrap_or(fallback).chars().filter(|c| !c.is_control()).take(80).collect();
        let (now, id) = (self.now(), SshKeyId::new(self.now(), self.random()));
        let mut tx = self.store().write().await?;
        people::add_ssh_key(&mut tx, &id, &who.user, &name, &key.fingerprint, &key.line, now).await.map_err(
            |e| match e.unique_violation() {
                Some(_) => AppError::Conflict(
                    "this key is in use already, by you or somebody else; make another one with ssh-keygen".to_owned(),
                ),
                None => e.into(),
            },
        )?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(SshKey { id, name, fingerprint: key.fingerprint, created_at: now, last_used_at: None })
    }

    /// Removes one of one's own keys.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn remove_ssh_key(&self, who: &Principal, id: &SshKeyId) -> Result<(), AppError> {
        let mut tx = self.store().write().await?;
        let found = people::remove_ssh_key(&mut tx, &who.user, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if found { Ok(()) } else { Err(AppError::NotFound("you have no such key".to_owned())) }
    }
}
