//! The server's end of the hook: takes its connection on a Unix socket, judges the push, and deploys.
//!
//! The hook hands over no path and no content, only a token, references and the *name* of the quarantine directory;
//! the server runs `git archive` itself, in a repository it knows by the token. A forged connection (it would
//! need this user's rights anyway) could therefore name nothing outside the one push whose token it holds.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::PoisonError;

use futures_util::StreamExt;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::archive;
use super::backend::{DeployEvent, Push, PushedCommit};
use super::commands::View;
use super::commit;
use super::contents;
use super::hook_protocol::{HookReply, HookRequest, MAX_REQUEST};
use super::registry::{Registry, Session};
use super::repositories::{self, RepositoryError};
use super::rules::{self, Verdict, short};
use super::text;
use super::uploads::is_quarantine;
use crate::kernel::error::chain;
use crate::kernel::process::ProcessError;

/// Why a hook was not served to its end.
#[derive(Debug, Error)]
enum HookError {
    #[error("the hook's connection broke")]
    Connection(#[from] io::Error),
    #[error("the hook spoke nonsense")]
    Malformed(#[from] serde_json::Error),
    #[error("the hook's token is unknown or was used before")]
    Token,
    #[error("`{0}` is no name git gives to a quarantine directory or an object")]
    Name(String),
    #[error("the repository could not be read")]
    Repository(#[from] RepositoryError),
    #[error("git could not read the pushed commit")]
    Git(#[from] ProcessError),
    #[error("the pushed files could not be looked at")]
    Contents(#[from] contents::ReadError),
}

/// Binds the socket, readable by this user only; a stale one is replaced.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves one connection of a hook.
pub(super) async fn serve(stream: UnixStream, registry: Registry) {
    let (reader, writer) = stream.into_split();
    let mut reply = Reply(writer);
    let mut reader = BufReader::new(reader.take(MAX_REQUEST));
    let session = match admit(&mut reader, &registry).await {
        Ok((session, request)) => (session, request),
        Err(error) => {
            tracing::warn!(error = chain(&error), "a git hook was turned away");
            let _ = reply.end(false).await;
            return;
        }
    };
    let (session, request) = session;
    let verdict = tokio::select! {
        verdict = judge(&session, &request, &mut reply) => verdict,
        () = session.over.cancelled() => return,
        () = hung_up(reader.into_inner().into_inner()) => return,
    };
    let accepted = match verdict {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::error!(error = chain(&error), repository = %session.repo.path, "a push could not be judged");
            let _ = reply.say(&format!("Wharf could not take this push: {}", chain(&error))).await;
            false
        }
    };
    let _ = reply.end(accepted).await;
}

async fn admit(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    registry: &Registry,
) -> Result<(Arc<Session>, HookRequest), HookError> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let request: HookRequest = serde_json::from_str(&line)?;
    let session = registry.take(&request.token).ok_or(HookError::Token)?;
    Ok((session, request))
}

/// Ends when the hook has gone. It says nothing after its request.
async fn hung_up(mut reader: OwnedReadHalf) {
    let mut byte = [0];
    while matches!(reader.read(&mut byte).await, Ok(1)) {}
}

/// Judges the push and, if it is to be deployed, deploys. Gives whether it is accepted.
async fn judge(session: &Session, request: &HookRequest, reply: &mut Reply) -> Result<bool, HookError> {
    let push = session.push.lock().await;
    let push = match push.as_ref() {
        Ok(push) => push,
        Err(busy) => {
            reply.say(busy).await?;
            return Ok(false);
        }
    };
    let branch = repositories::deploy_branch(&session.directory, session.repo.deploy_branch.as_deref()).await?;
    match rules::decide(&request.updates, &request.options, &branch) {
        Verdict::Refuse(lines) => {
            reply.say_all(&lines).await?;
            Ok(false)
        }
        Verdict::Store(lines) => {
            reply.say_all(&lines).await?;
            accept_stored(session, request);
            Ok(true)
        }
        Verdict::Deploy { branch, commit, previous, no_cache } => {
            let view = view(session, request, &commit)?;
            let findings = contents::inspect(&view, &commit).await?;
            if let Some(lines) = findings.refusal() {
                reply.say_all(&lines).await?;
                return Ok(false);
            }
            let facts = commit::parse(&view.commit(&commit).run().await?.stdout);
            reply.say(&format!("Received {} on {branch}: {}", short(&commit), facts.subject)).await?;
            let pushed = PushedCommit {
                id: commit.clone(),
                branch: branch.clone(),
                previous,
                subject: facts.subject,
                author: facts.author,
                no_cache,
            };
            let accepted = deploy(push.as_ref(), pushed, &view, &commit, reply).await?;
            if accepted {
                *session.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(branch);
            }
            Ok(accepted)
        }
    }
}

/// A branch that is stored without a deploy settles the deploy branch as well.
fn accept_stored(session: &Session, request: &HookRequest) {
    let branch = request
        .updates
        .iter()
        .find_map(|update| update.new_id().and(update.name.strip_prefix("refs/heads/")).map(str::to_owned));
    *session.accepted.lock().unwrap_or_else(PoisonError::into_inner) = branch;
}

fn view(session: &Session, request: &HookRequest, commit: &str) -> Result<View, HookError> {
    let quarantine = request.quarantine.clone();
    if let Some(name) = &quarantine
        && !is_quarantine(name)
    {
        return Err(HookError::Name(name.clone()));
    }
    if commit.is_empty() || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(HookError::Name(commit.to_owned()));
    }
    Ok(View { repository: session.directory.clone(), quarantine })
}

async fn deploy(
    push: &dyn Push,
    pushed: PushedCommit,
    view: &View,
    commit: &str,
    reply: &mut Reply,
) -> Result<bool, HookError> {
    let mut events = push.deploy(pushed, archive::open(view, commit)?);
    while let Some(event) = events.next().await {
        match event {
            DeployEvent::Line(line) => reply.say(&line).await?,
            DeployEvent::Done(lines) => {
                reply.say_all(&lines).await?;
                return Ok(true);
            }
            DeployEvent::Failed(lines) => {
                reply.say_all(&lines).await?;
                reply.say("The push was rejected; what ran before still runs.").await?;
                return Ok(false);
            }
        }
    }
    reply.say("The deploy ended without a result; look at `wharf status`, then push again.").await?;
    Ok(false)
}

/// The way back to the hook.
struct Reply(OwnedWriteHalf);

impl Reply {
    async fn say(&mut self, text: &str) -> io::Result<()> {
        for line in text::lines(text) {
            self.send(&HookReply::Say(line)).await?;
        }
        Ok(())
    }

    async fn say_all(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            self.say(line).await?;
        }
        Ok(())
    }

    async fn end(&mut self, accepted: bool) -> io::Result<()> {
        self.send(&HookReply::End { accepted }).await
    }

    async fn send(&mut self, reply: &HookReply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply).map_err(io::Error::other)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}
