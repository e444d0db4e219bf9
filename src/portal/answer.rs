//! Shapes of answers: pages, redirects with a word about what was done, and failures.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};

use super::visit::{FLASH_COOKIE, Visit};
use crate::apps::AppError;
use crate::kernel::error::chain;

/// What a handler gives.
pub(crate) type Answer = Result<Response, Failure>;

/// Why there is no page; the outermost layer makes the page that says so.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub status: StatusCode,
    /// A sentence for people; the general one for this status when there is none.
    pub message: Option<String>,
    /// For the log only.
    pub cause: Option<Arc<str>>,
}

impl Failure {
    /// There is no such page.
    pub(crate) fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: None, cause: None }
    }

    /// The platform itself failed.
    pub(crate) fn internal(cause: impl Into<Arc<str>>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: None, cause: Some(cause.into()) }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        if let AppError::Internal { .. } = &error {
            return Self::internal(chain(&error));
        }
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, message: Some(error.to_string()), cause: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A page, or a part of one.
pub(crate) fn html(page: &impl Template) -> Answer {
    with_status(StatusCode::OK, page)
}

/// The page with its form again, and what is wrong with it.
pub(crate) fn refused(page: &impl Template) -> Answer {
    with_status(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// A page with a status of its own.
pub(crate) fn with_status(status: StatusCode, page: &impl Template) -> Answer {
    let text = page.render().map_err(|error| Failure::internal(format!("a page could not be rendered: {error}")))?;
    Ok((status, Html(text)).into_response())
}

/// On to another page.
pub(crate) fn go(path: &str) -> Answer {
    let location = HeaderValue::from_str(path).map_err(|_| Failure::not_found())?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

/// On to another page, which says what was done.
pub(crate) fn go_and_say(path: &str, visit: &Visit, flash: &str) -> Answer {
    let mut response = go(path)?;
    set_cookie(&mut response, visit, FLASH_COOKIE, flash, 30);
    Ok(response)
}

/// Sets a cookie for the whole portal; zero seconds remove it.
pub(crate) fn set_cookie(response: &mut Response, visit: &Visit, name: &str, value: &str, seconds: u32) {
    let secure = if visit.secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
