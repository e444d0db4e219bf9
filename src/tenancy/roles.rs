//! Roles and what they allow. Pure.

use serde::{Deserialize, Serialize};

/// What a person is within a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything but values of configuration, changes nothing.
    Viewer,
    /// Makes, deploys and configures apps.
    Developer,
    /// Also decides about members, and destroys apps.
    Owner,
}

/// How much of its owner's power an API token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Scope {
    /// Reading only.
    Read,
    /// Reading and deploying: what a CI job needs.
    Deploy,
    /// All that its owner may do.
    Full,
}

/// One thing that can be allowed within a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// See apps, their state, releases, domains, operations and names of variables.
    AppView,
    /// Read the output of instances and operations.
    AppLogs,
    /// Deploy, roll back, cancel; fetch and push the repository.
    AppDeploy,
    /// Scale, restart, stop and start.
    AppOperate,
    /// Make apps and environments.
    AppCreate,
    /// Read and change values of environment variables.
    AppConfig,
    /// Add and remove domains.
    AppDomains,
    /// Run one-off commands inside the app's containers.
    AppExec,
    /// Remove an app with all it has.
    AppDestroy,
    /// See who is a member.
    MemberView,
    /// Invite, remove and promote members.
    MemberManage,
}

impl Permission {
    /// All permissions, for the generated access matrix.
    pub const ALL: [Self; 11] = [
        Self::AppView,
        Self::AppLogs,
        Self::AppDeploy,
        Self::AppOperate,
        Self::AppCreate,
        Self::AppConfig,
        Self::AppDomains,
        Self::AppExec,
        Self::AppDestroy,
        Self::MemberView,
        Self::MemberManage,
    ];
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Developer, Self::Owner];

    /// Whether this role allows that.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        use Permission::{
            AppConfig, AppCreate, AppDeploy, AppDestroy, AppDomains, AppExec, AppLogs, AppOperate, AppView,
            MemberManage, MemberView,
        };
        let least = match permission {
            AppView | AppLogs | MemberView => Self::Viewer,
            AppDeploy | AppOperate | AppCreate | AppConfig | AppDomains | AppExec => Self::Developer,
            AppDestroy | MemberManage => Self::Owner,
        };
        self >= least
    }
}

impl Scope {
    /// Whether a token of this scope may be used for that, whatever its owner's role.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        use Permission::{AppDeploy, AppLogs, AppOperate, AppView, MemberView};
        match self {
            Self::Full => true,
            Self::Deploy => matches!(permission, AppView | AppLogs | MemberView | AppDeploy | AppOperate),
            Self::Read => matches!(permission, AppView | AppLogs | MemberView),
        }
    }
}
