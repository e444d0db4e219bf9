//! Whether a browser was made to send a request by a page that is not ours. Pure.
//!
//! A cookie travels with every request a browser makes, whoever asked for it. So a request with a session that changes
//! something, or opens a WebSocket, must come from our own pages; and one that changes something must carry the
//! session's CSRF token too, in a header or in a form's field.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, Method};
use subtle::ConstantTimeEq;

/// The header that carries the session's CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// The form field that carries it where a page sends a plain form.
pub const CSRF_FIELD: &str = "csrf_token";

/// Where a request comes from, as the browser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// One of our own pages, or the person themselves (address bar).
    Same,
    /// Another site's page.
    Foreign,
    /// Nothing was said: no browser, or a very old one.
    Unsaid,
}

/// Whether a method is meant to change something.
pub(super) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the request asks for another protocol, such as WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// Reads `Sec-Fetch-Site`, or else compares `Origin` with the host that was asked.
pub(super) fn origin(headers: &HeaderMap) -> Origin {
    if let Some(site) = headers.get("sec-fetch-site") {
        return match site.as_bytes() {
            b"same-origin" | b"none" => Origin::Same,
            _ => Origin::Foreign,
        };
    }
    let Some(origin) = headers.get(ORIGIN) else { return Origin::Unsaid };
    let same =
        origin.to_str().ok().zip(headers.get(HOST).and_then(|h| h.to_str().ok())).is_some_and(|(origin, host)| {
            let (rest, port) = match origin.split_once("://") {
                Some(("http", rest)) => (rest, ":80"),
                Some(("https", rest)) => (rest, ":443"),
                _ => return false,
            };
            let plain = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
            plain(rest) == plain(host)
        });
    if same { Origin::Same } else { Origin::Foreign }
}

/// Whether the token sent is the session's; takes the same time whatever is sent.
pub(super) fn token_matches(sent: &[u8], session: &str) -> bool {
    !session.is_empty() && bool::from(sent.ct_eq(session.as_bytes()))
}
