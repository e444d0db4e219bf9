//! Errors as the API says them: `application/problem+json` (RFC 9457).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Face, Refusal, Schemes};
use crate::apps::AppError;
use crate::kernel::error::chain;

/// The media type of errors.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// How the API takes credentials and shows refusals.
pub const FACE: Face = Face { schemes: Schemes::TokenOrSession, refuse };

/// What went wrong. `detail` is a sentence for people; `code` is a stable word for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:wharf:busy", "title": "Conflict", "status": 409, "code": "busy",
    "detail": "another operation is changing `shop` (deploy by ann@example.com); wait for it or cancel it",
}))]
pub struct ProblemBody {
    /// `urn:wharf:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    pub status: u16,
    pub code: String,
    pub detail: String,
    /// The field of the input that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Names the entry in the platform's log that holds the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_id: Option<String>,
}

/// An error on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<i64>,
    /// For the log only.
    cause: Option<Arc<str>>,
}

impl Problem {
    /// An error with these words.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None, retry_after: None, cause: None }
    }

    /// What was named is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// The request can be read, but a value of it is wrong.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        Self { field: Some(field.into()), ..problem }
    }

    /// The body is larger than what is taken.
    pub fn too_large(limit: u64) -> Self {
        let detail = format!("the body is larger than the limit of {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// The platform itself failed; the cause goes to the log.
    pub fn internal(detail: impl Into<String>, cause: impl Into<Arc<str>>) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
        Self { cause: Some(cause.into()), ..problem }
    }

    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The cause, for the log.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// What is sent.
    #[must_use]
    pub fn body(&self, error_id: Option<String>) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:wharf:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            error_id,
        }
    }

    /// The answer that says it.
    pub(super) fn render(&self, error_id: Option<String>) -> Response {
        let json = serde_json::to_vec(&self.body(error_id)).expect("an error is always representable as JSON");
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"wharf\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        if self.cause.is_some() {
            // The outer layer writes the cause to the log and the id of that entry into the answer.
            response.extensions_mut().insert(self);
        }
        response
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Self::new(status, error.code(), error.to_string());
        match &error {
            AppError::Invalid { field, .. } => Self { field: Some((*field).to_owned()), ..problem },
            AppError::TooManyFailures { seconds } => Self { retry_after: Some(*seconds), ..problem },
            AppError::Internal { .. } => Self { cause: Some(chain(&error).into()), ..problem },
            AppError::NotFound(_) | AppError::Conflict(_) | AppError::Busy(_) => problem,
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let problem = Self::new(refusal.status(), refusal.code(), refusal.to_string());
        match refusal {
            Refusal::TooManyFailures { seconds } => Self { retry_after: Some(*seconds), ..problem },
            Refusal::Failed(_) => Self { cause: Some(chain(refusal).into()), ..problem },
            _ => problem,
        }
    }
}

fn refuse(refusal: &Refusal, _: &Parts) -> Response {
    Problem::from(refusal).into_response()
}
