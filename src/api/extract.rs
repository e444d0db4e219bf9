//! Reading requests, with errors that say which field is wrong and where.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, RawPathParams, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The largest JSON body taken, in bytes.
const JSON_LIMIT: usize = 1024 * 1024;

/// A JSON body.
#[derive(Debug, Clone)]
pub(super) struct Json<T>(pub T);

/// The query of the URL.
#[derive(Debug, Clone)]
pub(super) struct Query<T>(pub T);

/// The last parameter of the path: an id, a host name, an e-mail address.
#[derive(Debug, Clone)]
pub(super) struct Item<T>(pub T);

/// The last two parameters of the path.
#[derive(Debug, Clone)]
pub(super) struct Pair<A, B>(pub A, pub B);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "send the body as JSON, with `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
        }
        Ok(Self(parse(&read(body).await?)?))
    }
}

/// For bodies that may be left out: an empty body is none, whatever its type is said to be.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

async fn read(body: Body) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, JSON_LIMIT).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|s| s.is::<http_body_util::LengthLimitError>()) {
            return Problem::too_large(JSON_LIMIT as u64);
        }
        Problem::malformed("the body ended before it was complete; send it again")
    })
}

/// Parses JSON; says the position of a syntax error, and the field of a wrong value.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            let field = if path == "." { "body".to_owned() } else { path };
            return Problem::invalid(field.clone(), format!("`{field}`: {inner}"));
        }
        Problem::malformed(format!("the body is not valid JSON: {inner}"))
    })?;
    json.end().map_err(|e| Problem::malformed(format!("the body holds more than one JSON value: {e}")))?;
    Ok(value)
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|q| Self(q.0)).map_err(|error| {
            // axum writes `…: field: reason`; only the end is about the request.
            let text = error.body_text();
            let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
            let field = text.split_once(": ").map_or("query", |(field, _)| field);
            Problem::invalid(field, format!("the query of the URL is wrong: {text}"))
        })
    }
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Item<T>
where
    T::Err: Display,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, &()).await.map_err(|e| Problem::malformed(e.to_string()))?;
        let text = params.iter().last().map_or("", |(_, value)| value);
        // What cannot exist is not there, like everything else that is not.
        text.parse().map(Self).map_err(|e| Problem::not_found(format!("there is no such thing: {e}")))
    }
}

impl<S, A, B> FromRequestParts<S> for Pair<A, B>
where
    S: Send + Sync,
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params =
            RawPathParams::from_request_parts(parts, &()).await.map_err(|e| Problem::malformed(e.to_string()))?;
        let all: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        let [.., first, second] = all.as_slice() else {
            return Err(Problem::not_found("there is no such thing"));
        };
        let nothing = |e: &dyn Display| Problem::not_found(format!("there is no such thing: {e}"));
        let first = first.parse().map_err(|e: A::Err| nothing(&e))?;
        Ok(Self(first, second.parse().map_err(|e: B::Err| nothing(&e))?))
    }
}
