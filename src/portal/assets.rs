//! The files of `static/`, carried in the binary and served so that a browser asks for each only once.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// One fingerprint for the whole set: files may name each other relatively, and any change renews all their addresses.
static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in &names {
        hash.update(name.as_bytes());
        if let Some(file) = Files::get(name) {
            hash.update(file.metadata.sha256_hash());
        }
    }
    hex::encode(&hash.finalize()[..8])
});

/// The address of a file of `static/`.
#[must_use]
pub(crate) fn url(name: &str) -> String {
    format!("/static/{}/{name}", *FINGERPRINT)
}

/// The names of all files, for the test that every page's links lead somewhere.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    Files::iter().map(|name| name.to_string()).collect()
}

/// Answers `GET /static/{fingerprint}/{name}`. Only the present fingerprint may be kept for ever;
/// a page of an older binary gets today's file, to be asked for again.
pub(super) fn serve(fingerprint: &str, name: &str, request: &HeaderMap) -> Response<Body> {
    let Some(file) = Files::get(name) else {
        return plain(StatusCode::NOT_FOUND, "there is no such file");
    };
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..8]));
    let keep = if fingerprint == *FINGERPRINT { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let kind = mime_guess::from_path(name).first_or_octet_stream().to_string();

    let mut response =
        if unchanged { Response::new(Body::empty()) } else { Response::new(Body::from(file.data.into_owned())) };
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    for (name, value) in [(header::ETAG, tag), (header::CONTENT_TYPE, kind)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
