//! Set-up, log-in, people and tenants.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AppError, Apps};
use crate::kernel::id::{TenantId, UserId};
use crate::kernel::name::TenantSlug;
use crate::kernel::secret::Secret;
use crate::store::{StoreError, Write, settings};
use crate::tenancy::access::{Credential, Principal, Tenant};
use crate::tenancy::credentials::{check_password, hash_password, hash_token, verify_password};
use crate::tenancy::model::{Membership, User};
use crate::tenancy::roles::{Role, Scope};
use crate::tenancy::store::{members, people};

/// The setting that holds the hash of the one-time set-up token.
pub const SETUP_TOKEN: &str = "setup_token_hash";

/// A hash nobody has the password of: checked when an account does not exist, so that both cases take equally long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The first person, or one more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    pub email: String,
    pub name: String,
    #[schema(value_type = String)]
    pub password: Secret<String>,
}

/// What set-up gave.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupOutcome {
    pub tenant: String,
    /// An API token of the new operator; shown once.
    pub token: String,
}

impl Apps {
    /// Whether nobody has set this installation up yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn needs_setup(&self) -> Result<bool, AppError> {
        Ok(people::count(self.store()).await? == 0)
    }

    /// Returns when the installation was set up.
    pub async fn set_up(&self) {
        self.inner.set_up.notified().await;
    }

    /// Spends the one-time token: makes the operator and the primary tenant.
    ///
    /// # Errors
    /// When the token is wrong or spent, or an input is not valid; then nothing is made and the token stays good.
    pub async fn setup(&self, token: &str, person: NewPerson, tenant: TenantSlug) -> Result<SetupOutcome, AppError> {
        let spent = || {
            AppError::invalid(
                "token",
                "this set-up link is not valid any more; the newest one is in the log of `wharf serve`",
            )
        };
        let user = self.checked_person(&person, true)?;
        // Ask before the costly hash, and spend it in the transaction below.
        if settings::get(self.store(), SETUP_TOKEN).await?.as_deref() != Some(hash_token(token).as_str()) {
            return Err(spent());
        }
        let hash = self.hash(&person.password).await?;
        let mut tx = self.store().write().await?;
        if !settings::take(&mut tx, SETUP_TOKEN, &hash_token(token)).await? {
            return Err(spent());
        }
        people::create(&mut tx, &user, &hash, self.now()).await?;
        self.insert_tenant(&mut tx, &user.id, &tenant, tenant.as_str(), true).await?;
        let secret = self.insert_token(&mut tx, &user.id, "set-up", Scope::Full, None, None).await?.1;
        tx.commit().await.map_err(StoreError::from)?;
        self.inner.set_up.notify_one();
        Ok(SetupOutcome { tenant: tenant.to_string(), token: secret.expose().clone() })
    }

    /// Begins a browser session: gives the cookie's value. Wrong e-mail and wrong password look alike;
    /// attempts are limited per address and per account.
    ///
    /// # Errors
    /// When the two do not belong together, or there were too many tries.
    pub async fn log_in(
        &self,
        email: &str,
        password: &Secret<String>,
        user_agent: &str,
        address: &str,
    ) -> Result<Secret<String>, AppError> {
        let user = self.check_credentials(email, password, address).await?;
        let cookie = Secret::new(self.random().token());
        let mut tx = self.store().write().await?;
        people::begin_session(
            &mut tx,
            &user.id,
            &hash_token(cookie.expose()),
            &self.random().token(),
            user_agent,
            self.now(),
        )
        .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(cookie)
    }

    /// Gives an API token for e-mail and password: the log-in of the command line.
    ///
    /// # Errors
    /// As [`Apps::log_in`].
    pub async fn log_in_for_token(
        &self,
        email: &str,
        password: &Secret<String>,
        token_name: &str,
        address: &str,
    ) -> Result<Secret<String>, AppError> {
        let user = self.check_credentials(email, password, address).await?;
        let mut tx = self.store().write().await?;
        let (_, secret) = self.insert_token(&mut tx, &user.id, token_name, Scope::Full, None, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(secret)
    }

    async fn check_credentials(&self, email: &str, password: &Secret<String>, address: &str) -> Result<User, AppError> {
        let keys = [format!("account {}", email.to_lowercase()), format!("address {address}")];
        let now = self.now();
        let attempts = || self.inner.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys.iter().map(|k| attempts().wait_ms(k, now)).max().unwrap_or(0);
        if wait > 0 {
            return Err(AppError::TooManyFailures { seconds: wait / 1000 + 1 });
        }
        let found = people::by_email(self.store(), email.trim()).await?;
        let hash = found.as_ref().map_or(NOBODY, |(_, hash)| hash.as_str());
        if verify_password(password, hash).await
            && let Some((user, _)) = found
        {
            attempts().succeeded(&keys[0]);
            return Ok(user);
        }
        for key in &keys {
            attempts().failed(key, now);
        }
        Err(AppError::invalid("password", "this e-mail address and password do not belong together"))
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn log_out(&self, who: &Principal) -> Result<(), AppError> {
        if let Credential::Session { token_hash, .. } = &who.credential {
            let mut tx = self.store().write().await?;
            people::end_session(&mut tx, token_hash).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// The tenants somebody belongs to.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tenants_of(&self, who: &Principal) -> Result<Vec<Membership>, AppError> {
        let mut all = members::of_user(self.store(), &who.user).await?;
        if let Credential::Token { tenant: Some(only), .. } = &who.credential {
            all.retain(|m| m.tenant_id == *only);
        }
        Ok(all)
    }

    /// Makes a tenant (operators only, which the route checks); the operator becomes its owner.
    ///
    /// # Errors
    /// When the name is taken or not valid.
    pub async fn create_tenant(&self, who: &Principal, slug: TenantSlug, name: &str) -> Result<(), AppError> {
        let name = if name.trim().is_empty() { slug.as_str() } else { name.trim() };
        let mut tx = self.store().write().await?;
        self.insert_tenant(&mut tx, &who.user, &slug, name, false).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn insert_tenant(
        &self,
        tx: &mut Write,
        owner: &UserId,
        slug: &TenantSlug,
        name: &str,
        is_primary: bool,
    ) -> Result<(), AppError> {
        if slug.as_str().starts_with("e-") {
            return Err(AppError::invalid(
                "tenant",
                "a tenant name cannot start with `e-`, which host names use for environments",
            ));
        }
        if name.chars().count() > 80 {
            return Err(AppError::invalid("name", "the name is longer than 80 characters"));
        }
        let id = TenantId::new(self.now(), self.random());
        let sealed_key = self.inner.vault.new_tenant_key(&id);
        let new = members::NewTenant { id: &id, slug, name, is_primary, sealed_key: &sealed_key };
        members::create_tenant(tx, new, self.now()).await.map_err(|e| match e.unique_violation() {
            Some(_) => AppError::Conflict(format!("the name `{slug}` is taken")),
            None => e.into(),
        })?;
        members::put(tx, &Tenant::platform(id), owner, Role::Owner, self.now()).await?;
        Ok(())
    }

    /// Makes a person (operators only, which the route checks).
    ///
    /// # Errors
    /// When the e-mail address is taken or an input is not valid.
    pub async fn create_person(&self, _who: &Principal, person: NewPerson) -> Result<UserId, AppError> {
        let user = self.checked_person(&person, false)?;
        let hash = self.hash(&person.password).await?;
        let mut tx = self.store().write().await?;
        people::create(&mut tx, &user, &hash, self.now()).await.map_err(|e| match e.unique_violation() {
            Some(_) => AppError::Conflict(format!("there is already somebody with the e-mail address {}", user.email)),
            None => e.into(),
        })?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(user.id)
    }

    fn checked_person(&self, person: &NewPerson, is_operator: bool) -> Result<User, AppError> {
        let email = person.email.trim();
        let well_formed = email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        if !well_formed || email.len() > 254 || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AppError::invalid("email", format!("`{email}` is not an e-mail address")));
        }
        let name = person.name.trim();
        if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
            return Err(AppError::invalid("name", "give a name of 1 to 80 characters"));
        }
        check_password(person.password.expose(), email).map_err(|e| AppError::invalid("password", e.to_string()))?;
        let id = UserId::new(self.now(), self.random());
        Ok(User { id, email: email.to_owned(), name: name.to_owned(), is_operator })
    }

    async fn hash(&self, password: &Secret<String>) -> Result<String, AppError> {
        hash_password(password, self.random())
            .await
            .map_err(|e| AppError::internal("the password could not be stored", e))
    }

    /// Changes one's own password; the old one must be given.
    ///
    /// # Errors
    /// When the old one is wrong or the new one is too weak.
    pub async fn change_password(
        &self,
        who: &Principal,
        old: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), AppError> {
        check_password(new.expose(), &who.email).map_err(|e| AppError::invalid("new", e.to_string()))?;
        let stored = people::by_email(self.store(), &who.email).await?.map(|(_, hash)| hash).unwrap_or_default();
        if !verify_password(old, &stored).await {
            return Err(AppError::invalid("old", "this is not your present password"));
        }
        let hash = self.hash(new).await?;
        let keep = match &who.credential {
            Credential::Session { token_hash, .. } => Some(token_hash.as_str()),
            _ => None,
        };
        let mut tx = self.store().write().await?;
        people::set_password(&mut tx, &who.user, &hash, keep).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
