//! The architecture of an app: what differs between its revisions, its volumes, its secrets.

use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Item, Json, Query};
use super::problem::Problem;
use super::reply::{Page, Paging};
use super::routes::APP;
use crate::apps::{DiffView, SecretValue, SecretView, VolumeView};

/// Which revisions are compared.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    from: i64,
    to: i64,
}

/// Compare two revisions.
#[utoipa::path(get, context_path = APP, path = "/diff", tag = "releases", params(Between),
    responses((status = 200, description = "What leads from one to the other", body = DiffView)))]
pub(super) async fn diff(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(between): Query<Between>,
) -> Result<Json<DiffView>, Problem> {
    Ok(Json(api.apps.diff(&caller, &app, between.from, between.to).await?))
}

/// List the volumes.
#[utoipa::path(get, context_path = APP, path = "/volumes", tag = "operate", params(Paging),
    responses((status = 200, description = "The volumes with their sizes", body = Page<VolumeView>)))]
pub(super) async fn volumes(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<VolumeView>>, Problem> {
    Page::of(api.apps.volumes(&caller, &app).await?, &paging, |v| v.name.clone())
}

/// List the secrets, without their values.
#[utoipa::path(get, context_path = APP, path = "/secrets", tag = "configuration", params(Paging),
    responses((status = 200, description = "The newest version of each secret", body = Page<SecretView>)))]
pub(super) async fn secrets(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SecretView>>, Problem> {
    Page::of(api.apps.secrets(&caller, &app).await?, &paging, |s| s.name.clone())
}

/// Set a secret.
///
/// Stores its next version. The next deploy takes it; revisions that name an older version keep that one.
#[utoipa::path(put, context_path = APP, path = "/secrets/{name}", tag = "configuration", request_body = SecretValue,
    responses((status = 200, description = "The new version", body = SecretView)))]
pub(super) async fn set_secret(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
    Json(secret): Json<SecretValue>,
) -> Result<Json<SecretView>, Problem> {
    Ok(Json(api.apps.set_secret(&caller, &app, &name, Some(secret.value)).await?))
}

/// Remove a secret.
///
/// Deploys that ask for it are refused from now on; what runs keeps it.
#[utoipa::path(delete, context_path = APP, path = "/secrets/{name}", tag = "configuration",
    responses((status = 204, description = "It has no value any more")))]
pub(super) async fn remove_secret(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
) -> Result<StatusCode, Problem> {
    api.apps.set_secret(&caller, &app, &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
