//! The HTTP client of the command line: one base address, one token, errors as the API words them.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Speaks to one Wharf.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client of the Wharf at this address.
    pub(super) fn new(base: &str, token: Option<String>) -> Result<Self, Failure> {
        let base = Url::parse(base).map_err(|e| {
            Failure::usage(format!(
                "`{base}` is not the address of a Wharf ({e}); write it as in http://wharf.example.com"
            ))
        })?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            // Followed, a token would be left behind on the way to HTTPS; it is said instead.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")));
        // Names below `localhost` mean this machine (RFC 6761), whatever the resolver thinks.
        if let Some(host) = base.host_str().filter(|h| *h == "localhost" || h.ends_with(".localhost")) {
            let port = base.port_or_known_default().unwrap_or(80);
            http = http.resolve(host, SocketAddr::from(([127, 0, 0, 1], port)));
        }
        let http = http.build().map_err(|e| Failure::usage(format!("the HTTP client cannot be made: {e}")))?;
        Ok(Self { http, base, token })
    }

    /// Where it speaks to.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The token it shows.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request to a path below `/api/v1`.
    pub(super) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self
            .base
            .join(&format!("/api/v1{path}"))
            .map_err(|e| Failure::usage(format!("`{path}` is not a path: {e}")))?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Sends a request; an answer that is no success becomes the failure it describes.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.send().await.map_err(|e| Failure::unreachable(&self.base, &e))?;
        if let Some(place) = moved_to(&answer) {
            return Err(Failure::failed(format!(
                "this Wharf is reached at {place} now; log in there: wharf login --url {place}"
            )));
        }
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        Err(Failure::from_answer(answer).await)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let answer = self.send(request).await?;
        answer.json().await.map_err(|e| Failure::unreachable(&self.base, &e))
    }

    /// Reads.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(self.request(Method::GET, path)?).await
    }

    /// Reads a list of the form `{"items": […]}`.
    pub(super) async fn items<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        #[derive(serde::Deserialize)]
        struct Items<T> {
            items: Vec<T>,
        }
        Ok(self.get::<Items<T>>(path).await?.items)
    }

    /// Sends a body with a method, and reads the answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.json(self.request(method, path)?.json(body)).await
    }

    /// Does something whose answer is empty.
    pub(super) async fn call_empty(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<(), Failure> {
        let request = self.request(method, path)?;
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(request).await.map(drop)
    }
}

/// Where a request is sent on to, without its path.
fn moved_to(answer: &Response) -> Option<String> {
    if answer.status() != StatusCode::PERMANENT_REDIRECT {
        return None;
    }
    let location = answer.headers().get(reqwest::header::LOCATION)?.to_str().ok()?;
    Some(Url::parse(location).ok()?.origin().ascii_serialization())
}
