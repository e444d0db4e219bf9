//! One-off commands over a WebSocket.
//!
//! The client's first text frame is a [`RunRequest`]. Then: binary frames to the client are output, their first byte
//! says which (1 standard output, 2 standard error); binary frames from the client are input; text frames from the
//! client are [`Control`]. The last text frame to the client is `{"exit": CODE}` or `{"error": "…"}`.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::ApiState;
use super::access::{App, In, State};
use super::extract;
use super::problem::Problem;
use super::routes::APP;
use crate::apps::{AppError, AppPath, Caller, RunEvent, RunInput, RunRequest, RunSession};
use crate::engine::OutputStream;

/// How long the client may take to say what to run.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// How often a ping is sent, so that a silent command is not taken for a dead connection.
const PING: Duration = Duration::from_secs(15);
/// The largest frame taken from a client, in bytes.
const FRAME_LIMIT: usize = 1024 * 1024;

/// What a client may say besides input.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Control {
    Resize { columns: u16, rows: u16 },
    Close(bool),
}

/// Run a one-off command.
///
/// A WebSocket. The client's first text frame is a `RunRequest`; binary frames to the client are output (first byte: 1
/// standard output, 2 standard error), binary frames from the client are input, text frames from the client are
/// `{"resize": {"columns": 80, "rows": 24}}` or `{"close": true}` (end of input). The last text frame to the client is
/// `{"exit": CODE}` or `{"error": "…"}`.
#[utoipa::path(get, context_path = APP, path = "/run", tag = "operate",
    responses((status = 101, description = "The connection is a WebSocket now"),
        (status = 426, description = "The request did not ask for a WebSocket")))]
pub(super) async fn run(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|e| {
        let detail = format!("this path speaks WebSocket only: {}", e.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", detail)
    })?;
    Ok(upgrade.max_message_size(FRAME_LIMIT).on_upgrade(move |socket| serve(api, caller, app, socket)))
}

async fn serve(api: ApiState, caller: Caller, app: AppPath, mut socket: WebSocket) {
    let last = match start(&api, &caller, &app, &mut socket).await {
        Ok(session) => exchange(session, &mut socket).await,
        Err(detail) => Some(json!({"error": detail})),
    };
    // Nobody is left to tell when these fail.
    if let Some(last) = last {
        let _ = socket.send(Message::text(last.to_string())).await;
    }
    let _ = socket.send(Message::Close(None)).await;
}

async fn start(api: &ApiState, caller: &Caller, app: &AppPath, socket: &mut WebSocket) -> Result<RunSession, String> {
    let expected = "the first frame must be text: {\"command\": [\"…\"]}";
    let request: RunRequest = match timeout(FIRST_FRAME, socket.recv()).await {
        Ok(Some(Ok(Message::Text(text)))) => {
            extract::parse(text.as_bytes()).map_err(|problem| problem.body(None).detail)?
        }
        Ok(_) => return Err(expected.to_owned()),
        Err(_) => return Err(format!("no frame came within {} s; {expected}", FIRST_FRAME.as_secs())),
    };
    api.apps.run(caller, app, request).await.map_err(|e| told(&e))
}

/// The sentence for the client; causes within the platform go to the log.
fn told(error: &AppError) -> String {
    if let AppError::Internal { .. } = error {
        tracing::error!(cause = crate::kernel::error::chain(error), "a one-off command failed");
    }
    error.to_string()
}

/// Carries both directions until the command ends; gives the last word, or none when the client went away, which
/// ends the command too, since dropping the session does.
async fn exchange(session: RunSession, socket: &mut WebSocket) -> Option<serde_json::Value> {
    let RunSession { mut events, input } = session;
    let mut input = Some(input);
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(RunEvent::Output(stream, bytes))) => {
                    socket.send(Message::Binary(frame(stream, &bytes))).await.ok()?;
                }
                Some(Ok(RunEvent::Exited(code))) => return Some(json!({"exit": code})),
                Some(Err(error)) => return Some(json!({"error": told(&error)})),
                None => return Some(json!({"error": "the command ended without saying how"})),
            },
            message = socket.recv() => match message?.ok()? {
                Message::Binary(bytes) => send(&mut input, RunInput::Bytes(bytes)).await,
                Message::Text(text) => match extract::parse(text.as_bytes()) {
                    Ok(Control::Resize { columns, rows }) => send(&mut input, RunInput::Resize { columns, rows }).await,
                    Ok(Control::Close(true)) => {
                        send(&mut input, RunInput::Close).await;
                        input = None;
                    }
                    Ok(Control::Close(false)) => {}
                    Err(problem) => return Some(json!({"error": problem.body(None).detail})),
                },
                Message::Close(_) => return None,
                Message::Ping(_) | Message::Pong(_) => {}
            },
            _ = ping.tick() => socket.send(Message::Ping(Bytes::new())).await.ok()?,
        }
    }
}

/// Passes input on; a command that has closed its input simply gets no more.
async fn send(input: &mut Option<tokio::sync::mpsc::Sender<RunInput>>, item: RunInput) {
    if let Some(sender) = input
        && sender.send(item).await.is_err()
    {
        *input = None;
    }
}

fn frame(stream: OutputStream, bytes: &[u8]) -> Bytes {
    let first = match stream {
        OutputStream::Stdout => 1,
        OutputStream::Stderr => 2,
    };
    let mut frame = Vec::with_capacity(bytes.len() + 1);
    frame.push(first);
    frame.extend_from_slice(bytes);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::{Control, extract, frame};
    use crate::engine::OutputStream;

    #[test]
    fn frames_are_what_the_contract_says() {
        assert_eq!(&frame(OutputStream::Stderr, b"x")[..], b"\x02x");
        let control = |text: &str| extract::parse::<Control>(text.as_bytes()).ok();
        assert_eq!(control(r#"{"resize":{"columns":80,"rows":24}}"#), Some(Control::Resize { columns: 80, rows: 24 }));
        assert_eq!(control(r#"{"close":true}"#), Some(Control::Close(true)));
        assert_eq!(control(r#"{"other":1}"#), None);
    }
}
