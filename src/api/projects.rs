//! Apps: making them, looking at them, taking them away; their configuration and domains.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Item, Json, Query};
use super::model::{NewDomain, NewEnvironment, NewProject};
use super::problem::Problem;
use super::reply::{Accepted, Page, Paging, accepted, created};
use super::routes::{APP, TENANT};
use crate::apps::{AppDetail, AppSummary, ConfigChange, ConfigOutcome, ConfigView, DomainView, OperationView};
use crate::kernel::name::{HostName, ProjectSlug};

/// The project of the path.
pub(super) struct InProject(ProjectSlug);

impl<S: Send + Sync> FromRequestParts<S> for InProject {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params = axum::extract::RawPathParams::from_request_parts(parts, &()).await;
        let params = params.map_err(|e| Problem::malformed(e.to_string()))?;
        let name = params.iter().find(|(n, _)| *n == "project").map_or("", |(_, value)| value);
        name.parse().map(Self).map_err(|e| Problem::not_found(format!("there is no such app: {e}")))
    }
}

/// List the apps.
#[utoipa::path(get, context_path = TENANT, path = "/projects", tag = "apps", params(Paging),
    responses((status = 200, description = "All environments of all projects, by name", body = Page<AppSummary>)))]
pub(super) async fn list(
    State(api): State<ApiState>,
    In(caller): In,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<AppSummary>>, Problem> {
    Page::of(api.apps.list(&caller).await?, &paging, |a| format!("{}/{}", a.project, a.environment))
}

/// Make a project.
///
/// It gets the environment `production` and a host name below the platform's domain.
#[utoipa::path(post, context_path = TENANT, path = "/projects", tag = "apps", request_body = NewProject,
    responses((status = 201, description = "The app", body = AppDetail)))]
pub(super) async fn create(
    State(api): State<ApiState>,
    In(caller): In,
    Json(new): Json<NewProject>,
) -> Result<(StatusCode, Json<AppDetail>), Problem> {
    Ok(created(api.apps.create(&caller, new.name).await?))
}

/// Make one more environment of a project.
#[utoipa::path(post, context_path = TENANT, path = "/projects/{project}/environments", tag = "apps",
    request_body = NewEnvironment, responses((status = 201, description = "The app", body = AppDetail)))]
pub(super) async fn create_environment(
    State(api): State<ApiState>,
    In(caller): In,
    InProject(project): InProject,
    Json(new): Json<NewEnvironment>,
) -> Result<(StatusCode, Json<AppDetail>), Problem> {
    Ok(created(api.apps.create_environment(&caller, &project, new.name).await?))
}

/// Look at an app.
#[utoipa::path(get, context_path = APP, path = "", tag = "apps",
    responses((status = 200, description = "Everything about it that fits a page", body = AppDetail)))]
pub(super) async fn detail(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
) -> Result<Json<AppDetail>, Problem> {
    Ok(Json(api.apps.detail(&caller, &app).await?))
}

/// The name again, to be sure.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Confirm {
    /// The app's name: `shop`, or `shop/staging` away from production.
    #[param(required = true)]
    confirm: Option<String>,
}

/// Remove an app with all it has.
#[utoipa::path(delete, context_path = APP, path = "", tag = "apps", params(Confirm),
    responses((status = 202, description = "It is being removed", body = OperationView)))]
pub(super) async fn destroy(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(query): Query<Confirm>,
) -> Result<Accepted, Problem> {
    let confirm = query.confirm.ok_or_else(|| {
        Problem::invalid("confirm", "removing an app cannot be undone; repeat its name in the query as `confirm=NAME`")
    })?;
    Ok(accepted(api.apps.destroy(&caller, &app, &confirm).await?))
}

/// Read the configuration with its values.
#[utoipa::path(get, context_path = APP, path = "/config", tag = "configuration",
    responses((status = 200, description = "The environment variables", body = ConfigView)))]
pub(super) async fn config(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
) -> Result<Json<ConfigView>, Problem> {
    Ok(Json(api.apps.config(&caller, &app).await?))
}

/// Read the names of the configuration.
#[utoipa::path(get, context_path = APP, path = "/config/names", tag = "configuration", params(Paging),
    responses((status = 200, description = "The names of the environment variables", body = Page<String>)))]
pub(super) async fn config_names(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<String>>, Problem> {
    Page::of(api.apps.config_names(&caller, &app).await?, &paging, Clone::clone)
}

/// Change the configuration.
///
/// The change rolls out to the instances unless `no_restart` is set.
#[utoipa::path(patch, context_path = APP, path = "/config", tag = "configuration",
    request_body(content = ConfigChange, example = json!({"set": {"GREETING": "hello"}, "unset": ["OLD"]})),
    responses((status = 202, description = "The new version, and the operation that brings it to the instances",
        body = ConfigOutcome)))]
pub(super) async fn change_config(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Json(change): Json<ConfigChange>,
) -> Result<(StatusCode, Json<ConfigOutcome>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(api.apps.change_config(&caller, &app, change).await?)))
}

/// List the domains.
#[utoipa::path(get, context_path = APP, path = "/domains", tag = "domains", params(Paging),
    responses((status = 200, description = "The host names of the app", body = Page<DomainView>)))]
pub(super) async fn domains(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<DomainView>>, Problem> {
    Page::of(api.apps.domains(&caller, &app).await?, &paging, |d| d.host.clone())
}

/// Add a domain.
#[utoipa::path(post, context_path = APP, path = "/domains", tag = "domains", request_body = NewDomain,
    responses((status = 201, description = "It leads to the app at once", body = DomainView)))]
pub(super) async fn add_domain(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Json(new): Json<NewDomain>,
) -> Result<(StatusCode, Json<DomainView>), Problem> {
    Ok(created(api.apps.add_domain(&caller, &app, new.host, new.service).await?))
}

/// Remove a domain.
#[utoipa::path(delete, context_path = APP, path = "/domains/{host}", tag = "domains",
    responses((status = 204, description = "It leads nowhere any more")))]
pub(super) async fn remove_domain(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(host): Item<HostName>,
) -> Result<StatusCode, Problem> {
    api.apps.remove_domain(&caller, &app, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}
