//! The portal over a real database, and a browser without a screen.

use std::collections::BTreeMap;
use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt as _;

use super::html::Document;
use crate::api::access::{Guard, Mounted};
use crate::apps::testing::over_fake_engine;
use crate::kernel::clock::Clock;
use crate::kernel::random::Random;
use crate::portal::{PortalState, router};
use crate::store::Store;

/// The portal over this database, with an engine in memory and no ingress.
pub(super) fn portal(folder: &Path, store: Store, clock: Clock, guard: Guard) -> Mounted {
    let random = Random::seeded(5);
    let apps = over_fake_engine(folder, store, clock.clone(), random.clone());
    router(PortalState::new(apps, guard, clock, random))
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// Where it leads.
    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers[LOCATION].to_str().expect("a path")
    }

    /// The page, which must be well-formed.
    pub(super) fn page(&self) -> Document {
        assert_eq!(self.headers[CONTENT_TYPE], "text/html; charset=utf-8", "{}", self.text);
        Document::parse(&self.text).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// A browser: it keeps cookies, and sends forms with the token of the page it saw last.
pub(super) struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    csrf: String,
}

impl Browser {
    pub(super) fn new(portal: Mounted) -> Self {
        Self { router: portal.into_router(), cookies: BTreeMap::new(), csrf: String::new() }
    }

    /// Keeps a cookie.
    pub(super) fn remember(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::builder().uri(path), Body::empty()).await
    }

    /// A page, asked for with one more header.
    pub(super) async fn get_with(&mut self, path: &str, header: &str, value: &str) -> Answer {
        self.send(Request::builder().uri(path).header(header, value), Body::empty()).await
    }

    /// The part of a page that htmx asks for.
    pub(super) async fn part(&mut self, path: &str) -> Answer {
        self.send(Request::builder().uri(path).header("hx-request", "true"), Body::empty()).await
    }

    /// Sends a form of the page seen last.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let fields: Vec<_> = fields.iter().copied().chain([("csrf_token", csrf.as_str())]).collect();
        self.post_exactly(path, &fields, "http://wharf.localhost").await
    }

    /// Sends a form from any page.
    pub(super) async fn post_exactly(&mut self, path: &str, fields: &[(&str, &str)], origin: &str) -> Answer {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
        let body = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        let request = Request::builder().method(Method::POST).uri(path).header(ORIGIN, origin);
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), Body::from(body)).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(HOST, "wharf.localhost").header(COOKIE, cookies.join("; "));
        let request = request.body(body).expect("a request");
        let (parts, body) = self.router.clone().oneshot(request).await.expect("answers").into_parts();
        for set in parts.headers.get_all(SET_COOKIE) {
            let set = set.to_str().expect("text");
            assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Lax") && set.contains("; Path=/"), "{set}");
            let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.remember(name, value);
            }
        }
        let text = String::from_utf8_lossy(&to_bytes(body, 1 << 24).await.expect("has a body")).into_owned();
        if let Some((_, after)) = text.split_once("name=\"csrf_token\" value=\"") {
            self.csrf = after.split('"').next().unwrap_or_default().to_owned();
        }
        Answer { status: parts.status, headers: parts.headers, text }
    }
}

fn encode(text: &str) -> String {
    crate::portal::visit::encode(text).replace('/', "%2F")
}
