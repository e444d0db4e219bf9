//! The path of a repository as people type it: `acme/shop.git` or `acme/shop/staging.git`.

use std::fmt;

use crate::kernel::name::{EnvironmentSlug, ProjectSlug, TenantSlug};

/// Which environment a repository belongs to. Every part is a validated name, so a path of this type
/// can hold no `..`, no separator and no option.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoPath {
    /// The tenant's name.
    pub tenant: TenantSlug,
    /// The project's name; users say "app".
    pub project: ProjectSlug,
    /// The environment; `production` when the path names none.
    pub environment: EnvironmentSlug,
}

impl RepoPath {
    /// From the segments of a URL; the last one may end with `.git`. `None` when a part is no valid name:
    /// such a repository cannot exist, and callers answer as for one that is missing.
    #[must_use]
    pub fn from_segments(tenant: &str, project: &str, environment: Option<&str>) -> Option<Self> {
        let (project, environment) = match environment {
            None => (without_suffix(project).parse().ok()?, EnvironmentSlug::production()),
            Some(name) => (project.parse().ok()?, without_suffix(name).parse().ok()?),
        };
        Some(Self { tenant: tenant.parse().ok()?, project, environment })
    }

    /// From one text, as SSH clients send it: a leading `/` and a `git/` prefix are allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            // `git` is no tenant's name (it is reserved), so the prefix is never ambiguous.
            ["git", tenant, project] | [tenant, project] => Self::from_segments(tenant, project, None),
            ["git", tenant, project, environment] | [tenant, project, environment] => {
                Self::from_segments(tenant, project, Some(environment))
            }
            _ => None,
        }
    }
}

fn without_suffix(name: &str) -> &str {
    name.strip_suffix(".git").unwrap_or(name)
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.project)?;
        if !self.environment.is_production() {
            write!(f, "/{}", self.environment)?;
        }
        f.write_str(".git")
    }
}
