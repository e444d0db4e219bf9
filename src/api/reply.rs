//! Shapes of answers: pages of lists, and the last touches every answer gets.

use std::panic::AssertUnwindSafe;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::extract::Json;
use super::problem::Problem;
use crate::apps::OperationView;
use crate::kernel::random::Random;

/// Items of a page when the query does not say, and at most.
const PAGE: u32 = 200;
const LARGEST_PAGE: u32 = 1_000;
/// The largest answer that is read into memory to get an ETag, in bytes.
const TAGGED_LIMIT: u64 = 4 * 1024 * 1024;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// 201 with what was made.
pub(super) fn created<T>(made: T) -> (StatusCode, Json<T>) {
    (StatusCode::CREATED, Json(made))
}

/// 202 with the operation that goes on.
pub(super) type Accepted = (StatusCode, Json<OperationView>);

/// 202 with the operation that goes on.
pub(super) fn accepted(operation: OperationView) -> Accepted {
    (StatusCode::ACCEPTED, Json(operation))
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Items at most (1 to 1000; 200 when left out).
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    /// How many items, as a number that is good.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        match self.limit {
            None => Ok(PAGE),
            Some(n) if (1..=LARGEST_PAGE).contains(&n) => Ok(n),
            Some(n) => Err(Problem::invalid("limit", format!("`limit` is {n}; use 1 to {LARGEST_PAGE}"))),
        }
    }

    /// The key of the last item of the page before.
    pub(super) fn after(&self) -> Result<Option<String>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.and_then(|b| String::from_utf8(b).ok());
        key.map(Some).ok_or_else(|| Problem::invalid("cursor", "`cursor` is not one that a page before gave"))
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to get what follows; not there on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page a query asks for out of a whole list; `key` names an item uniquely within the list.
    pub(super) fn of(items: Vec<T>, paging: &Paging, key: impl Fn(&T) -> String) -> Result<Json<Self>, Problem> {
        let (limit, after) = (paging.limit()? as usize, paging.after()?);
        let start = match after {
            None => 0,
            // The item may have gone since: then what follows cannot be known, and the list begins anew.
            Some(after) => items.iter().position(|i| key(i) == after).map_or(0, |n| n + 1),
        };
        let more = items.len().saturating_sub(start) > limit;
        Ok(Self::cut(items.into_iter().skip(start).take(limit).collect(), more, key))
    }

    /// A page that was cut already; `more` says whether others follow.
    pub(super) fn cut(items: Vec<T>, more: bool, key: impl Fn(&T) -> String) -> Json<Self> {
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(key(item)));
        Json(Self { items, next_cursor })
    }
}

/// The outermost layer: panics become errors, internal errors get an id and go to the log, JSON answers to `GET` get
/// an ETag, and nothing is stored by caches.
pub(super) async fn finish(State(random): State<Random>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let wanted = request.headers().get(IF_NONE_MATCH).cloned();
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Problem::internal("the platform failed to answer this request", format!("panic: {text}")).into_response()
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let error_id = format!("err_{}", hex::encode(random.bytes::<8>()));
        tracing::error!(%error_id, %method, path, cause = problem.cause().unwrap_or(""), "a request failed");
        response = problem.render(Some(error_id));
    }
    if method == Method::GET && is_plain_json(&response) {
        response = tagged(response, wanted.as_ref()).await;
    }
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn is_plain_json(response: &Response) -> bool {
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|v| v == "application/json");
    let size = response.body().size_hint().exact();
    response.status() == StatusCode::OK && json && size.is_some_and(|n| n <= TAGGED_LIMIT)
}

async fn tagged(response: Response, wanted: Option<&HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::internal("the answer could not be made", "a body in memory failed").render(None);
    };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
    let same = wanted.and_then(|w| w.to_str().ok()).is_some_and(|w| matches(w, &tag));
    let headers: &mut HeaderMap = &mut parts.headers;
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if same {
        parts.status = StatusCode::NOT_MODIFIED;
        headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether `If-None-Match` names the tag, by weak comparison.
fn matches(wanted: &str, tag: &str) -> bool {
    wanted.split(',').map(str::trim).any(|w| w == "*" || w.strip_prefix("W/").unwrap_or(w) == tag)
}
