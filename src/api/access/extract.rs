//! What handlers may know about their caller, tied to what their route declares.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::rules::{Known, Scope, Within};
use crate::api::problem::Problem;
use crate::apps::{AppPath, Caller};
use crate::tenancy::access::Principal;

/// The room's state.
#[derive(Debug, Clone, Copy)]
pub struct State<S>(pub S);

/// Who calls. Exists only on routes that require a credential.
#[derive(Debug, Clone)]
pub struct Me(pub Principal);

/// Who calls, inside the tenant of the path and with the permission of the route.
#[derive(Debug, Clone)]
pub struct In(pub Caller);

/// The app that `{project}` and `{environment}` of the path name. It need not exist.
#[derive(Debug, Clone)]
pub struct App(pub AppPath);

/// The address of the client, as our own ingress saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress(pub String);

/// The gate notes the caller before any handler runs, so this is a mistake of ours and never the caller's.
fn not_noted() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

impl<D: Send + Sync + 'static, S: Clone + Send + Sync> FromRequestParts<Scope<D, S>> for State<S> {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(_: &mut Parts, scope: &Scope<D, S>) -> Result<Self, Self::Rejection> {
        Ok(Self(scope.state.clone()))
    }
}

impl<D: Known, S: Send + Sync> FromRequestParts<Scope<D, S>> for Me {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &Scope<D, S>) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_noted)
    }
}

impl<S: Send + Sync> FromRequestParts<Scope<Within, S>> for In {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &Scope<Within, S>) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_noted)
    }
}

impl<S: Send + Sync> FromRequestParts<Scope<Within, S>> for App {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Scope<Within, S>) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, &()).await.map_err(|e| Problem::malformed(e.to_string()))?;
        let text = |name: &str| params.iter().find(|(n, _)| *n == name).map(|(_, value)| value);
        let project = text("project").unwrap_or_default();
        // Pages of the portal may leave the environment out.
        let environment = text("environment").unwrap_or("production");
        match (project.parse(), environment.parse()) {
            (Ok(project), Ok(environment)) => Ok(Self(AppPath { project, environment })),
            // A name that cannot exist is not there, like every other one that is not.
            (Err(e), _) | (_, Err(e)) => Err(Problem::not_found(format!("there is no such app: {e}"))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(client_address(&parts.headers)))
    }
}

/// The last hop of `X-Forwarded-For`: what our own ingress wrote. What stands before it was written by the client.
/// Without the header somebody on the machine itself uses the socket: they are `local`.
pub(super) fn client_address(headers: &HeaderMap) -> String {
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|v| v.to_str().ok());
    let hop = last.and_then(|v| v.rsplit(',').next()).map(str::trim).filter(|v| !v.is_empty());
    hop.unwrap_or("local").to_owned()
}
