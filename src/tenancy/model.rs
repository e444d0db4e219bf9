//! The values of this room.

use serde::{Deserialize, Serialize};

use super::roles::{Role, Scope};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{DomainId, EnvironmentId, ProjectId, SshKeyId, TenantId, TokenId, UserId};
use crate::kernel::name::{EnvironmentSlug, HostName, ProjectSlug, ServiceName, TenantSlug};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub is_operator: bool,
}

/// A tenant somebody is a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    #[serde(skip)]
    pub tenant_id: TenantId,
    pub slug: TenantSlug,
    pub name: String,
    pub role: Role,
}

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    pub user_id: UserId,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub since: Timestamp,
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub scope: Scope,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// A public key somebody pushes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshKey {
    pub id: SshKeyId,
    pub name: String,
    pub fingerprint: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// An environment of a project with what identifies it: what users call an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub id: EnvironmentId,
    pub tenant_id: TenantId,
    pub tenant: TenantSlug,
    pub project_id: ProjectId,
    pub project: ProjectSlug,
    pub slug: EnvironmentSlug,
    pub protected: bool,
    pub deploy_branch: Option<String>,
    pub config_version: i64,
    pub target_revision: Option<i64>,
    pub serving_revision: Option<i64>,
    pub stopped: bool,
    pub destroyed: bool,
    pub created_at: Timestamp,
}

impl Environment {
    /// What people call it: `shop`, or `shop/staging` away from production.
    #[must_use]
    pub fn display_name(&self) -> String {
        if self.slug.is_production() { self.project.to_string() } else { format!("{}/{}", self.project, self.slug) }
    }

    /// The names of the network all its containers share.
    #[must_use]
    pub fn network(&self) -> String {
        format!("wharf-{}", self.id)
    }
}

/// A host name that leads to a service of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    pub id: DomainId,
    pub environment_id: EnvironmentId,
    pub host: HostName,
    pub service: ServiceName,
    pub is_default: bool,
}

/// What carries the bytes of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl From<crate::stack::model::Transport> for Transport {
    fn from(said: crate::stack::model::Transport) -> Self {
        match said {
            crate::stack::model::Transport::Tcp => Self::Tcp,
            crate::stack::model::Transport::Udp => Self::Udp,
        }
    }
}

/// A port of the machine that leads to a service of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPort {
    pub environment_id: EnvironmentId,
    pub transport: Transport,
    pub published: u16,
    pub service: ServiceName,
    /// Inside the container.
    pub port: u16,
}

impl PublicPort {
    /// Whether it is what a service wishes for.
    #[must_use]
    pub fn serves(&self, service: &ServiceName, wish: &crate::stack::model::Exposure) -> bool {
        self.service == *service
            && self.port == wish.port
            && self.transport == wish.transport.into()
            && wish.published.is_none_or(|published| published == self.published)
    }
}

/// One version of an environment's configuration, without its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigVersion {
    pub version: i64,
    pub names: Vec<String>,
    pub author: String,
    pub created_at: Timestamp,
}

/// The newest version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    pub name: crate::stack::model::ResourceName,
    pub version: i64,
    pub author: String,
    pub created_at: Timestamp,
}

/// Stands before the service in its own host name. No other part of a host name can look like it.
const SERVICE_MARK: &str = "--s-";

/// How many domains an environment may have.
pub const MOST_DOMAINS: usize = 100;

/// Whether a host is the platform's own, or one that only the platform gives: nobody else may ask for it.
#[must_use]
pub fn is_platform_host(platform: &str, host: &HostName) -> bool {
    host.as_str().strip_suffix(platform).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The default host name of an environment below the platform's domain.
/// The primary tenant's names stay short; others carry the tenant, so that two tenants never want the same name.
#[must_use]
pub fn default_host(
    platform: &str,
    primary: bool,
    tenant: &TenantSlug,
    project: &ProjectSlug,
    environment: &EnvironmentSlug,
) -> String {
    // A name holds no double hyphen, and no tenant's begins with `e-` or `s-`, so the parts cannot be confused.
    let mut label = project.to_string();
    if !environment.is_production() {
        label = format!("{label}--e-{environment}");
    }
    if !primary {
        label = format!("{label}--{tenant}");
    }
    format!("{label}.{platform}")
}

/// The host the platform gives to one service, beside that of its environment: `shop--s-api.example.com` for the
/// service `api` of `shop.example.com`. `None` when it would be too long for a host name.
#[must_use]
pub fn service_host(default: &HostName, service: &ServiceName) -> Option<HostName> {
    let (label, rest) = default.as_str().split_once('.')?;
    format!("{label}{SERVICE_MARK}{service}.{rest}").parse().ok()
}

impl Domain {
    /// Whether the platform gave it to one service, instead of to the whole environment.
    #[must_use]
    pub fn is_of_one_service(&self) -> bool {
        let label = self.host.as_str().split('.').next().unwrap_or_default();
        self.is_default && label.ends_with(&format!("{SERVICE_MARK}{}", self.service))
    }
}
