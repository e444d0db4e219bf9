//! The platform itself: its health, its description, its tenants and people.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::ApiState;
use super::access::{Me, State};
use super::extract::Json;
use super::model::{Health, NewTenant, TenantView, UserView};
use super::problem::Problem;
use super::reply::created;
use super::routes::BASE;
use super::system::SystemView;
use crate::apps::NewPerson;
use crate::tenancy::roles::Role;

/// Is the control plane up?
#[utoipa::path(get, context_path = BASE, path = "/health", tag = "platform",
    responses((status = 200, description = "It answers", body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// This description.
#[utoipa::path(get, context_path = BASE, path = "/openapi.json", tag = "platform",
    responses((status = 200, description = "The API in OpenAPI 3.1", body = Object)))]
pub(super) async fn description(State(api): State<ApiState>) -> Response {
    let document = api.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// The JSON Schema of the manifest.
///
/// Name it in an editor, and it completes and checks Compose files with `x-wharf`.
#[utoipa::path(get, context_path = BASE, path = "/schemas/compose.json", tag = "platform",
    responses((status = 200, description = "A JSON Schema (2020-12)", body = Object)))]
pub(super) async fn manifest_schema() -> Json<serde_json::Value> {
    Json(crate::stack::compose::schema())
}

/// No such path.
pub(super) async fn unknown() -> Problem {
    Problem::not_found("the API has no such path; GET /api/v1/openapi.json describes all it has")
}

/// A path that exists, asked with another method.
pub(super) async fn wrong_method() -> Problem {
    let detail = "this path exists, but not with this method; the Allow header names those it has";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// The state of the platform.
#[utoipa::path(get, context_path = BASE, path = "/system", tag = "platform",
    responses((status = 200, description = "Engine, ingress, builds and disk", body = SystemView)))]
pub(super) async fn system(State(api): State<ApiState>) -> Result<Json<SystemView>, Problem> {
    Ok(Json(api.system.system().await?))
}

/// Make an organisation.
///
/// Whoever makes it becomes its owner.
#[utoipa::path(post, context_path = BASE, path = "/tenants", tag = "platform", request_body = NewTenant,
    responses((status = 201, description = "The organisation", body = TenantView)))]
pub(super) async fn create_tenant(
    State(api): State<ApiState>,
    Me(who): Me,
    Json(new): Json<NewTenant>,
) -> Result<(StatusCode, Json<TenantView>), Problem> {
    api.apps.create_tenant(&who, new.slug.clone(), &new.name).await?;
    let name = if new.name.trim().is_empty() { new.slug.to_string() } else { new.name.trim().to_owned() };
    Ok(created(TenantView { slug: new.slug.to_string(), name, role: Role::Owner }))
}

/// Make a person.
///
/// They can log in at once and belong nowhere until an owner makes them a member.
#[utoipa::path(post, context_path = BASE, path = "/people", tag = "platform", request_body = NewPerson,
    responses((status = 201, description = "The person", body = UserView)))]
pub(super) async fn create_person(
    State(api): State<ApiState>,
    Me(who): Me,
    Json(new): Json<NewPerson>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let (email, name) = (new.email.trim().to_owned(), new.name.trim().to_owned());
    let id = api.apps.create_person(&who, new).await?.to_string();
    Ok(created(UserView { id, email, name, operator: false }))
}
