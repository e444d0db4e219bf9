//! What goes on while it goes on: operation logs, instance logs, one-off commands.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use super::{AppError, AppPath, Apps, Caller, LogFilter, LogLine, OperationLine, RunRequest};
use crate::engine::OutputStream;
use crate::kernel::id::OperationId;

/// A live stream; it ends when there is nothing more to come.
pub type LineStream<T> = Pin<Box<dyn Stream<Item = Result<T, AppError>> + Send>>;

/// A one-off command that runs.
pub struct RunSession {
    pub events: LineStream<RunEvent>,
    /// Where typed bytes and window sizes go; dropping it closes the command's input.
    pub input: tokio::sync::mpsc::Sender<RunInput>,
}

/// What a one-off command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    Output(OutputStream, Bytes),
    /// It has ended; the last event.
    Exited(i64),
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunInput {
    Bytes(Bytes),
    Resize {
        columns: u16,
        rows: u16,
    },
    /// End of input.
    Close,
}

#[expect(clippy::unused_async, unused_variables, reason = "the bodies land next")]
impl Apps {
    /// The lines of an operation after `after`, then new ones as they come, until it ends.
    pub async fn follow_operation(
        &self,
        who: &Caller,
        app: &AppPath,
        id: &OperationId,
        after: i64,
    ) -> Result<LineStream<OperationLine>, AppError> {
        unimplemented!()
    }

    /// What instances printed; goes on with `follow`.
    pub async fn logs(&self, who: &Caller, app: &AppPath, filter: LogFilter) -> Result<LineStream<LogLine>, AppError> {
        unimplemented!()
    }

    /// Runs a one-off command in a fresh container of the serving revision.
    pub async fn run(&self, who: &Caller, app: &AppPath, request: RunRequest) -> Result<RunSession, AppError> {
        unimplemented!()
    }
}
