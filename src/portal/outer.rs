//! The outermost layer and the refusals of the gate: whatever goes wrong, a person gets a page with a way out.

use std::panic::AssertUnwindSafe;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::PortalState;
use super::answer::{self, Failure};
use super::pages::error::ErrorPage;
use super::shell::Shell;
use super::visit::{FLASH_COOKIE, Visit, encode};
use crate::api::access::{Face, Refusal, Schemes};
use crate::api::problem::{MEDIA_TYPE, ProblemBody};
use crate::kernel::clock::Timestamp;

/// How the portal takes credentials and shows refusals.
pub(super) const FACE: Face = Face { schemes: Schemes::Session, refuse };

/// Scripts, styles and images of our own only; nothing inline, nothing from elsewhere, no frames around us.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Somebody unknown is sent to the log-in and comes back here afterwards; others get a page that says why not.
fn refuse(refusal: &Refusal, parts: &Parts) -> Response {
    let visit = Visit::of(parts);
    if refusal.status() == StatusCode::UNAUTHORIZED {
        let next = if parts.method == Method::GET && !visit.partial { visit.path.as_str() } else { "/" };
        let login = if next == "/" { "/login".to_owned() } else { format!("/login?next={}", encode(next)) };
        return if visit.partial {
            (StatusCode::UNAUTHORIZED, [("hx-redirect", login)]).into_response()
        } else {
            answer::go(&login).unwrap_or_else(IntoResponse::into_response)
        };
    }
    let message = match refusal {
        Refusal::Failed(error) => return Failure::internal(crate::kernel::error::chain(error)).into_response(),
        Refusal::NotFound(_) => None,
        other => Some(other.to_string()),
    };
    Failure { status: refusal.status(), message, cause: None }.into_response()
}

/// Failures and panics become pages, internal ones get an id and go to the log; every answer gets its headers.
pub(super) async fn finish(State(portal): State<PortalState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(&parts);
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let mut response = match AssertUnwindSafe(next.run(Request::from_parts(parts, body))).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Failure::internal(format!("panic: {text}")).into_response()
        }
    };
    if let Some(failure) = failure_of(&mut response).await {
        let error_id = failure.cause.as_ref().map(|cause| {
            let error_id = format!("err_{}", hex::encode(portal.random.bytes::<8>()));
            tracing::error!(%error_id, %method, path, %cause, "a page failed");
            error_id
        });
        let page = page(&visit, portal.clock.now(), &failure, error_id);
        // What the gate noted on its refusal stays.
        let (head, _) = response.into_parts();
        let mut made = answer::with_status(failure.status, &page).unwrap_or_else(IntoResponse::into_response);
        made.extensions_mut().extend(head.extensions);
        response = made;
    }
    let shown = response.status().is_success() && is_html(&response) && !visit.partial;
    if visit.flash.is_some() && shown {
        answer::set_cookie(&mut response, &visit, FLASH_COOKIE, "", 0);
    }
    secure(&mut response);
    response
}

/// The failure a handler or an extractor gave, if it did.
async fn failure_of(response: &mut Response) -> Option<Failure> {
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        return Some(failure);
    }
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != MEDIA_TYPE) {
        return None;
    }
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let bytes = to_bytes(body, 1 << 16).await.unwrap_or_default();
    let problem: Option<ProblemBody> = serde_json::from_slice(&bytes).ok();
    Some(Failure { status: response.status(), message: problem.map(|p| p.detail), cause: None })
}

fn page(visit: &Visit, now: Timestamp, failure: &Failure, error_id: Option<String>) -> ErrorPage {
    let shell = Shell::stranger(visit, now);
    let general = match failure.status.as_u16() {
        404 => "error.not_found_text",
        403 => "error.forbidden_text",
        _ => "error.internal_text",
    };
    let message = failure.message.clone().unwrap_or_else(|| shell.t(general).to_owned());
    ErrorPage { message, status: failure.status.as_u16(), shell, error_id }
}

fn is_html(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn secure(response: &mut Response) {
    let html = is_html(response);
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
        headers.insert(
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
        );
    }
}
