//! People and their credentials.

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{SshKeyId, TenantId, TokenId, UserId};
use crate::store::{Store, StoreError, Write};
use crate::tenancy::access::{Credential, Principal};
use crate::tenancy::model::{ApiToken, SshKey, User};
use crate::tenancy::roles::Scope;

/// A browser session that is not used for so long ends.
const SESSION_IDLE_MS: i64 = 12 * 3600 * 1000;
/// A browser session ends after so long, used or not.
const SESSION_LIFE_MS: i64 = 7 * 24 * 3600 * 1000;
/// "Last seen" is written at most so often, so that reading does not mean writing.
const SEEN_STEP_MS: i64 = 60 * 1000;

/// Stores a new person.
///
/// # Errors
/// A uniqueness violation when the e-mail address is taken.
pub async fn create(tx: &mut Write, user: &User, password_hash: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO users (id, email, name, password_hash, is_operator, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        user.id,
        user.email,
        user.name,
        password_hash,
        user.is_operator,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many people there are.
///
/// # Errors
/// When the database cannot be read.
pub async fn count(store: &Store) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("SELECT COUNT(*) FROM users").fetch_one(store.read()).await?)
}

/// The person with this e-mail address and their password hash.
///
/// # Errors
/// When the database cannot be read.
pub async fn by_email(store: &Store, email: &str) -> Result<Option<(User, String)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: UserId", email, name, is_operator AS "is_operator: bool", password_hash FROM users WHERE email = ?"#,
        email
    )
    .fetch_optional(store.read())
    .await?;
    Ok(row.map(|r| (User { id: r.id, email: r.email, name: r.name, is_operator: r.is_operator }, r.password_hash)))
}

/// Replaces a password and ends all other sessions of the person.
///
/// # Errors
/// When the database cannot be written.
pub async fn set_password(
    tx: &mut Write,
    user: &UserId,
    hash: &str,
    keep_session: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!("UPDATE users SET password_hash = ? WHERE id = ?", hash, user).execute(&mut **tx).await?;
    let keep = keep_session.unwrap_or("");
    sqlx::query!("DELETE FROM sessions WHERE user_id = ? AND token_hash <> ?", user, keep).execute(&mut **tx).await?;
    Ok(())
}

/// Begins a browser session.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_session(
    tx: &mut Write,
    user: &UserId,
    token_hash: &str,
    csrf_token: &str,
    user_agent: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let expires = now.plus_ms(SESSION_LIFE_MS);
    let agent: String = user_agent.chars().take(200).collect();
    sqlx::query!("DELETE FROM sessions WHERE expires_at < ?", now).execute(&mut **tx).await?;
    sqlx::query!(
        "INSERT INTO sessions (token_hash, user_id, csrf_token, user_agent, created_at, last_seen_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        token_hash,
        user,
        csrf_token,
        agent,
        now,
        now,
        expires
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a browser session.
///
/// # Errors
/// When the database cannot be written.
pub async fn end_session(tx: &mut Write, token_hash: &str) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sessions WHERE token_hash = ?", token_hash).execute(&mut **tx).await?;
    Ok(())
}

pub(in crate::tenancy) async fn by_session(
    store: &Store,
    token_hash: &str,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let idle_limit = now.plus_ms(-SESSION_IDLE_MS);
    let row = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", u.email, u.name, u.is_operator AS "is_operator: bool", s.csrf_token,
                  s.last_seen_at AS "last_seen_at: Timestamp"
           FROM sessions s JOIN users u ON u.id = s.user_id
           WHERE s.token_hash = ? AND s.expires_at > ? AND s.last_seen_at > ?"#,
        token_hash,
        now,
        idle_limit
    )
    .fetch_optional(store.read())
    .await?;
    let Some(row) = row else { return Ok(None) };
    if now.since_ms(row.last_seen_at) > SEEN_STEP_MS {
        let mut tx = store.write().await?;
        sqlx::query!("UPDATE sessions SET last_seen_at = ? WHERE token_hash = ?", now, token_hash)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    let user = User { id: row.id, email: row.email, name: row.name, is_operator: row.is_operator };
    let credential = Credential::Session { csrf_token: row.csrf_token, token_hash: token_hash.to_owned() };
    Ok(Some(Principal::new(user, credential)))
}

pub(in crate::tenancy) async fn by_token(
    store: &Store,
    secret_hash: &str,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", u.email, u.name, u.is_operator AS "is_operator: bool",
                  k.id AS "token: TokenId", k.scope AS "scope: Scope", k.tenant_id AS "tenant_id: TenantId",
                  k.last_used_at AS "last_used_at: Timestamp"
           FROM api_tokens k JOIN users u ON u.id = k.user_id
           WHERE k.secret_hash = ? AND (k.expires_at IS NULL OR k.expires_at > ?)"#,
        secret_hash,
        now
    )
    .fetch_optional(store.read())
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.last_used_at.is_none_or(|t| now.since_ms(t) > SEEN_STEP_MS) {
        let mut tx = store.write().await?;
        sqlx::query!("UPDATE api_tokens SET last_used_at = ? WHERE secret_hash = ?", now, secret_hash)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    let user = User { id: row.id, email: row.email, name: row.name, is_operator: row.is_operator };
    Ok(Some(Principal::new(user, Credential::Token { id: row.token, scope: row.scope, tenant: row.tenant_id })))
}

pub(in crate::tenancy) async fn by_token_id(
    store: &Store,
    id: &TokenId,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", u.email, u.name, u.is_operator AS "is_operator: bool",
                  k.scope AS "scope: Scope", k.tenant_id AS "tenant_id: TenantId"
           FROM api_tokens k JOIN users u ON u.id = k.user_id
           WHERE k.id = ? AND (k.expires_at IS NULL OR k.expires_at > ?)"#,
        id,
        now
    )
    .fetch_optional(store.read())
    .await?;
    Ok(row.map(|r| {
        let user = User { id: r.id, email: r.email, name: r.name, is_operator: r.is_operator };
        Principal::new(user, Credential::Token { id: id.clone(), scope: r.scope, tenant: r.tenant_id })
    }))
}

pub(in crate::tenancy) async fn by_ssh_key_id(store: &Store, id: &SshKeyId) -> Result<Option<Principal>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", u.email, u.name, u.is_operator AS "is_operator: bool"
           FROM ssh_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ?"#,
        id
    )
    .fetch_optional(store.read())
    .await?;
    Ok(row.map(|r| {
        let user = User { id: r.id, email: r.email, name: r.name, is_operator: r.is_operator };
        Principal::new(user, Credential::SshKey { id: id.clone() })
    }))
}

pub(in crate::tenancy) async fn by_ssh_key(store: &Store, fingerprint: &str) -> Result<Option<Principal>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT u.id AS "id: UserId", u.email, u.name, u.is_operator AS "is_operator: bool", k.id AS "key: SshKeyId"
           FROM ssh_keys k JOIN users u ON u.id = k.user_id WHERE k.fingerprint = ?"#,
        fingerprint
    )
    .fetch_optional(store.read())
    .await?;
    Ok(row.map(|r| {
        Principal::new(
            User { id: r.id, email: r.email, name: r.name, is_operator: r.is_operator },
            Credential::SshKey { id: r.key },
        )
    }))
}

/// A new API token, as stored.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub id: &'a TokenId,
    pub user: &'a UserId,
    pub tenant: Option<&'a TenantId>,
    pub name: &'a str,
    pub scope: Scope,
    pub secret_hash: &'a str,
    pub expires_at: Option<Timestamp>,
}

/// Stores an API token.
///
/// # Errors
/// When the database cannot be written.
pub async fn add_token(tx: &mut Write, new: NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO api_tokens (id, user_id, tenant_id, name, scope, secret_hash, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        new.id,
        new.user,
        new.tenant,
        new.name,
        new.scope,
        new.secret_hash,
        now,
        new.expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A person's API tokens, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn tokens(store: &Store, user: &UserId) -> Result<Vec<ApiToken>, StoreError> {
    Ok(sqlx::query_as!(
        ApiToken,
        r#"SELECT id AS "id: TokenId", name, scope AS "scope: Scope", created_at AS "created_at: Timestamp",
                  last_used_at AS "last_used_at: Timestamp", expires_at AS "expires_at: Timestamp"
           FROM api_tokens WHERE user_id = ? ORDER BY id DESC"#,
        user
    )
    .fetch_all(store.read())
    .await?)
}

/// Revokes an API token of this person; false when they have no such token.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_token(tx: &mut Write, user: &UserId, token: &TokenId) -> Result<bool, StoreError> {
    let done =
        sqlx::query!("DELETE FROM api_tokens WHERE id = ? AND user_id = ?", token, user).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Stores a public key.
///
/// # Errors
/// A uniqueness violation when the key is in use already, by this or another person.
pub async fn add_ssh_key(
    tx: &mut Write,
    id: &SshKeyId,
    user: &UserId,
    name: &str,
    fingerprint: &str,
    public_key: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO ssh_keys (id, user_id, name, fingerprint, public_key, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        id,
        user,
        name,
        fingerprint,
        public_key,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A person's public keys, newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn ssh_keys(store: &Store, user: &UserId) -> Result<Vec<SshKey>, StoreError> {
    Ok(sqlx::query_as!(
        SshKey,
        r#"SELECT id AS "id: SshKeyId", name, fingerprint, created_at AS "created_at: Timestamp",
                  last_used_at AS "last_used_at: Timestamp"
           FROM ssh_keys WHERE user_id = ? ORDER BY id DESC"#,
        user
    )
    .fetch_all(store.read())
    .await?)
}

/// Removes a public key of this person; false when they have no such key.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_ssh_key(tx: &mut Write, user: &UserId, key: &SshKeyId) -> Result<bool, StoreError> {
    let done = sqlx::query!("DELETE FROM ssh_keys WHERE id = ? AND user_id = ?", key, user).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}
