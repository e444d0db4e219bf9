//! Plain HTTP requests on Docker's socket, for what bollard cannot do: build sessions of our own, streamed
//! request bodies with our own errors, terminals byte by byte, and parameters old engines need.
//!
//! Each request has a connection of its own; dropping the answer closes it, which Docker takes as "stop that".

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::{Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::errors::innermost;
use crate::engine::EngineError;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Time for connecting and for the head of an answer that Docker gives at once.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest line of a JSON stream; BuildKit batches its log into lines below this.
const LINE_LIMIT: usize = 16 * 1024 * 1024;

pub(super) fn empty() -> Body {
    full(Bytes::new())
}

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

/// An answer together with the connection it arrives on.
pub(super) struct Answer {
    body: Incoming,
    connection: AbortOnDropHandle<()>,
}

/// A request to be sent: `path` starts after the API version.
pub(super) struct Call<'a> {
    pub(super) socket: &'a Path,
    pub(super) api: String,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: Vec<(&'a str, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// Sends it and waits for the head of the answer, without a time limit: a build's answer may begin late.
    async fn send(self, body: Body) -> Result<(http::Response<Incoming>, AbortOnDropHandle<()>), EngineError> {
        let unreachable = |e: &(dyn std::error::Error + 'static)| EngineError::Unreachable(innermost(e));
        let stream = UnixStream::connect(self.socket).await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to Docker ended");
            }
        }));
        let mut request = Request::builder().method(&self.method).uri(self.uri()).header("host", "docker");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|e| EngineError::Refused(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(|e| EngineError::Unreachable(innermost(&e)))?;
        Ok((response, connection))
    }

    fn uri(&self) -> String {
        let mut query = form_urlencoded(&self.query);
        if !query.is_empty() {
            query.insert(0, '?');
        }
        format!("/v{}{}{query}", self.api, self.path)
    }

    /// Sends it; an error status becomes [`EngineError::Refused`] (404: `NotFound`) with Docker's message.
    pub(super) async fn answer(self, body: Body) -> Result<Answer, EngineError> {
        let path = self.path.to_owned();
        let (response, connection) = self.send(body).await?;
        let status = response.status();
        let answer = Answer { body: response.into_body(), connection };
        if status.is_success() {
            return Ok(answer);
        }
        let message = answer.message().await;
        Err(match status {
            StatusCode::NOT_FOUND => EngineError::NotFound(format!("{path} ({message})")),
            _ => EngineError::Refused(message),
        })
    }

    /// Sends it and takes over the connection as a plain two-way stream.
    pub(super) async fn upgrade(mut self, protocol: &str) -> Result<Upgraded, EngineError> {
        self.headers.extend([("connection", "Upgrade".to_owned()), ("upgrade", protocol.to_owned())]);
        let path = self.path.to_owned();
        let work = async {
            let (response, connection) = self.send(empty()).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = response.status();
                let message = Answer { body: response.into_body(), connection }.message().await;
                return Err(EngineError::Refused(format!("{path} was answered with {status}: {message}")));
            }
            let upgraded = hyper::upgrade::on(response).await.map_err(|e| EngineError::Unreachable(e.to_string()))?;
            // The connection task has handed its socket over and ends by itself.
            drop(connection);
            Ok(upgraded)
        };
        let late = || EngineError::Unreachable(format!("no answer to {path} in time"));
        tokio::time::timeout(HEAD_TIMEOUT, work).await.map_err(|_| late())?
    }
}

impl Answer {
    /// The whole answer's message, when it is an error.
    async fn message(self) -> String {
        let Self { body, connection: _connection } = self;
        let text = match body.collect().await {
            Ok(whole) => String::from_utf8_lossy(&whole.to_bytes()).trim().to_owned(),
            Err(_) => return "the connection was cut".to_owned(),
        };
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        json.and_then(|j| Some(j.get("message")?.as_str()?.to_owned())).unwrap_or(text)
    }

    /// All of the answer.
    pub(super) async fn whole(self) -> Result<Bytes, EngineError> {
        let Self { body, connection: _connection } = self;
        let whole = body.collect().await;
        Ok(whole.map_err(|e| EngineError::Unreachable(format!("the connection was cut: {e}")))?.to_bytes())
    }

    /// The answer as lines of JSON text.
    pub(super) fn lines(self) -> impl Stream<Item = Result<Bytes, EngineError>> + Send {
        futures_util::stream::try_unfold((self, BytesMut::new(), 0), |(mut answer, mut buffer, mut seen)| async move {
            loop {
                if let Some(end) = buffer[seen..].iter().position(|b| *b == b'\n') {
                    let line = buffer.split_to(seen + end + 1).freeze();
                    return Ok(Some((line, (answer, buffer, 0))));
                }
                seen = buffer.len();
                if seen > LINE_LIMIT {
                    return Err(EngineError::Refused("the engine sent a line without end".to_owned()));
                }
                match answer.body.frame().await {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            buffer.extend_from_slice(data);
                        }
                    }
                    Some(Err(e)) => return Err(EngineError::Unreachable(innermost(&e))),
                    None if buffer.is_empty() => return Ok(None),
                    None => {
                        let rest = buffer.split().freeze();
                        return Ok(Some((rest, (answer, buffer, 0))));
                    }
                }
            }
        })
    }

    /// Reads the answer to its end; gives the error of a JSON stream that reports one.
    pub(super) async fn finish(self) -> Result<(), String> {
        let mut lines = std::pin::pin!(self.lines());
        while let Some(line) = lines.next().await {
            let line = line.map_err(|e| e.to_string())?;
            if let Some(message) = stream_error(&line) {
                return Err(message);
            }
        }
        Ok(())
    }
}

/// The message of an `{"errorDetail": …}` line.
pub(super) fn stream_error(line: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(json.get("errorDetail")?.get("message")?.as_str()?.to_owned())
}

/// `a=1&b=2`, everything but unreserved characters percent-encoded.
fn form_urlencoded(pairs: &[(&str, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={}", percent_encode(value))).collect::<Vec<_>>().join("&")
}

fn percent_encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_cannot_be_broken_out_of() {
        let query = form_urlencoded(&[("t", "a:b&x=1 ä".to_owned()), ("v", "2".to_owned())]);
        assert_eq!(query, "t=a%3Ab%26x%3D1%20%C3%A4&v=2");
    }

    #[test]
    fn finds_the_error_in_a_stream() {
        assert_eq!(stream_error(br#"{"errorDetail":{"message":"no"},"error":"no"}"#).as_deref(), Some("no"));
        assert_eq!(stream_error(br#"{"status":"fine"}"#), None);
    }
}
