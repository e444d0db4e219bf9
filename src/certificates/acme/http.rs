//! How the authority is spoken to: HTTPS with the system's certificates and the operator's extra ones; what it says about
//! when to come back is kept.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use super::OrderFailure;
use crate::certificates::handle::Parts;
use crate::kernel::clock::{Clock, Timestamp};

/// One request may take so long.
const REQUEST: Duration = Duration::from_secs(30);
/// An authority that asks for more patience than this is asked again all the same.
const LONGEST_HOLD_MS: i64 = 7 * 24 * 3600 * 1000;

/// Until when the authority asked not to be asked. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Timestamp>>>);

impl Pace {
    pub(super) fn held_until(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes `Retry-After` of an answer that says "too much" or "not now".
    fn note(&self, status: http::StatusCode, headers: &http::HeaderMap, now: Timestamp) {
        let is_refusal = matches!(status, http::StatusCode::TOO_MANY_REQUESTS | http::StatusCode::SERVICE_UNAVAILABLE);
        let value = headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok());
        if let Some(wait) = value.filter(|_| is_refusal).and_then(|text| wait_ms(text, now)) {
            let until = now.plus_ms(wait.clamp(0, LONGEST_HOLD_MS));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }
}

/// `120`, or a date as HTTP writes it.
fn wait_ms(text: &str, now: Timestamp) -> Option<i64> {
    if let Ok(seconds) = text.trim().parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(date.as_millisecond().saturating_sub(now.0))
}

/// The client every order begins with.
pub(super) struct Client {
    http: reqwest::Client,
    pace: Pace,
    clock: Clock,
}

impl Client {
    pub(super) fn new(parts: &Parts, pace: &Pace) -> Result<Self, OrderFailure> {
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST)
            .connect_timeout(REQUEST)
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &parts.acme.extra_ca_file {
            let unusable = |reason: String| {
                OrderFailure::new(format!("acme.extra_ca_file {} cannot be used: {reason}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
            let extra = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| unusable(e.to_string()))?;
            http = http.tls_certs_merge(extra);
        }
        let http = http.build().map_err(|e| OrderFailure::new(format!("the HTTPS client cannot be made: {e}")))?;
        Ok(Self { http, pace: pace.clone(), clock: parts.clock.clone() })
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (http, pace, clock) = (self.http.clone(), self.pace.clone(), self.clock.clone());
        Box::pin(async move {
            let other = |error: reqwest::Error| Error::Other(Box::new(error));
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let request = reqwest::Request::try_from(http::Request::from_parts(parts, body)).map_err(other)?;
            let answer = http.execute(request).await.map_err(other)?;
            pace.note(answer.status(), answer.headers(), clock.now());
            let mut built = http::Response::builder().status(answer.status());
            if let Some(headers) = built.headers_mut() {
                headers.clone_from(answer.headers());
            }
            let body = answer.bytes().await.map_err(other)?;
            let (parts, body) = built.body(body)?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, wait_ms};
    use crate::kernel::clock::Timestamp;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = Timestamp(1_700_000_000_000); // 2023-11-14T22:13:20Z
        assert_eq!(wait_ms("120", now), Some(120_000));
        assert_eq!(wait_ms("Tue, 14 Nov 2023 22:14:20 GMT", now), Some(60_000));
        assert_eq!(wait_ms("soon", now), None);
    }

    #[test]
    fn only_refusals_hold_us_back() {
        let now = Timestamp(0);
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("60"));
        let pace = Pace::default();
        pace.note(http::StatusCode::OK, &headers, now);
        assert_eq!(pace.held_until(), None);
        pace.note(http::StatusCode::TOO_MANY_REQUESTS, &headers, now);
        assert_eq!(pace.held_until(), Some(Timestamp(60_000)));
    }
}
