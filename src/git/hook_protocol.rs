//! What the `pre-receive` hook and the server say to each other over the Unix socket: JSON, one message a line.

use serde::{Deserialize, Serialize};

/// Names of the variables that lead the hook to the server.
pub(super) const SOCKET_VARIABLE: &str = "WHARF_GIT_HOOK_SOCKET";
/// The one-time token of this push.
pub(super) const TOKEN_VARIABLE: &str = "WHARF_GIT_PUSH_TOKEN";

/// Longest request of a hook, in bytes: room for some ten thousand reference updates.
pub(super) const MAX_REQUEST: u64 = 4 * 1024 * 1024;

/// One line of what git gives to `pre-receive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefUpdate {
    /// Hash before; all zeros when the reference is new.
    pub old: String,
    /// Hash after; all zeros when it is deleted.
    pub new: String,
    /// The full name, `refs/heads/main`.
    pub name: String,
}

impl RefUpdate {
    /// The hash after the push, if the reference is still there then.
    pub(super) fn new_id(&self) -> Option<&str> {
        existing(&self.new)
    }

    /// The hash before the push, if the reference was there.
    pub(super) fn old_id(&self) -> Option<&str> {
        existing(&self.old)
    }
}

fn existing(hash: &str) -> Option<&str> {
    (!hash.bytes().all(|b| b == b'0')).then_some(hash)
}

/// The hook's only message: what is being pushed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HookRequest {
    /// The one-time token it found in its environment.
    pub token: String,
    /// Name (not path) of the quarantine directory inside the repository's object directory.
    pub quarantine: Option<String>,
    /// The push options in the order given.
    pub options: Vec<String>,
    /// The reference updates.
    pub updates: Vec<RefUpdate>,
}

/// What the server answers: any number of lines, then an end. A connection that closes without an end is a rejection.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HookReply {
    /// Print this now.
    Say(String),
    /// It is over; the push is accepted or not.
    End { accepted: bool },
}
