//! What a request shows to say who sends it. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// The name of the cookie that holds a browser session.
pub const SESSION_COOKIE: &str = "wharf_session";

/// Which credentials a face takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemes {
    /// `Authorization: Bearer` with an API token, else the session cookie.
    TokenOrSession,
    /// The session cookie only.
    Session,
    /// `Authorization: Basic` with an API token as the password (what git sends); the user name is not looked at.
    BasicToken,
}

/// A credential as it was sent, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// An `Authorization` header this face cannot use.
    Unusable,
    Token(String),
    Session(String),
}

/// Reads the credential of a request. An `Authorization` header is never ignored in favour of a cookie.
pub(super) fn shown(headers: &HeaderMap, schemes: Schemes) -> Shown {
    if schemes != Schemes::Session
        && let Some(value) = headers.get(AUTHORIZATION)
    {
        return value.to_str().ok().and_then(|text| authorization(text, schemes)).unwrap_or(Shown::Unusable);
    }
    if schemes == Schemes::BasicToken {
        return Shown::Nothing;
    }
    cookie(headers, SESSION_COOKIE).map_or(Shown::Nothing, Shown::Session)
}

fn authorization(text: &str, schemes: Schemes) -> Option<Shown> {
    let (scheme, value) = text.split_once(' ')?;
    let value = value.trim();
    match schemes {
        Schemes::TokenOrSession if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() => {
            Some(Shown::Token(value.to_owned()))
        }
        Schemes::BasicToken if scheme.eq_ignore_ascii_case("basic") => {
            let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
            let (_, password) = decoded.split_once(':')?;
            (!password.is_empty()).then(|| Shown::Token(password.to_owned()))
        }
        _ => None,
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
    found.next().map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}
