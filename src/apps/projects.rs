//! Making, looking at and taking away apps; their domains.

use super::view;
use super::{AppDetail, AppError, AppPath, AppSummary, Apps, Caller, DomainView, OperationView};
use crate::kernel::id::{DomainId, EnvironmentId, ProjectId};
use crate::kernel::name::{EnvironmentSlug, HostName, ProjectSlug, ServiceName};
use crate::operations::{Kind, State};
use crate::pipelines::{Input, recovery::phase};
use crate::store::{StoreError, Write};
use crate::tenancy::model::{Domain, Environment, MOST_DOMAINS, default_host, is_platform_host};
use crate::tenancy::store::{domains, members, ports, projects};

/// Domains one app may have.
/// Seconds an app has to be taken down.
const DESTROY_DEADLINE_SECONDS: i64 = 300;

impl Apps {
    /// All apps of the tenant, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self, who: &Caller) -> Result<Vec<AppSummary>, AppError> {
        let mut all = Vec::new();
        for environment in projects::list(self.store(), &who.tenant).await? {
            let hosts = domains::list(self.store(), &who.tenant, &environment.id).await?;
            let last = self.operations_handle().list(&who.tenant, &environment.id, None, 1).await?.pop();
            let report = self.scheduler().report(&environment.id);
            let active = last.as_ref().filter(|o| o.exclusive && !o.state.is_final());
            let (healthy, wanted) = view::totals(report.as_ref());
            let has_web = environment.serving_revision.is_some();
            all.push(AppSummary {
                project: environment.project.to_string(),
                environment: environment.slug.to_string(),
                state: view::state(&environment, report.as_ref(), active.is_some()),
                url: hosts.first().filter(|_| has_web).map(|d| self.addresses().url(d.host.as_str())),
                revision: environment.serving_revision,
                healthy,
                wanted,
                last_operation: last.as_ref().map(view::operation),
            });
        }
        Ok(all)
    }

    /// Makes a project with its production environment and default domain.
    ///
    /// # Errors
    /// When the tenant has an app of that name.
    pub async fn create(&self, who: &Caller, project: ProjectSlug) -> Result<AppDetail, AppError> {
        let id = ProjectId::new(self.now(), self.random());
        let mut tx = self.store().write().await?;
        projects::create_project(&mut tx, &who.tenant, &id, &project, self.now()).await.map_err(|e| {
            match e.unique_violation() {
                Some(_) => AppError::Conflict(format!(
                    "there is already an app `{project}`; choose another name, or deploy to that one"
                )),
                None => e.into(),
            }
        })?;
        let app = AppPath { project, environment: EnvironmentSlug::production() };
        self.insert_environment(tx, who, &id, &app).await?;
        self.detail(who, &app).await
    }

    /// Makes one more environment of a project.
    ///
    /// # Errors
    /// When there is no such project, or it has an environment of that name.
    pub async fn create_environment(
        &self,
        who: &Caller,
        project: &ProjectSlug,
        environment: EnvironmentSlug,
    ) -> Result<AppDetail, AppError> {
        let id = projects::project_id(self.store(), &who.tenant, project).await?;
        let id = id.ok_or_else(|| AppError::NotFound(format!("there is no app `{project}`")))?;
        let app = AppPath { project: project.clone(), environment };
        let tx = self.store().write().await?;
        self.insert_environment(tx, who, &id, &app).await?;
        self.detail(who, &app).await
    }

    async fn insert_environment(
        &self,
        mut tx: Write,
        who: &Caller,
        project: &ProjectId,
        app: &AppPath,
    ) -> Result<(), AppError> {
        let (now, id) = (self.now(), EnvironmentId::new(self.now(), self.random()));
        projects::create_environment(&mut tx, &who.tenant, project, &id, &app.environment, now).await.map_err(|e| {
            match e.unique_violation() {
                Some(_) => {
                    AppError::Conflict(format!("`{}` already has an environment `{}`", app.project, app.environment))
                }
                None => e.into(),
            }
        })?;
        let (_, primary) = members::key_of(self.store(), &who.tenant).await?;
        let host = default_host(&self.addresses().domain, primary, &who.slug, &app.project, &app.environment);
        let host: HostName =
            host.parse().map_err(|e| AppError::internal("the app's host name could not be made", e))?;
        let domain = Domain {
            id: DomainId::new(now, self.random()),
            environment_id: id,
            host: host.clone(),
            service: ServiceName::web(),
            is_default: true,
        };
        domains::add(&mut tx, &who.tenant, &domain, now).await.map_err(|e| taken(&host, e))?;
        tx.commit().await.map_err(StoreError::from)?;
        self.certificates_handle().nudge();
        self.scheduler().nudge();
        Ok(())
    }

    /// Everything about one app.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn detail(&self, who: &Caller, app: &AppPath) -> Result<AppDetail, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let hosts = domains::list(self.store(), &who.tenant, &environment.id).await?;
        let active = self.active(who, &environment).await?;
        let report = self.scheduler().report(&environment.id);
        let state = view::state(&environment, report.as_ref(), active.is_some());
        let domains: Vec<DomainView> = hosts.iter().map(|d| self.domain_view(d)).collect();
        let urls = if environment.serving_revision.is_some() {
            domains.iter().map(|d| d.url.clone()).collect()
        } else {
            Vec::new()
        };
        let given = ports::list(self.store(), &who.tenant, &environment.id).await?;
        Ok(AppDetail {
            ports: given.iter().map(|port| view::port(port, &self.addresses().domain)).collect(),
            tenant: who.slug.to_string(),
            project: environment.project.to_string(),
            environment: environment.slug.to_string(),
            state,
            urls,
            domains,
            git: self.addresses().git(&environment),
            deploy_branch: environment.deploy_branch.clone(),
            revision: environment.serving_revision,
            target_revision: environment.target_revision,
            config_version: environment.config_version,
            services: report.as_ref().map(view::services).unwrap_or_default(),
            rollout: report.as_ref().and_then(view::rollout),
            alarms: report.as_ref().map(|r| r.alarms.clone()).unwrap_or_default(),
            operation: active,
            created_at: environment.created_at.rfc3339(),
        })
    }

    /// Where an app answers first.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn primary_url(&self, who: &Caller, app: &AppPath) -> Result<Option<String>, AppError> {
        Ok(self.domains(who, app).await?.into_iter().next().map(|d| d.url))
    }

    /// Remembers which branch deploys, the first time one does.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remember_branch(
        &self,
        who: &Caller,
        environment: &EnvironmentId,
        branch: &str,
    ) -> Result<(), AppError> {
        let mut tx = self.store().write().await?;
        projects::set_deploy_branch(&mut tx, &who.tenant, environment, branch).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The operation that is changing the app now.
    pub(super) async fn active(
        &self,
        who: &Caller,
        environment: &Environment,
    ) -> Result<Option<OperationView>, AppError> {
        Ok(self.operations_handle().active(&who.tenant, &environment.id).await?.as_ref().map(view::operation))
    }

    fn domain_view(&self, domain: &Domain) -> DomainView {
        DomainView {
            host: domain.host.to_string(),
            service: domain.service.to_string(),
            url: self.addresses().url(domain.host.as_str()),
            is_default: domain.is_default,
            certificate: self.certificate_view(&domain.host),
        }
    }

    /// Removes an app with all it has; `confirm` must repeat its name (`shop`, `shop/staging`). Returns when it is gone.
    ///
    /// # Errors
    /// When the name was not repeated, or something else is changing the app.
    pub async fn destroy(&self, who: &Caller, app: &AppPath, confirm: &str) -> Result<OperationView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let name = environment.display_name();
        if confirm != name {
            return Err(AppError::invalid(
                "confirm",
                format!("to remove `{name}` with all it has, repeat its name: confirm={name}"),
            ));
        }
        let mut tx = self.store().write().await?;
        let new = self.new_operation(
            who,
            &environment,
            Kind::Destroy,
            phase::DESTROY,
            &Input::Destroy,
            DESTROY_DEADLINE_SECONDS,
        );
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        projects::mark_destroyed(&mut tx, &who.tenant, &environment.id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let id = operation.id.clone();
        self.deployer().launch(operation);
        let ended = self.operations_handle().wait(&who.tenant, &id).await?;
        if ended.state == State::Succeeded {
            return Ok(view::operation(&ended));
        }
        Err(AppError::Conflict(format!("`{name}` is not gone yet: {}", ended.summary.unwrap_or_default())))
    }

    /// The domains of an app, the platform's own first.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn domains(&self, who: &Caller, app: &AppPath) -> Result<Vec<DomainView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all = domains::list(self.store(), &who.tenant, &environment.id).await?;
        Ok(all.iter().map(|d| self.domain_view(d)).collect())
    }

    /// Adds a domain; it routes at once.
    ///
    /// # Errors
    /// When it is taken, belongs to the platform, or names a service the app does not have.
    pub async fn add_domain(
        &self,
        who: &Caller,
        app: &AppPath,
        host: HostName,
        service: Option<String>,
    ) -> Result<DomainView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let service: ServiceName = match service {
            Some(name) => name.parse().map_err(|e| AppError::invalid("service", format!("{e}")))?,
            None => ServiceName::web(),
        };
        let platform = &self.addresses().domain;
        if is_platform_host(platform, &host) {
            return Err(AppError::invalid(
                "host",
                format!("names below `{platform}` are given by the platform; use a domain of your own"),
            ));
        }
        if domains::list(self.store(), &who.tenant, &environment.id).await?.len() >= MOST_DOMAINS {
            return Err(AppError::Conflict(format!("this app has {MOST_DOMAINS} domains; remove some first")));
        }
        let id = DomainId::new(self.now(), self.random());
        let domain = Domain { id, environment_id: environment.id, host: host.clone(), service, is_default: false };
        let mut tx = self.store().write().await?;
        domains::add(&mut tx, &who.tenant, &domain, self.now()).await.map_err(|e| taken(&host, e))?;
        tx.commit().await.map_err(StoreError::from)?;
        self.certificates_handle().nudge();
        self.scheduler().nudge();
        Ok(self.domain_view(&domain))
    }

    /// Removes a domain; the platform's own one stays.
    ///
    /// # Errors
    /// When the app has no such domain, or it is the platform's own.
    pub async fn remove_domain(&self, who: &Caller, app: &AppPath, host: &HostName) -> Result<(), AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all = domains::list(self.store(), &who.tenant, &environment.id).await?;
        match all.iter().find(|d| d.host == *host) {
            None => return Err(AppError::NotFound(format!("this app has no domain `{host}`"))),
            Some(d) if d.is_default => {
                return Err(AppError::Conflict(format!(
                    "`{host}` is given by the platform and stays as long as the app"
                )));
            }
            Some(_) => {}
        }
        let mut tx = self.store().write().await?;
        domains::remove(&mut tx, &who.tenant, &environment.id, host).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.certificates_handle().nudge();
        self.scheduler().nudge();
        Ok(())
    }
}

fn taken(host: &HostName, error: StoreError) -> AppError {
    match error.unique_violation() {
        Some(_) => AppError::Conflict(format!("the domain `{host}` is in use already")),
        None => error.into(),
    }
}
