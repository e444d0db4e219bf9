//! `wharf run -- CMD`: a one-off command with the person's terminal.

use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd as _;

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::context::{Context, Global};
use super::failure::{Failure, exit};
use crate::apps::RunRequest;

/// Run a command in a fresh container of the serving release.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf run -- python manage.py migrate\n  wharf run -p worker -- sh\n\nThe exit code is that of the command.")]
pub(super) struct Run {
    /// Whose image and limits; `web` when left out
    #[arg(short = 'p', long = "process", value_name = "SERVICE", alias = "service")]
    service: Option<String>,
    /// Without a terminal, even when there is one
    #[arg(long)]
    no_tty: bool,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The last frame.
#[derive(Deserialize)]
struct Last {
    exit: Option<i64>,
    error: Option<String>,
}

/// Puts the terminal back as it was, however the command ends.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter(wanted: bool) -> Result<Self, Failure> {
        if !wanted {
            return Ok(Self(None));
        }
        let stdin = std::io::stdin();
        let before = tcgetattr(stdin.as_fd()).map_err(|e| Failure::failed(e.to_string()))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw).map_err(|e| Failure::failed(e.to_string()))?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, before);
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

pub(super) async fn run(global: &Global, args: Run) -> Result<u8, Failure> {
    let context = Context::new(global).await?;
    let path = context.app_path().await?;
    let tty = !args.no_tty && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let size = tcgetwinsize(std::io::stdout().as_fd()).ok().filter(|_| tty);
    let request = RunRequest {
        command: args.command,
        service: args.service,
        tty,
        columns: size.map(|s| s.ws_col),
        rows: size.map(|s| s.ws_row),
    };
    let mut socket = connect(&context, &path).await?;
    let first = serde_json::to_string(&request)?;
    socket.send(Message::text(first)).await.map_err(|e| broken(&e))?;
    let terminal = RawTerminal::enter(tty)?;
    let ended = carry(socket, tty).await;
    drop(terminal);
    let last = ended?;
    match (last.exit, last.error) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(exit::FAILED)),
        (None, Some(error)) => Err(Failure::failed(error)),
        (None, None) => Err(Failure::new(exit::UNREACHABLE, "the connection ended before the command did")),
    }
}

fn broken(error: &tokio_tungstenite::tungstenite::Error) -> Failure {
    Failure::new(exit::UNREACHABLE, format!("the connection broke: {error}"))
}

async fn connect(context: &Context, path: &str) -> Result<Socket, Failure> {
    use tokio_tungstenite::tungstenite::Error;
    let base = context.client.base();
    let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
    let host = base.host_str().unwrap_or_default().to_owned();
    let port = base.port_or_known_default().unwrap_or(80);
    let url = format!("{scheme}://{host}:{port}/api/v1{path}/run");
    let mut request = url.into_client_request().map_err(|e| Failure::usage(e.to_string()))?;
    if let Some(token) = context.client.token() {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Failure::usage("the token holds characters that are not allowed"))?;
        request.headers_mut().insert("Authorization", value);
    }
    let address = if host.ends_with(".localhost") { "127.0.0.1".to_owned() } else { host };
    let unreachable = |e: &dyn std::fmt::Display| Failure::new(exit::UNREACHABLE, format!("no answer from {base} ({e})"));
    let stream = TcpStream::connect((address.as_str(), port)).await.map_err(|e| unreachable(&e))?;
    match tokio_tungstenite::client_async_tls(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let (parts, body) = answer.into_parts();
            let answer = http::Response::from_parts(parts, body.unwrap_or_default());
            Err(Failure::from_answer(answer.into()).await)
        }
        Err(error) => Err(unreachable(&error)),
    }
}

/// Carries bytes both ways until the command has ended.
async fn carry(socket: Socket, tty: bool) -> Result<Last, Failure> {
    let (mut up, mut down) = socket.split();
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 8192];
    let mut open = true;
    let mut resized = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())?;
    loop {
        tokio::select! {
            message = down.next() => match message {
                Some(Ok(Message::Binary(bytes))) => show(&bytes)?,
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
                Some(Ok(Message::Close(_))) | None => return Ok(Last { exit: None, error: None }),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(&error)),
            },
            read = stdin.read(&mut buffer), if open => {
                let message = match read? {
                    0 => {
                        open = false;
                        Message::text(json!({ "close": true }).to_string())
                    }
                    n => Message::binary(buffer[..n].to_vec()),
                };
                up.send(message).await.map_err(|e| broken(&e))?;
            }
            _ = resized.recv(), if tty => {
                if let Ok(size) = tcgetwinsize(std::io::stdout().as_fd()) {
                    let text = json!({ "resize": { "columns": size.ws_col, "rows": size.ws_row } }).to_string();
                    up.send(Message::text(text)).await.map_err(|e| broken(&e))?;
                }
            }
        }
    }
}

/// The first byte says which stream it is.
fn show(bytes: &[u8]) -> Result<(), Failure> {
    match bytes.split_first() {
        Some((2, data)) => {
            let mut err = std::io::stderr().lock();
            err.write_all(data)?;
            err.flush()?;
        }
        Some((_, data)) => {
            let mut out = std::io::stdout().lock();
            out.write_all(data)?;
            out.flush()?;
        }
        None => {}
    }
    Ok(())
}
