//! What the ingress does on an app's hosts, and on the platform as a whole.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Json, Query};
use super::problem::Problem;
use super::reply::{Page, Paging};
use super::routes::{APP, BASE};
use crate::apps::{DrainOrder, GatewayView, LogLevelView, MatchQuery, PurgeOrder, RouteTraffic};
use crate::gateway::model::{Platform, Settings};
use crate::kernel::name::HostName;

/// For which host.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OnHost {
    /// One of the app's domains; left out: all of them.
    #[param(value_type = Option<String>)]
    pub host: Option<HostName>,
}

/// Look at the gateway settings of an app.
#[utoipa::path(get, context_path = APP, path = "/gateway", tag = "gateway",
    responses((status = 200, description = "What was set, and what applies on each host", body = GatewayView)))]
pub(super) async fn show(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
) -> Result<Json<GatewayView>, Problem> {
    Ok(Json(api.apps.gateway(&caller, &app).await?))
}

/// Change the gateway settings of an app, or of one of its hosts.
///
/// A JSON merge patch (RFC 7396): what is named is set, `null` takes away. It takes effect at once, without a deploy.
#[utoipa::path(patch, context_path = APP, path = "/gateway", tag = "gateway", params(OnHost), request_body = Settings,
    responses((status = 200, description = "As it is now", body = GatewayView)))]
pub(super) async fn change(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(on): Query<OnHost>,
    Json(change): Json<Value>,
) -> Result<Json<GatewayView>, Problem> {
    Ok(Json(api.apps.change_gateway(&caller, &app, on.host.as_ref(), change).await?))
}

/// What came in on an app's routes.
///
/// Counted by the ingress since it started.
#[utoipa::path(get, context_path = APP, path = "/gateway/routes", tag = "gateway", params(Paging),
    responses((status = 200, description = "Requests, how they ended and how long they took", body = Page<RouteTraffic>)))]
pub(super) async fn traffic(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RouteTraffic>>, Problem> {
    Page::of(api.apps.app_traffic(&caller, &app).await?, &paging, |t| t.route.clone())
}

/// Look at the settings of the whole data plane.
#[utoipa::path(get, context_path = BASE, path = "/gateway", tag = "platform", operation_id = "show_gateway",
    responses((status = 200, description = "What was set", body = Platform)))]
pub(super) async fn show_platform(State(api): State<ApiState>) -> Result<Json<Platform>, Problem> {
    Ok(Json(api.apps.platform_gateway().await?))
}

/// Change the settings of the whole data plane.
///
/// A JSON merge patch (RFC 7396). `defaults` holds what apps have that say nothing else.
#[utoipa::path(patch, context_path = BASE, path = "/gateway", tag = "platform", operation_id = "change_gateway",
    request_body = Platform, responses((status = 200, description = "As it is now", body = Platform)))]
pub(super) async fn change_platform(
    State(api): State<ApiState>,
    Json(change): Json<Value>,
) -> Result<Json<Platform>, Problem> {
    Ok(Json(api.apps.change_platform_gateway(change).await?))
}

/// What came in on every route.
#[utoipa::path(get, context_path = BASE, path = "/gateway/routes", tag = "platform", params(Paging),
    operation_id = "gateway_routes",
    responses((status = 200, description = "Requests, how they ended and how long they took", body = Page<RouteTraffic>)))]
pub(super) async fn every_traffic(
    State(api): State<ApiState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RouteTraffic>>, Problem> {
    Page::of(api.apps.traffic().await?, &paging, |t| t.route.clone())
}

/// The state of the ingress: connections, upstreams, counters.
#[utoipa::path(get, context_path = BASE, path = "/gateway/status", tag = "platform", operation_id = "gateway_status",
    responses((status = 200, description = "As the ingress says it", body = Object)))]
pub(super) async fn status(State(api): State<ApiState>) -> Result<Json<Value>, Problem> {
    Ok(Json(api.apps.data_plane_status().await?))
}

/// The route table in use.
///
/// Without private keys and password hashes.
#[utoipa::path(get, context_path = BASE, path = "/gateway/table", tag = "platform", operation_id = "gateway_table",
    responses((status = 200, description = "A snapshot as the ingress holds it", body = Object)))]
pub(super) async fn table(State(api): State<ApiState>) -> Result<Json<Value>, Problem> {
    Ok(Json(api.apps.data_plane_table().await?))
}

/// What a route table would change.
///
/// Nothing is changed. Without a body: what the control plane's newest table would change in the one in use.
#[utoipa::path(post, context_path = BASE, path = "/gateway/diff", tag = "platform", operation_id = "gateway_diff",
    request_body(content = Option<Object>),
    responses((status = 200, description = "Routes added, removed and changed", body = Object)))]
pub(super) async fn diff(State(api): State<ApiState>, table: Option<Json<Value>>) -> Result<Json<Value>, Problem> {
    Ok(Json(api.apps.data_plane_diff(table.map(|Json(table)| table)).await?))
}

/// Which route would take a request?
#[utoipa::path(get, context_path = BASE, path = "/gateway/match", tag = "platform", operation_id = "gateway_match",
    params(MatchQuery), responses((status = 200, description = "The route", body = Object)))]
pub(super) async fn find(State(api): State<ApiState>, Query(query): Query<MatchQuery>) -> Result<Json<Value>, Problem> {
    Ok(Json(api.apps.data_plane_match(&query).await?))
}

/// Take an upstream out of traffic, or put it back.
///
/// It holds until undone, or until the upstream leaves the table. Requests under way end.
#[utoipa::path(post, context_path = BASE, path = "/gateway/drain", tag = "platform", operation_id = "gateway_drain",
    request_body = DrainOrder, responses((status = 204, description = "It is done")))]
pub(super) async fn drain(State(api): State<ApiState>, Json(order): Json<DrainOrder>) -> Result<StatusCode, Problem> {
    api.apps.drain_upstream(&order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have the ingress forget something: idle connections, passwords that passed, limits used up, ejections.
#[utoipa::path(post, context_path = BASE, path = "/gateway/purge", tag = "platform", operation_id = "gateway_purge",
    request_body = PurgeOrder, responses((status = 204, description = "It is done")))]
pub(super) async fn purge(State(api): State<ApiState>, Json(order): Json<PurgeOrder>) -> Result<StatusCode, Problem> {
    api.apps.purge_data_plane(&order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What does the ingress write to its log?
#[utoipa::path(get, context_path = BASE, path = "/gateway/log-level", tag = "platform", operation_id = "gateway_log_level",
    responses((status = 200, description = "The filter", body = LogLevelView)))]
pub(super) async fn log_level(State(api): State<ApiState>) -> Result<Json<LogLevelView>, Problem> {
    Ok(Json(api.apps.data_plane_log_level().await?))
}

/// Change what the ingress writes to its log, until it starts anew.
#[utoipa::path(put, context_path = BASE, path = "/gateway/log-level", tag = "platform",
    operation_id = "set_gateway_log_level", request_body = LogLevelView,
    responses((status = 200, description = "The filter", body = LogLevelView)))]
pub(super) async fn set_log_level(
    State(api): State<ApiState>,
    Json(level): Json<LogLevelView>,
) -> Result<Json<LogLevelView>, Problem> {
    Ok(Json(api.apps.set_data_plane_log_level(&level).await?))
}
