//! Making, looking at and taking away apps; their domains.

use super::{AppDetail, AppError, AppPath, AppSummary, Apps, Caller, DomainView, OperationView};
use crate::kernel::name::{EnvironmentSlug, HostName, ProjectSlug};

#[expect(clippy::unused_async, unused_variables, reason = "the bodies land next")]
impl Apps {
    /// All apps of the tenant, by name.
    pub async fn list(&self, who: &Caller) -> Result<Vec<AppSummary>, AppError> {
        unimplemented!()
    }

    /// Makes a project with its production environment and default domain.
    pub async fn create(&self, who: &Caller, project: ProjectSlug) -> Result<AppDetail, AppError> {
        unimplemented!()
    }

    /// Makes one more environment of a project.
    pub async fn create_environment(
        &self,
        who: &Caller,
        project: &ProjectSlug,
        environment: EnvironmentSlug,
    ) -> Result<AppDetail, AppError> {
        unimplemented!()
    }

    /// Everything about one app.
    pub async fn detail(&self, who: &Caller, app: &AppPath) -> Result<AppDetail, AppError> {
        unimplemented!()
    }

    /// Removes an app with all it has; `confirm` must repeat its name (`shop`, `shop/staging`).
    pub async fn destroy(&self, who: &Caller, app: &AppPath, confirm: &str) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Adds a domain; it routes at once.
    pub async fn add_domain(
        &self,
        who: &Caller,
        app: &AppPath,
        host: HostName,
        service: Option<String>,
    ) -> Result<DomainView, AppError> {
        unimplemented!()
    }

    /// Removes a domain; the platform's own one stays.
    pub async fn remove_domain(&self, who: &Caller, app: &AppPath, host: &HostName) -> Result<(), AppError> {
        unimplemented!()
    }
}
