//! Getting code in by `git push`, over HTTP and SSH. The server side of git is the system's `git`, driven by argument
//! vectors; this room lets people in, carries bytes, and turns a push into a deploy whose progress the pusher sees live.
//!
//! **The way of a push.** A transport ([`http`], [`ssh`]) authenticates and authorises through [`GitBackend`]; the right
//! to push is taken *before* `git receive-pack` runs, so a second pusher is told at once. git receives the pack into
//! quarantine and runs the hook `pre-receive`, which is this very binary under another name ([`hook`]). The hook tells
//! the server over a Unix socket what is pushed; the server judges it (`rules`), looks for what an archive cannot hold
//! (`contents`), and hands the files as a tar stream to the backend. Lines come back through the hook as `remote:`
//! lines. Only if the deploy succeeds does the hook exit with 0, and only then does git move the branch: the branch
//! always names what was deployed last with success (or stored by `skip-deploy`).
//!
//! **Why the server runs `git archive` and not the hook.** Both work in quarantine. Here the hook stays a courier that
//! holds no stream, the deploy reads straight from git with back-pressure, a vanished client stops everything by one
//! cancellation, and the socket carries nothing but names, each checked: the hook cannot point the server at a path.
//!
//! Invariants:
//! - What may be done is decided by the path and the program it names, never by a query or a header.
//! - Foreign and missing repositories get the same answer.
//! - git inherits no environment and reads no configuration but the one in `commands`; names in argument vectors are of
//!   validated types.
//! - Nothing is collected in memory: bodies stream both ways, and a slow reader slows git down.
//! - Every git process has a deadline, belongs to a process group that is ended when the client goes, and counts
//!   against a limit.
//! - [`Push::end`] is called exactly once for every push that began.
//!
//! To add one more push option: a line in `rules::decide`, a field in [`PushedCommit`]. To add one more thing a tree
//! may not contain: `contents::Findings`. To add one more route: a line in [`http::ROUTES`].

mod archive;
mod backend;
mod commands;
mod commit;
mod contents;
mod exchange;
mod gunzip;
pub mod hook;
mod hook_protocol;
mod hook_server;
pub mod http;
mod maintenance;
mod path;
mod pktline;
mod registry;
mod repositories;
mod rules;
mod service;
pub mod ssh;
mod text;
mod uploads;

#[cfg(test)]
mod tests;

pub use crate::tenancy::ssh_keys::{KeyError, PublicKeyInfo, parse_public_key};
pub use backend::{
    Access, ArchiveStream, Busy, Credential, CredentialId, Denied, DeployEvent, DeployStream, GitBackend, GitFuture,
    Principal, Push, PushedCommit, Repo,
};
pub use path::RepoPath;
pub use service::{Git, Limits, Settings, StartError};
