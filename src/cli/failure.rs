//! How a command fails: a sentence, a next step, and an exit code that scripts can rely on.

use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

/// Exit codes; they are part of the interface.
pub(super) mod exit {
    /// Something went wrong; the sentence says what.
    pub(crate) const FAILED: u8 = 1;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// Not logged in, or not allowed.
    pub(crate) const DENIED: u8 = 3;
    /// There is no such thing.
    pub(crate) const NOT_FOUND: u8 = 4;
    /// It cannot be done now: something else is going on, or the state does not allow it.
    pub(crate) const CONFLICT: u8 = 5;
    /// Wharf does not answer.
    pub(crate) const UNREACHABLE: u8 = 6;
    /// Whoever read the output has gone; what shells report of a program that SIGPIPE ended.
    pub(crate) const READER_GONE: u8 = 141;
}

/// A failure with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) code: u8,
}

/// The part of an API error that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    field: Option<String>,
    error_id: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), code }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(exit::FAILED, message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    pub(super) fn unreachable(base: &Url, error: &reqwest::Error) -> Self {
        let mut cause = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            cause = inner.to_string();
            source = inner.source();
        }
        Self::new(
            exit::UNREACHABLE,
            format!("no answer from {base} ({cause}); is it running, and is the address right?"),
        )
    }

    pub(super) async fn from_answer(answer: Response) -> Self {
        let status = answer.status();
        let problem: Problem = answer.json().await.unwrap_or_default();
        let mut message = match (problem.detail.is_empty(), problem.title.is_empty()) {
            (false, _) => problem.detail,
            (true, false) => problem.title,
            (true, true) => format!("the server answered {status}"),
        };
        if let Some(field) = problem.field {
            message = format!("{field}: {message}");
        }
        if let Some(id) = problem.error_id {
            message = format!("{message} (error {id}; the server's log has more)");
        }
        let code = match status {
            StatusCode::UNAUTHORIZED => {
                message = format!("{message}\nLog in first: wharf login --url URL");
                exit::DENIED
            }
            StatusCode::FORBIDDEN => exit::DENIED,
            StatusCode::NOT_FOUND => exit::NOT_FOUND,
            StatusCode::CONFLICT => exit::CONFLICT,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                exit::UNREACHABLE
            }
            _ => exit::FAILED,
        };
        Self::new(code, message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(format!("the answer cannot be read: {error}"))
    }
}
