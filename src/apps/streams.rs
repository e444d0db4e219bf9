//! What goes on while it goes on: operation logs, instance logs, one-off commands.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::view;
use super::{AppError, AppPath, Apps, Caller, LogFilter, LogLine, OperationLine, RunRequest};
use crate::engine::{Attached, LogChunk, LogQuery, OutputStream};
use crate::kernel::clock::Timestamp;
use crate::kernel::error::chain;
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::name::ServiceName;
use crate::operations::{FollowItem, Kind, Operation, State};
use crate::pipelines::{Input, recovery::phase};
use crate::scheduler::report::InstanceReport;
use crate::store::StoreError;

/// A live stream; it ends when there is nothing more to come.
pub type LineStream<T> = Pin<Box<dyn Stream<Item = Result<T, AppError>> + Send>>;

/// Lines that may wait for a slow reader before the sources wait for it.
const BACKLOG: usize = 256;
/// New instances are looked for at least so often while following.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Words of a one-off command, and bytes of all of them.
const MOST_WORDS: usize = 256;
const MOST_COMMAND_BYTES: usize = 64 * 1024;
/// Seconds a one-off command may run.
const RUN_DEADLINE_SECONDS: i64 = 24 * 3600;

/// A one-off command that runs.
pub struct RunSession {
    pub events: LineStream<RunEvent>,
    /// Where typed bytes and window sizes go; dropping it closes the command's input.
    pub input: mpsc::Sender<RunInput>,
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

impl Apps {
    /// The lines of an operation after `after`, then new ones as they come, until it ends.
    ///
    /// # Errors
    /// When this app has no such operation.
    pub async fn follow_operation(
        &self,
        who: &Caller,
        app: &AppPath,
        id: &OperationId,
        after: i64,
    ) -> Result<LineStream<OperationLine>, AppError> {
        self.own_operation(who, app, id).await?;
        let items = self.operations_handle().follow(&who.tenant, id, after);
        Ok(Box::pin(items.filter_map(|item| {
            std::future::ready(match item {
                Ok(FollowItem::Line(line)) => Some(Ok(view::line(&line))),
                Ok(FollowItem::End(_)) => None,
                Err(error) => Some(Err(error.into())),
            })
        })))
    }

    /// What instances printed; goes on with `follow`, also with instances that start later.
    ///
    /// # Errors
    /// When there is no such app or service.
    pub async fn logs(&self, who: &Caller, app: &AppPath, filter: LogFilter) -> Result<LineStream<LogLine>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        if let Some(name) = &filter.service {
            let serving = self.serving(who, &environment).await?;
            let known = serving.revision.stack.services.keys().any(|s| s.as_str() == name);
            if !known {
                return Err(AppError::NotFound(format!(
                    "there is no service `{name}` in `{}`",
                    environment.display_name()
                )));
            }
        }
        let (lines, stream) = mpsc::channel(BACKLOG);
        let this = self.clone();
        tokio::spawn(async move { this.gather_logs(&environment.id, &filter, &lines).await });
        Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(stream)))
    }

    /// Starts one reader per instance, and goes on with new instances while somebody listens.
    async fn gather_logs(
        &self,
        environment: &EnvironmentId,
        filter: &LogFilter,
        lines: &mpsc::Sender<Result<LogLine, AppError>>,
    ) {
        let mut known = BTreeSet::new();
        let mut readers = tokio::task::JoinSet::new();
        let since = filter.since_seconds.map(|s| self.now().plus_secs(-i64::from(s)));
        loop {
            let changed = self.scheduler().changed();
            let first_round = known.is_empty();
            for instance in self.scheduler().report(environment).map(|r| r.instances).unwrap_or_default() {
                let wanted = filter.service.as_ref().is_none_or(|s| *s == instance.service);
                if wanted && known.insert(instance.container.clone()) {
                    // An instance that came later is shown from its first line.
                    let tail = filter.tail.filter(|_| first_round || readers.is_empty());
                    let query = LogQuery { since, tail, follow: filter.follow };
                    let (this, lines) = (self.clone(), lines.clone());
                    readers.spawn(async move { this.read_log(&instance, query, &lines).await });
                }
            }
            if !filter.follow {
                while readers.join_next().await.is_some() {}
                return;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = lines.closed() => return,
            }
        }
    }

    async fn read_log(
        &self,
        instance: &InstanceReport,
        query: LogQuery,
        lines: &mpsc::Sender<Result<LogLine, AppError>>,
    ) {
        let Ok(mut chunks) = self.engine().logs(&instance.container, query).await else { return };
        while let Some(Ok(chunk)) = chunks.next().await {
            if lines.send(Ok(log_line(instance, chunk))).await.is_err() {
                return;
            }
        }
    }

    /// Runs a one-off command in a fresh container of the serving revision.
    ///
    /// # Errors
    /// When nothing is deployed, the service does not exist, or the command cannot be started.
    pub async fn run(&self, who: &Caller, app: &AppPath, request: RunRequest) -> Result<RunSession, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?;
        let service = chosen_service(&request, &serving.revision.stack)?;
        check_command(&request.command)?;
        let input = Input::Run { command: request.command.clone() };
        let mut new = self.new_operation(who, &environment, Kind::Run, phase::RUN, &input, RUN_DEADLINE_SECONDS);
        new.exclusive = false;
        new.revision = Some(serving.revision.number);
        let mut tx = self.store().write().await?;
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let cancel = self.operations_handle().start(&operation).await?;
        let owner = crate::pipelines::owner(&environment);
        let spec = self
            .scheduler()
            .task_spec(&owner, &serving.revision, &service, request.command.clone(), &operation.id)
            .await;
        let spec = match spec {
            Ok(mut spec) => {
                spec.tty = request.tty;
                spec
            }
            Err(reason) => return Err(self.run_failed(&operation, reason).await),
        };
        let (container, attached) = match self.engine().attach(&spec).await {
            Ok(started) => started,
            Err(error) => return Err(self.run_failed(&operation, chain(&error)).await),
        };
        if let (Some(columns), Some(rows)) = (request.columns, request.rows) {
            let _ = self.engine().resize(&container, columns, rows).await;
        }
        let (input, typed) = mpsc::channel(BACKLOG);
        let (events, shown) = mpsc::channel(BACKLOG);
        let this = self.clone();
        tokio::spawn(async move {
            this.carry_run(&operation, &container, attached, typed, &events, &cancel).await;
        });
        Ok(RunSession { events: Box::pin(tokio_stream::wrappers::ReceiverStream::new(shown)), input })
    }

    async fn run_failed(&self, operation: &Operation, reason: String) -> AppError {
        if let Err(error) = self.operations_handle().finish(&operation.id, State::Failed, &reason).await {
            return error.into();
        }
        AppError::Conflict(reason)
    }

    /// Carries bytes between the command and the person until one of them is done, then removes the container.
    async fn carry_run(
        &self,
        operation: &Operation,
        container: &str,
        attached: Attached,
        mut typed: mpsc::Receiver<RunInput>,
        events: &mpsc::Sender<Result<RunEvent, AppError>>,
        cancel: &tokio_util::sync::CancellationToken,
    ) {
        let Attached { mut output, input } = attached;
        let mut input = Some(input);
        let gone = loop {
            tokio::select! {
                chunk = output.next() => match chunk {
                    Some(Ok((stream, bytes))) => {
                        if events.send(Ok(RunEvent::Output(stream, bytes))).await.is_err() {
                            break true;
                        }
                    }
                    _ => break false,
                },
                what = typed.recv(), if input.is_some() => match what {
                    Some(RunInput::Bytes(bytes)) => {
                        let Some(pipe) = input.as_mut() else { continue };
                        if pipe.write_all(&bytes).await.is_err() || pipe.flush().await.is_err() {
                            input = None;
                        }
                    }
                    Some(RunInput::Resize { columns, rows }) => {
                        let _ = self.engine().resize(container, columns, rows).await;
                    }
                    Some(RunInput::Close) | None => {
                        if let Some(mut pipe) = input.take() {
                            let _ = pipe.shutdown().await;
                        }
                    }
                },
                () = events.closed() => break true,
                () = cancel.cancelled() => break true,
            }
        };
        if gone {
            let _ = self.engine().stop(container, 5).await;
        }
        let code = self.engine().wait(container).await;
        let _ = self.engine().remove(container).await;
        let (state, summary) = match (&code, gone) {
            (_, true) => (State::Cancelled, "the person who ran it left, so it was stopped".to_owned()),
            (Ok(code), _) => (State::Succeeded, format!("ended with exit code {code}")),
            (Err(error), _) => (State::Failed, chain(error)),
        };
        if let Err(error) = self.operations_handle().finish(&operation.id, state, &summary).await {
            tracing::error!(operation.id = %operation.id, error = chain(&error), "the end of a command could not be recorded");
        }
        let last = code.map(RunEvent::Exited).map_err(|e| AppError::internal("the command's end could not be seen", e));
        let _ = events.send(last).await;
    }
}

fn log_line(instance: &InstanceReport, chunk: LogChunk) -> LogLine {
    let stream = match chunk.stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    };
    LogLine {
        at: Timestamp::rfc3339(chunk.at),
        instance: instance.name.clone(),
        revision: instance.version.revision,
        stream: stream.to_owned(),
        line: chunk.line,
    }
}

/// The service whose image a command runs in: the one asked for, else `web`, else the first.
fn chosen_service(request: &RunRequest, stack: &crate::stack::Stack) -> Result<ServiceName, AppError> {
    let names: Vec<&ServiceName> = stack.services.keys().collect();
    match &request.service {
        Some(asked) => names.iter().find(|n| n.as_str() == asked).map(|n| (*n).clone()).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
            AppError::invalid("service", format!("there is no service `{asked}`; this app has: {}", known.join(", ")))
        }),
        None => {
            let web = names.iter().find(|n| n.as_str() == "web");
            let first = web.or_else(|| names.first()).map(|n| (*n).clone());
            first.ok_or_else(|| AppError::Conflict("the release has no service".to_owned()))
        }
    }
}

fn check_command(command: &[String]) -> Result<(), AppError> {
    let bytes: usize = command.iter().map(String::len).sum();
    if command.is_empty() || command[0].is_empty() {
        return Err(AppError::invalid("command", "say what to run, such as: wharf run -- python manage.py shell"));
    }
    if command.len() > MOST_WORDS || bytes > MOST_COMMAND_BYTES || command.iter().any(|w| w.contains('\0')) {
        return Err(AppError::invalid("command", "the command is too long, or holds a NUL byte"));
    }
    Ok(())
}
