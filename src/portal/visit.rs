//! What a request says about the browser that sent it: language, theme, where it is, what it was told last.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use super::i18n::Language;
use super::shell::Theme;

/// The cookies of the portal beside the session's.
pub(super) const LANGUAGE_COOKIE: &str = "wharf_language";
pub(super) const THEME_COOKIE: &str = "wharf_theme";
pub(super) const FLASH_COOKIE: &str = "wharf_flash";

/// Who asks from where, as far as headers tell.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub language: Language,
    pub theme: Theme,
    /// Path and query of this page.
    pub path: String,
    /// `https://wharf.example.net`: where the browser reaches us.
    pub origin: String,
    pub secure: bool,
    /// Sent by htmx for a part of a page.
    pub partial: bool,
    /// The key of the sentence to show once.
    pub flash: Option<String>,
    pub user_agent: String,
}

impl Visit {
    /// Reads the head of a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let secure = text("x-forwarded-proto") == "https";
        let host = if text("host").is_empty() { parts.uri.host().unwrap_or("localhost") } else { text("host") };
        let language = cookie(&parts.headers, LANGUAGE_COOKIE).and_then(Language::from_tag);
        Self {
            language: language.unwrap_or_else(|| Language::from_header(text("accept-language"))),
            theme: cookie(&parts.headers, THEME_COOKIE).and_then(Theme::from_word).unwrap_or(Theme::Auto),
            path: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            origin: format!("{}://{host}", if secure { "https" } else { "http" }),
            secure,
            partial: parts.headers.contains_key("hx-request"),
            flash: cookie(&parts.headers, FLASH_COOKIE).filter(|key| is_flash(key)).map(str::to_owned),
            user_agent: text(header::USER_AGENT.as_str()).to_owned(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// Only our own sentences are shown.
fn is_flash(key: &str) -> bool {
    key.starts_with("flash.") && Language::English.text(key).is_some()
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// A path of this portal to go to, or `/` for anything else: no other site may use us to send people somewhere.
pub(super) fn local(path: &str) -> &str {
    let inside = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t']);
    if inside { path } else { "/" }
}

/// Text as part of a query.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_portal_are_gone_to() {
        for good in ["/", "/t/acme?x=1", "/t/acme/shop/production/logs#x"] {
            assert_eq!(local(good), good);
        }
        for bad in
            ["", "t/acme", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/\nx"]
        {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn a_query_keeps_what_is_written() {
        assert_eq!(encode("/t/acme?show=1&x=ä"), "/t/acme%3Fshow%3D1%26x%3D%C3%A4");
    }

    #[test]
    fn a_request_tells_language_theme_and_origin() {
        let request = http::Request::get("/t/acme?x=1")
            .header("host", "wharf.example.net")
            .header("x-forwarded-proto", "https")
            .header("accept-language", "zh-CN")
            .header("cookie", "a=b; wharf_theme=dark; wharf_flash=flash.saved")
            .body(())
            .expect("a request");
        let visit = Visit::of(&request.into_parts().0);
        assert_eq!((visit.language, visit.theme), (Language::Chinese, Theme::Dark));
        assert_eq!((visit.origin.as_str(), visit.path.as_str()), ("https://wharf.example.net", "/t/acme?x=1"));
        assert_eq!(visit.flash.as_deref(), Some("flash.saved"));
    }
}
