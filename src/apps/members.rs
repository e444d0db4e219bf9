//! Who belongs to a tenant.

use super::{AppError, Apps};
use crate::store::{StoreError, Write};
use crate::tenancy::access::{Entered, Tenant};
use crate::tenancy::model::{Member, User};
use crate::tenancy::roles::Role;
use crate::tenancy::store::{members, people};

impl Apps {
    /// The members of a tenant.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn members(&self, who: &Entered) -> Result<Vec<Member>, AppError> {
        Ok(members::list(self.store(), &who.tenant).await?)
    }

    /// Makes an existing person a member, or changes their role; the last owner stays one.
    ///
    /// # Errors
    /// When nobody has that e-mail address, or the last owner would be lost.
    pub async fn put_member(&self, who: &Entered, email: &str, role: Role) -> Result<(), AppError> {
        let user = self.person(email).await?;
        let mut tx = self.store().write().await?;
        members::put(&mut tx, &who.tenant, &user.id, role, self.now()).await?;
        self.keep_an_owner(tx, &who.tenant).await
    }

    /// Ends a membership; the last owner stays.
    ///
    /// # Errors
    /// When they are no member, or the last owner.
    pub async fn remove_member(&self, who: &Entered, email: &str) -> Result<(), AppError> {
        let user = self.person(email).await?;
        let mut tx = self.store().write().await?;
        if !members::remove(&mut tx, &who.tenant, &user.id).await? {
            return Err(AppError::NotFound(format!("{email} is not a member")));
        }
        self.keep_an_owner(tx, &who.tenant).await
    }

    async fn person(&self, email: &str) -> Result<User, AppError> {
        let found = people::by_email(self.store(), email.trim()).await?;
        let unknown = || {
            AppError::NotFound(format!("nobody here has the e-mail address {email}; a platform operator can add them"))
        };
        found.map(|(user, _)| user).ok_or_else(unknown)
    }

    /// Commits, unless the tenant would be left without an owner.
    async fn keep_an_owner(&self, mut tx: Write, tenant: &Tenant) -> Result<(), AppError> {
        if members::count_owners(&mut tx, tenant).await? == 0 {
            return Err(AppError::Conflict(
                "this would leave the organisation without an owner; make somebody else an owner first".to_owned(),
            ));
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
