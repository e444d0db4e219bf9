//! What this room needs from the rest of Wharf: who somebody is, what they may do, and the deploy itself.
//! The composition root implements [`GitBackend`]; this room imports neither the API nor the portal.

use std::future::Future;
use std::pin::Pin;

use futures_util::Stream;
use thiserror::Error;
use tokio::io::AsyncRead;

use super::path::RepoPath;
use crate::kernel::id::{EnvironmentId, SshKeyId, TokenId, UserId};
use crate::kernel::secret::Secret;
use crate::tenancy::ssh_keys::PublicKeyInfo;

/// A boxed future, so that the traits can be used as objects.
pub type GitFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Progress of a deploy. It must yield [`DeployEvent::Done`] or [`DeployEvent::Failed`] before it ends.
/// Dropping it means the pusher is gone and the push will be rejected: the deploy must be cancelled.
pub type DeployStream<'a> = Pin<Box<dyn Stream<Item = DeployEvent> + Send + 'a>>;

/// The files of a commit as an uncompressed tar stream. It ends with an I/O error if git could not
/// write it to the end, so a truncated archive is never taken for a whole one.
pub type ArchiveStream = Pin<Box<dyn AsyncRead + Send>>;

/// What somebody shows to prove who they are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An API token, given as the password of HTTP Basic or as a bearer token.
    Token(Secret<String>),
    /// A public key whose private half the SSH client has proven to hold.
    SshKey(PublicKeyInfo),
}

/// Which stored credential was used; authorisation asks it again, so a revoked one stops at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialId {
    /// An API token.
    Token(TokenId),
    /// An SSH key.
    SshKey(SshKeyId),
}

/// A person who was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person's id.
    pub user: UserId,
    /// The name to greet them with and to show to others.
    pub name: String,
    /// How they came in.
    pub credential: CredentialId,
}

/// What is asked for. Each route and each SSH command has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Clone and fetch.
    Read,
    /// Push, which deploys.
    Push,
}

/// A repository somebody may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// The environment it feeds; its id is also the name of the directory on disk.
    pub environment: EnvironmentId,
    /// Where it is addressed.
    pub path: RepoPath,
    /// The branch that deploys, when it was set; otherwise the first pushed one of `main` and `master`.
    pub deploy_branch: Option<String>,
}

/// Why something is not allowed. `Display` is the sentence the user reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denied {
    /// The credential is unknown, expired or revoked.
    #[error("this credential is not known, or it was revoked")]
    Unauthenticated,
    /// There is no such repository, or it belongs to others: the two look alike.
    #[error("there is no such app, or you have no access to it")]
    NotFound,
    /// It is there, but this person may not do that; the reason says what is missing.
    #[error("{0}")]
    Forbidden(String),
    /// The question could not be answered now (the database is locked, say).
    #[error("Wharf cannot answer now: {0}")]
    Unavailable(String),
}

/// Why a push cannot begin now, as a sentence: "another deploy of shop is running: deploy by ann, since 12 s; …".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Busy(pub String);

/// The commit to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedCommit {
    /// Its full hash in hexadecimal.
    pub id: String,
    /// The branch without `refs/heads/`.
    pub branch: String,
    /// What the branch pointed at before; `None` on the first push.
    pub previous: Option<String>,
    /// The first line of the message.
    pub subject: String,
    /// The author's name as the commit has it (not authenticated).
    pub author: String,
    /// Build without caches (`git push -o no-cache`).
    pub no_cache: bool,
}

/// One step of a deploy as the pusher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployEvent {
    /// Progress; shown at once. May hold several lines; control characters are removed.
    Line(String),
    /// It is live; these lines close the push (the URL, for one).
    Done(Vec<String>),
    /// It failed: the cause and what to do. The push is rejected and the branch stays where it was.
    Failed(Vec<String>),
}

/// The right to push to one repository, taken before git runs; while it is held no other push or deploy
/// of the same environment begins.
pub trait Push: Send + Sync {
    /// Builds and deploys the commit. Called at most once.
    fn deploy(&self, commit: PushedCommit, archive: ArchiveStream) -> DeployStream<'_>;
    /// Gives the right back. This room calls it exactly once for every push that began: after success, after
    /// failure, and after the client has gone.
    fn end(self: Box<Self>) -> GitFuture<'static, ()>;
}

/// The rest of Wharf, seen from here.
pub trait GitBackend: Send + Sync + 'static {
    /// Who holds this credential?
    ///
    /// # Errors
    /// [`Denied::Unauthenticated`] or [`Denied::Unavailable`].
    fn authenticate(&self, credential: Credential) -> GitFuture<'_, Result<Principal, Denied>>;

    /// Does this key belong to somebody? Asked for keys an SSH client merely offers, before it has proven to hold
    /// them: it must change nothing, and nobody is let in by it.
    fn recognises<'a>(&'a self, key: &'a PublicKeyInfo) -> GitFuture<'a, bool>;

    /// May this person do that there?
    ///
    /// # Errors
    /// [`Denied::NotFound`] for missing and foreign alike, [`Denied::Forbidden`] only to those who may read it.
    fn authorize<'a>(
        &'a self,
        principal: &'a Principal,
        path: &'a RepoPath,
        access: Access,
    ) -> GitFuture<'a, Result<Repo, Denied>>;

    /// Would a push be let in now? Asked when a client opens the conversation over HTTP, so that it need not
    /// upload anything to learn that it has to wait. Takes nothing.
    ///
    /// # Errors
    /// The sentence that says what is running.
    fn ready_for_push<'a>(&'a self, repo: &'a Repo) -> GitFuture<'a, Result<(), Busy>>;

    /// Takes the right to push.
    ///
    /// # Errors
    /// The sentence that says what is running.
    fn begin_push<'a>(&'a self, repo: &'a Repo, principal: &'a Principal)
    -> GitFuture<'a, Result<Box<dyn Push>, Busy>>;
}
