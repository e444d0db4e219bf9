//! One push: its operation, from the right to push to the last line the pusher sees.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;

use super::git_backend::Backend;
use crate::apps::{Caller, SourceDeploy};
use crate::git::{ArchiveStream, DeployEvent, DeployStream, GitFuture, Push, PushedCommit};
use crate::kernel::error::chain;
use crate::operations::{FollowItem, LineKind, Operation, State};

/// A push that has the right to deploy.
pub(super) struct RunningPush {
    backend: Backend,
    caller: Caller,
    operation: Operation,
    /// Where the app answers.
    url: Option<String>,
    /// Whether a deploy was asked for: what only moved tags leaves no trace.
    deployed: AtomicBool,
}

/// Cancels the operation when the pusher goes away in the middle.
struct CancelOnDrop {
    backend: Backend,
    operation: Option<crate::kernel::id::OperationId>,
}

impl CancelOnDrop {
    /// It has ended by itself.
    fn disarm(&mut self) {
        self.operation = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.operation.take() {
            tracing::info!(operation.id = %id, "the pusher has gone; the deploy is cancelled");
            let _ = self.backend.operations().cancel(&id);
        }
    }
}

impl RunningPush {
    pub(super) fn new(backend: Backend, caller: Caller, operation: Operation, url: Option<String>) -> Self {
        Self { backend, caller, operation, url, deployed: AtomicBool::new(false) }
    }

    /// Stores the source, launches the operation, and turns its log into lines for the pusher.
    fn events(
        &self,
        commit: PushedCommit,
        archive: ArchiveStream,
    ) -> impl futures_util::Stream<Item = DeployEvent> + Send + '_ {
        self.deployed.store(true, Ordering::SeqCst);
        let begin = async move {
            match self.launch(commit, archive).await {
                Ok(()) => self.follow().boxed(),
                Err(reason) => futures_util::stream::iter([DeployEvent::Failed(vec![reason])]).boxed(),
            }
        };
        futures_util::stream::once(begin).flatten()
    }

    async fn launch(&self, commit: PushedCommit, archive: ArchiveStream) -> Result<(), String> {
        let apps = &self.backend.apps;
        let deploy = SourceDeploy {
            commit: Some(commit.id),
            message: commit.subject,
            request: crate::pipelines::Request { no_cache: commit.no_cache, ..Default::default() },
            base: None,
            cause: "push".to_owned(),
        };
        apps.remember_branch(&self.caller, &self.operation.environment, &commit.branch).await.map_err(|e| chain(&e))?;
        let operation = apps.amend_source(self.operation.clone(), &deploy).await.map_err(|e| chain(&e))?;
        apps.run_source(operation, archive).await.map_err(|e| chain(&e))?;
        Ok(())
    }

    fn follow(&self) -> impl futures_util::Stream<Item = DeployEvent> + Send + '_ {
        let operations = self.backend.operations();
        let mut guard = CancelOnDrop { backend: self.backend.clone(), operation: Some(self.operation.id.clone()) };
        let mut last_error = None;
        let url = self.url.clone();
        operations.follow(&self.caller.tenant, &self.operation.id, 0).filter_map(move |item| {
            let event = match item {
                Ok(FollowItem::Line(line)) => Some(DeployEvent::Line(match line.kind {
                    LineKind::Step => format!("-----> {}", line.line),
                    LineKind::Output => format!("       {}", line.line),
                    LineKind::Notice => format!(" !     {}", line.line),
                    LineKind::Error => {
                        last_error = Some(line.line.clone());
                        format!(" !     {}", line.line)
                    }
                })),
                Ok(FollowItem::End(ended)) => {
                    guard.disarm();
                    Some(end_event(&ended, last_error.as_deref(), url.as_deref()))
                }
                Err(error) => Some(DeployEvent::Failed(vec![chain(&error)])),
            };
            futures_util::future::ready(event)
        })
    }
}

fn end_event(ended: &Operation, last_error: Option<&str>, url: Option<&str>) -> DeployEvent {
    let summary = ended.summary.clone().unwrap_or_default();
    if ended.state == State::Succeeded {
        return DeployEvent::Done(url.into_iter().map(|u| format!("       {u}")).collect());
    }
    // The reason stands in the log already; what is left to say is what it means.
    let mut lines = Vec::new();
    if last_error != Some(summary.as_str()) {
        lines.push(summary);
    }
    lines.push("the push is rejected; what served before goes on".to_owned());
    DeployEvent::Failed(lines)
}

impl Push for RunningPush {
    fn deploy(&self, commit: PushedCommit, archive: ArchiveStream) -> DeployStream<'_> {
        Box::pin(self.events(commit, archive))
    }

    fn end(self: Box<Self>) -> GitFuture<'static, ()> {
        Box::pin(async move {
            let operations = self.backend.operations();
            if !self.deployed.load(Ordering::SeqCst)
                && let Err(error) = operations.discard(&self.operation.id).await
            {
                tracing::error!(operation.id = %self.operation.id, error = chain(&error), "a push could not be taken back");
            }
        })
    }
}
