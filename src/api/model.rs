//! What the API takes and gives beyond the words of `apps`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::NewPerson;
use crate::kernel::clock::Timestamp;
use crate::kernel::name::{EnvironmentSlug, HostName, ProjectSlug, TenantSlug};
use crate::kernel::secret::Secret;
use crate::tenancy::model::{ApiToken, Member, Membership, SshKey};
use crate::tenancy::roles::{Role, Scope};

/// Whether the control plane answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`
    pub status: String,
    pub version: String,
}

/// The first step of an installation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "token": "8d1f…", "tenant": "acme",
    "person": {"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"},
}))]
pub struct SetupRequest {
    /// The one-time token `wharf serve` printed.
    pub token: String,
    /// Who becomes the operator of the platform.
    pub person: NewPerson,
    /// The short name of the first organisation.
    #[schema(value_type = String)]
    pub tenant: TenantSlug,
}

/// A log-in that gives an API token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ann@example.com", "password": "correct horse battery", "token_name": "cli on laptop"}))]
pub struct LoginRequest {
    pub email: String,
    #[schema(value_type = String)]
    pub password: Secret<String>,
    /// What the token is called in the list of tokens; `cli on` and the address when left out.
    #[serde(default)]
    pub token_name: Option<String>,
}

/// A new API token of full scope.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LoginOutcome {
    /// Shown this once.
    pub token: String,
}

/// Who one is, and where one belongs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    pub user: UserView,
    pub tenants: Vec<TenantView>,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    pub id: String,
    pub email: String,
    pub name: String,
    /// Whether they operate the platform.
    pub operator: bool,
}

/// A tenant and one's role in it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    pub slug: String,
    pub name: String,
    #[schema(value_type = String, example = "developer")]
    pub role: Role,
}

/// A change of one's own password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    #[schema(value_type = String)]
    pub old: Secret<String>,
    #[schema(value_type = String)]
    pub new: Secret<String>,
}

/// A new API token.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "ci", "scope": "deploy", "tenant": "acme", "expires_in_days": 90}))]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// `read`, `deploy` or `full`.
    #[schema(value_type = String, example = "deploy")]
    pub scope: Scope,
    /// Makes it good for this tenant only.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantSlug>,
    /// It lives for ever when left out.
    #[serde(default)]
    pub expires_in_days: Option<u32>,
}

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    pub id: String,
    pub name: String,
    #[schema(value_type = String, example = "deploy")]
    pub scope: Scope,
    /// RFC 3339, like all times of the API.
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    #[serde(flatten)]
    pub view: TokenView,
    /// The secret; shown this once.
    pub token: String,
}

/// A new public key.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The key's comment when left out.
    #[serde(default)]
    pub name: Option<String>,
    /// One line in OpenSSH format, such as the content of `~/.ssh/id_ed25519.pub`.
    pub public_key: String,
}

/// A public key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    /// `SHA256:…`
    pub fingerprint: String,
    pub created_at: String,
    pub last_used_at: Option<String>,
}

/// A new tenant.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// The short name, as in paths and host names.
    #[schema(value_type = String, example = "acme")]
    pub slug: TenantSlug,
    /// The full name; the short one when left out.
    #[serde(default)]
    pub name: String,
}

/// A member of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    pub email: String,
    pub name: String,
    #[schema(value_type = String, example = "developer")]
    pub role: Role,
    pub since: String,
}

/// Makes somebody a member, or changes their role.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "bob@example.com", "role": "developer"}))]
pub struct PutMember {
    pub email: String,
    /// `viewer`, `developer` or `owner`.
    #[schema(value_type = String, example = "developer")]
    pub role: Role,
}

/// A new project.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "shop"}))]
pub struct NewProject {
    #[schema(value_type = String)]
    pub name: ProjectSlug,
}

/// A new environment of a project.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "staging"}))]
pub struct NewEnvironment {
    #[schema(value_type = String)]
    pub name: EnvironmentSlug,
}

/// A new domain.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"host": "shop.example.com"}))]
pub struct NewDomain {
    #[schema(value_type = String)]
    pub host: HostName,
    /// `web` when left out.
    #[serde(default)]
    pub service: Option<String>,
}

/// Where to roll back to.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 7}))]
pub struct Rollback {
    /// The one before the serving one when left out.
    #[serde(default)]
    pub revision: Option<i64>,
}

fn time(at: Timestamp) -> String {
    at.rfc3339()
}

impl From<Membership> for TenantView {
    fn from(m: Membership) -> Self {
        Self { slug: m.slug.to_string(), name: m.name, role: m.role }
    }
}

impl From<ApiToken> for TokenView {
    fn from(t: ApiToken) -> Self {
        Self {
            id: t.id.to_string(),
            name: t.name,
            scope: t.scope,
            created_at: time(t.created_at),
            last_used_at: t.last_used_at.map(time),
            expires_at: t.expires_at.map(time),
        }
    }
}

impl From<SshKey> for KeyView {
    fn from(k: SshKey) -> Self {
        Self {
            id: k.id.to_string(),
            name: k.name,
            fingerprint: k.fingerprint,
            created_at: time(k.created_at),
            last_used_at: k.last_used_at.map(time),
        }
    }
}

impl From<Member> for MemberView {
    fn from(m: Member) -> Self {
        Self { email: m.email, name: m.name, role: m.role, since: time(m.since) }
    }
}
