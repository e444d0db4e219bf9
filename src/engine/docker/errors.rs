//! What bollard and Docker say, in the words of [`EngineError`]. Pure.

use bollard::errors::Error;

use crate::engine::EngineError;
use crate::kernel::error::chain;

/// A failure of a call about `what` (an id, a name).
pub(super) fn engine(error: &Error, what: &str) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => EngineError::NotFound(what.to_owned()),
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            EngineError::Refused(message.trim().to_owned())
        }
        Error::RequestTimeoutError => EngineError::Unreachable("no answer in time".to_owned()),
        Error::JsonSerdeError { err } if err.is_eof() => {
            EngineError::Unreachable("the connection was cut in the middle of an answer".to_owned())
        }
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. }
        | Error::HttpClientError { .. } => EngineError::Unreachable(innermost(error)),
        Error::SocketNotFoundError(path) => {
            EngineError::Unreachable(format!("there is no socket at {path}; is Docker installed and running?"))
        }
        other => EngineError::Refused(chain(other)),
    }
}

/// The cause at the bottom ("Connection refused"); the layers above it are the client's own and help nobody.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The status code, when it was Docker that answered.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Why a container did not start, in plain words before Docker's own.
pub(super) fn start_failed(error: &Error, what: &str) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message } if !message.contains("No such container") => {
            EngineError::StartFailed(explain_start(message))
        }
        Error::DockerResponseServerError { status_code: 400.., message } if status(error) != Some(404) => {
            EngineError::StartFailed(explain_start(message))
        }
        _ => engine(error, what),
    }
}

/// Puts the cause first where Docker buries it.
pub(super) fn explain_start(message: &str) -> String {
    let known = [
        ("exec format error", "the program is built for another kind of processor, or is a script without a `#!` line"),
        ("executable file not found", "the image has no such program in its PATH"),
        ("no such file or directory", "the image has no such file"),
        ("permission denied", "the file is not executable for this user"),
        ("unable to find user", "the image has no such user"),
        ("port is already allocated", "the port is taken"),
        ("network", "the network is not usable"),
    ];
    let message = message.trim();
    match known.iter().find(|(part, _)| message.contains(part)) {
        Some((_, cause)) => format!("{cause} ({message})"),
        None => message.to_owned(),
    }
}

/// Why an image could not be pulled, in plain words.
pub(super) fn explain_pull(message: &str) -> String {
    let message = message.trim();
    if says_unreachable(message) {
        return format!("the registry cannot be reached from this machine ({message})");
    }
    if message.contains("not found") || message.contains("manifest unknown") || message.contains("does not exist") {
        return format!("the registry has no such image, or it is private ({message})");
    }
    message.to_owned()
}

/// Whether these are the words of a network that does not lead to the registry.
pub(super) fn says_unreachable(message: &str) -> bool {
    let words = ["no such host", "dial tcp", "i/o timeout", "Client.Timeout", "connection refused", "TLS handshake"];
    words.iter().any(|part| message.contains(part))
}
