//! Set-up, log-in, people, tenants, tokens and keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AppError, Apps};
use crate::kernel::id::{SshKeyId, TokenId, UserId};
use crate::kernel::name::TenantSlug;
use crate::kernel::secret::Secret;
use crate::tenancy::access::Entered;
use crate::tenancy::access::Principal;
use crate::tenancy::model::{ApiToken, Member, Membership, SshKey};
use crate::tenancy::roles::{Role, Scope};

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

#[expect(clippy::unused_async, unused_variables, reason = "the bodies land next")]
impl Apps {
    /// Whether nobody has set this installation up yet.
    pub async fn needs_setup(&self) -> Result<bool, AppError> {
        unimplemented!()
    }

    /// Spends the one-time token: makes the operator and the primary tenant.
    pub async fn setup(&self, token: &str, person: NewPerson, tenant: TenantSlug) -> Result<SetupOutcome, AppError> {
        unimplemented!()
    }

    /// Begins a browser session: gives the cookie's value. Wrong e-mail and wrong password look alike;
    /// attempts are limited per address and per account.
    pub async fn log_in(
        &self,
        email: &str,
        password: &Secret<String>,
        user_agent: &str,
        address: &str,
    ) -> Result<Secret<String>, AppError> {
        unimplemented!()
    }

    /// Ends the session.
    pub async fn log_out(&self, who: &Principal) -> Result<(), AppError> {
        unimplemented!()
    }

    /// The tenants somebody belongs to.
    pub async fn tenants_of(&self, who: &Principal) -> Result<Vec<Membership>, AppError> {
        unimplemented!()
    }

    /// Makes a tenant (operators only, which the route checks); the operator becomes its owner.
    pub async fn create_tenant(&self, who: &Principal, slug: TenantSlug, name: &str) -> Result<(), AppError> {
        unimplemented!()
    }

    /// Makes a person (operators only, which the route checks).
    pub async fn create_person(&self, who: &Principal, person: NewPerson) -> Result<UserId, AppError> {
        unimplemented!()
    }

    /// Changes one's own password; the old one must be given.
    pub async fn change_password(
        &self,
        who: &Principal,
        old: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), AppError> {
        unimplemented!()
    }

    /// One's own API tokens.
    pub async fn tokens(&self, who: &Principal) -> Result<Vec<ApiToken>, AppError> {
        unimplemented!()
    }

    /// A new API token: its secret is shown this once.
    pub async fn create_token(
        &self,
        who: &Principal,
        name: &str,
        scope: Scope,
        tenant: Option<&TenantSlug>,
        expires_in_days: Option<u32>,
    ) -> Result<(ApiToken, Secret<String>), AppError> {
        unimplemented!()
    }

    /// Revokes one of one's own tokens.
    pub async fn revoke_token(&self, who: &Principal, id: &TokenId) -> Result<(), AppError> {
        unimplemented!()
    }

    /// One's own SSH keys.
    pub async fn ssh_keys(&self, who: &Principal) -> Result<Vec<SshKey>, AppError> {
        unimplemented!()
    }

    /// Adds a public key in OpenSSH format.
    pub async fn add_ssh_key(&self, who: &Principal, name: Option<&str>, public_key: &str) -> Result<SshKey, AppError> {
        unimplemented!()
    }

    /// Removes one of one's own keys.
    pub async fn remove_ssh_key(&self, who: &Principal, id: &SshKeyId) -> Result<(), AppError> {
        unimplemented!()
    }

    /// The members of a tenant.
    pub async fn members(&self, who: &Entered) -> Result<Vec<Member>, AppError> {
        unimplemented!()
    }

    /// Makes an existing person a member, or changes their role; the last owner stays one.
    pub async fn put_member(&self, who: &Entered, email: &str, role: Role) -> Result<(), AppError> {
        unimplemented!()
    }

    /// Ends a membership; the last owner stays.
    pub async fn remove_member(&self, who: &Entered, email: &str) -> Result<(), AppError> {
        unimplemented!()
    }
}
