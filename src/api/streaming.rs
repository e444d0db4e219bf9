//! Newline-delimited JSON that stays open.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, header::HeaderName};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::problem::Problem;
use crate::apps::AppError;

/// How often a silent stream says that it is still there, so that nobody on the way takes it for dead.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Lines that exist come at once; a pause this long means that those after it are still to be written.
const QUIET: Duration = Duration::from_millis(250);

/// One line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Line<T> {
    Item(T),
    /// Such as the end, or an error.
    Other(serde_json::Value),
}

/// Only the lines that exist now.
pub(super) fn present<S: Stream + Unpin + Send>(lines: S) -> impl Stream<Item = S::Item> + Send
where
    S::Item: Send,
{
    stream::unfold(lines, async |mut lines| {
        let line = timeout(QUIET, lines.next()).await.ok().flatten()?;
        Some((line, lines))
    })
}

/// The stream as an answer; an empty line comes when there was nothing to say for as long as `heartbeat`.
/// An error ends it with a line that says so, since the status was sent long before.
pub(super) fn ndjson<T, S>(lines: S, heartbeat: Option<Duration>) -> Response
where
    T: Serialize + Send + 'static,
    S: Stream<Item = Result<Line<T>, AppError>> + Send + 'static,
{
    let bytes = stream::unfold(Some(Box::pin(lines)), move |lines| async move {
        let mut lines = lines?;
        let next = if let Some(pause) = heartbeat {
            match timeout(pause, lines.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Bytes::from_static(b"\n"), Some(lines))),
            }
        } else {
            lines.next().await
        };
        match next? {
            Ok(line) => Some((text(&line), Some(lines))),
            Err(error) => Some((text(&failure(error)), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(bytes.map(Ok::<_, std::convert::Infallible>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    // Proxies that buffer answers would hold the lines back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn failure(error: AppError) -> Line<()> {
    let problem = Problem::from(error);
    if let Some(cause) = problem.cause() {
        tracing::error!(cause, "a stream broke off");
    }
    Line::Other(json!({"error": problem.body(None)}))
}

fn text<T: Serialize>(line: &Line<T>) -> Bytes {
    let mut json = serde_json::to_vec(line).expect("a line is always representable as JSON");
    json.push(b'\n');
    Bytes::from(json)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::to_bytes;
    use futures_util::{StreamExt as _, stream};

    use super::{Line, ndjson, present};
    use crate::apps::AppError;

    #[tokio::test]
    async fn an_error_is_the_last_line() {
        let busy = Err(AppError::Busy("busy".to_owned()));
        let lines = stream::iter([Ok(Line::Item(1)), busy, Ok(Line::Item(2))]);
        let body = to_bytes(ndjson(lines, None).into_body(), 1024).await.expect("reads");
        let text = String::from_utf8(body.to_vec()).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "1");
        assert!(lines[1].starts_with("{\"error\":{") && lines[1].contains("\"code\":\"busy\""), "{text}");
    }

    #[tokio::test]
    async fn a_silent_stream_beats() {
        let lines = stream::iter([Ok::<_, AppError>(Line::Item(1))]).chain(stream::pending());
        let mut body = ndjson(lines, Some(Duration::from_millis(5))).into_body().into_data_stream();
        let mut next = async || body.next().await.expect("more").expect("bytes");
        assert_eq!((next().await, next().await, next().await), ("1\n".into(), "\n".into(), "\n".into()));
    }

    #[tokio::test]
    async fn only_what_is_there_is_given() {
        let lines = stream::iter([1, 2]).chain(stream::pending());
        assert_eq!(present(lines).collect::<Vec<_>>().await, [1, 2]);
    }
}
