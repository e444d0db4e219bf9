//! Lines that come in while a page is open: as server-sent events, or asked for where those are blocked.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::apps::{LogLine, OperationLine};

/// How often a silent stream says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Lines that exist come at once; a pause this long means that those after it are still to be written.
const QUIET: Duration = Duration::from_millis(250);

/// A line as the script shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownLine {
    /// What to name to get what comes after it.
    pub id: String,
    pub time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub line: String,
}

impl From<OperationLine> for ShownLine {
    fn from(line: OperationLine) -> Self {
        let (id, time) = (line.seq.to_string(), super::when::clock(&line.at));
        Self { id, time, instance: None, kind: Some(line.kind), line: line.line }
    }
}

impl From<LogLine> for ShownLine {
    fn from(line: LogLine) -> Self {
        let kind = (line.stream == "stderr").then(|| line.stream.clone());
        Self { time: super::when::clock(&line.at), id: line.at, instance: Some(line.instance), kind, line: line.line }
    }
}

/// What a stream says.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    Line(ShownLine),
    /// The part of the page that shows where things stand, ready-made.
    Status(String),
    /// There is nothing more to come.
    End,
}

impl Update {
    fn event(self) -> Event {
        match self {
            Self::Line(line) => {
                let json = serde_json::to_string(&line).expect("a line is always representable as JSON");
                Event::default().event("line").id(line.id).data(json)
            }
            Self::Status(html) => Event::default().event("status").data(html.replace('\r', "")),
            Self::End => Event::default().event("end").data("-"),
        }
    }
}

/// What is asked of a stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// Only what comes after this line.
    pub after: String,
    /// Only this service.
    pub service: String,
    /// Present lines as JSON instead of a stream.
    pub poll: String,
}

impl Asked {
    /// The last line the browser has: what it remembers after a lost connection is newer than the address.
    pub(crate) fn last<'a>(&'a self, headers: &'a HeaderMap) -> &'a str {
        let remembered = headers.get("last-event-id").and_then(|v| v.to_str().ok()).filter(|id| !id.is_empty());
        remembered.unwrap_or(&self.after)
    }
}

/// The updates as a stream of events.
pub(crate) fn events(updates: impl Stream<Item = Update> + Send + 'static) -> Response {
    let events = updates.map(|update| Ok::<_, Infallible>(update.event()));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // Proxies that buffer answers would hold the lines back.
    response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}

/// The same for a browser that cannot hold a stream open.
#[derive(Debug, Default, Serialize)]
struct Polled {
    lines: Vec<ShownLine>,
    status: Option<String>,
    end: bool,
}

/// The updates that exist now, as JSON.
pub(crate) async fn polled(updates: impl Stream<Item = Update> + Send) -> Response {
    let mut answer = Polled::default();
    for update in present(updates).await {
        match update {
            Update::Line(line) => answer.lines.push(line),
            Update::Status(html) => answer.status = Some(html),
            Update::End => answer.end = true,
        }
    }
    axum::Json(answer).into_response()
}

/// Only what exists now.
pub(crate) async fn present<S: Stream>(items: S) -> Vec<S::Item> {
    let mut items = std::pin::pin!(items);
    let mut found = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout(QUIET, items.next()).await {
        found.push(item);
    }
    found
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn line(text: &str) -> Update {
        let line =
            OperationLine { seq: 7, at: "2026-11-23T12:00:05.000Z".into(), kind: "output".into(), line: text.into() };
        Update::Line(line.into())
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("reads");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn events_carry_ids_and_survive_any_line() {
        let updates = [line("one\rtwo\n<b>"), Update::Status("<p>\r\nx</p>".into()), Update::End];
        let text = text(events(stream::iter(updates))).await;
        assert!(text.contains("event: line\nid: 7\ndata: {") || text.contains("id: 7"), "{text}");
        assert!(text.contains(r#""line":"one\rtwo\n<b>""#), "{text}");
        assert!(text.contains("event: status") && text.contains("data: x</p>"), "{text}");
        assert!(text.contains("event: end"), "{text}");
    }

    #[tokio::test]
    async fn polling_gives_what_is_there() {
        let updates = stream::iter([line("one"), Update::Status("<p>".into())]).chain(stream::pending());
        let answer: serde_json::Value = serde_json::from_str(&text(polled(updates).await).await).expect("JSON");
        assert_eq!(answer["lines"][0]["id"], "7");
        assert_eq!((answer["status"].as_str(), answer["end"].as_bool()), (Some("<p>"), Some(false)));
    }

    #[test]
    fn what_the_browser_remembers_wins() {
        let asked = Asked { after: "3".into(), ..Asked::default() };
        let mut headers = HeaderMap::new();
        assert_eq!(asked.last(&headers), "3");
        headers.insert("last-event-id", "9".parse().expect("a value"));
        assert_eq!(asked.last(&headers), "9");
    }
}
