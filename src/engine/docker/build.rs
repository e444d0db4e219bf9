//! Builds with BuildKit, through the engine's own `/build` with a session of ours.
//!
//! What holds: the deadline, no-cache, secrets that reach steps and never the image, cancelling by dropping the
//! stream (the connection closes and BuildKit stops the running step). CPU and memory: see [`limits`], disk: [`disk`].

mod disk;
mod limits;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::trace::Trace;
use super::{DockerEngine, labels, raw};
use crate::engine::{BuildEvent, BuildRequest, EngineError, EngineStream};
use crate::kernel::error::chain;

/// Events that may wait for a slow reader before the builder has to wait too.
const EVENTS_WAITING: usize = 256;

/// Counts the sessions of this process: a repeated build of one operation must not meet the session it had before.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

type Events = mpsc::Sender<Result<BuildEvent, EngineError>>;

impl DockerEngine {
    pub(super) async fn start_build(&self, request: BuildRequest) -> Result<EngineStream<BuildEvent>, EngineError> {
        // Fails here, before any event, when Docker does not answer.
        self.client().await?;
        let builder = Self {
            socket: self.socket.clone(),
            installation: self.installation.clone(),
            client: self.client.load_full().into(),
            restarts: Default::default(),
            execs: Default::default(),
            files: Vec::new(),
            network_turn: Default::default(),
        };
        let (events, receiver) = mpsc::channel(EVENTS_WAITING);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = builder.build_within_deadline(request, &events).await {
                // Nobody listening any more is the reader's choice.
                let _ = events.send(Err(error)).await;
            }
        }));
        Ok(ReceiverStream::new(receiver)
            .map(move |event| {
                // The task lives as long as the stream, no longer.
                let _ = &task;
                event
            })
            .boxed())
    }

    async fn build_within_deadline(&self, request: BuildRequest, events: &Events) -> Result<(), EngineError> {
        let seconds = u64::from(request.deadline_seconds);
        match tokio::time::timeout(Duration::from_secs(seconds), self.build(request, events)).await {
            Ok(result) => result,
            Err(_) => Err(EngineError::TimedOut { what: "the build".to_owned(), seconds }),
        }
    }

    async fn build(&self, request: BuildRequest, events: &Events) -> Result<(), EngineError> {
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let session_id = format!("wharf-{}-{}-{number}", self.installation.as_str(), request.operation);
        let session = self.open_session(&session_id, request.secrets.clone()).await?;
        let limits = limits::enforce(request.cpu_millis, request.memory_mib);
        let disk_mib = request.disk_mib;
        let work = self.run(request, &session_id, events);
        tokio::select! {
            result = work => result,
            // The session must outlive the build; its end without the build's is a failure.
            result = session => {
                result?;
                Err(EngineError::Unreachable("the builder closed its session".to_owned()))
            }
            () = limits => Ok(()),
            written = disk::exceeded(u64::from(disk_mib) << 20) => Err(EngineError::BuildFailed(format!(
                "the build's steps wrote {} MiB to the disk, and {disk_mib} MiB is what a build may write. Remove what \
                 the image does not need in the step that makes it, or ask the operator for more (builds.disk_mib)",
                written >> 20
            ))),
        }
    }

    async fn run(&self, request: BuildRequest, session_id: &str, events: &Events) -> Result<(), EngineError> {
        let query = self.query(&request, session_id)?;
        let mut call = self.call(Method::POST, "/build", query).await?;
        call.headers = vec![("content-type", "application/x-tar".to_owned())];
        let context_error = std::sync::Arc::new(std::sync::Mutex::new(None));
        let noted = context_error.clone();
        let context = request.context.map(move |chunk| {
            chunk.map_err(|e| {
                let text = chain(&e);
                *noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(text.clone());
                io::Error::other(text)
            })
        });
        let answer = match call.answer(raw::streamed(context)).await {
            Ok(answer) => answer,
            Err(e) => {
                let cause = context_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                return Err(match (cause, e) {
                    (Some(cause), _) => EngineError::BuildFailed(format!("the source could not be read: {cause}")),
                    (None, EngineError::Refused(message)) => EngineError::BuildFailed(message),
                    (None, e) => e,
                });
            }
        };
        let mut trace = Trace::default();
        let mut lines = std::pin::pin!(answer.lines());
        while let Some(line) = lines.next().await {
            send_all(events, trace.add(&line?).map_err(EngineError::BuildFailed)?).await;
        }
        send_all(events, trace.end().map_err(EngineError::BuildFailed)?).await;
        Ok(())
    }

    fn query(&self, request: &BuildRequest, session_id: &str) -> Result<Vec<(&'static str, String)>, EngineError> {
        let json = |value: Result<String, serde_json::Error>| value.map_err(|e| EngineError::Refused(e.to_string()));
        let mut labels: std::collections::HashMap<String, String> = request.labels.clone().into_iter().collect();
        labels.extend(labels::of_owner(&self.installation, &request.owner));
        let mut query = vec![
            // 2 is BuildKit.
            ("version", "2".to_owned()),
            ("session", session_id.to_owned()),
            ("buildid", session_id.to_owned()),
            ("t", request.tag.clone()),
            ("dockerfile", request.dockerfile.clone()),
            ("buildargs", json(serde_json::to_string(&request.build_args))?),
            ("labels", json(serde_json::to_string(&labels))?),
        ];
        if request.no_cache {
            query.push(("nocache", "1".to_owned()));
        }
        if request.pull {
            query.push(("pull", "1".to_owned()));
        }
        if let Some(target) = &request.target {
            query.push(("target", target.clone()));
        }
        if !request.extra_hosts.is_empty() {
            let hosts: Vec<String> = request.extra_hosts.iter().map(|h| format!("{}:{}", h.name, h.address)).collect();
            query.push(("extrahosts", hosts.join(",")));
        }
        Ok(query)
    }
}

async fn send_all(events: &Events, batch: Vec<BuildEvent>) {
    for event in batch {
        // Nobody listening any more is the reader's choice; this task is about to be aborted.
        let _ = events.send(Ok(event)).await;
    }
}
