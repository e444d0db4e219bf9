//! The pushes under way, by their one-time token.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::backend::{Push, Repo};

/// One push under way: what the hook's connection needs of it.
pub(super) struct Session {
    /// The repository.
    pub repo: Repo,
    /// Its directory.
    pub directory: PathBuf,
    /// The right to push, or the sentence that says why there is none. Taken out when the push ends.
    pub push: tokio::sync::Mutex<Result<Box<dyn Push>, String>>,
    /// Cancelled when git or the client has gone.
    pub over: CancellationToken,
    /// The branch that was accepted, once it is.
    pub accepted: Mutex<Option<String>>,
}

/// Pushes that wait for their hook. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Registry(Arc<Mutex<HashMap<String, Arc<Session>>>>);

impl Registry {
    /// Enters a push under its token.
    pub(super) fn enter(&self, token: &str, session: Arc<Session>) {
        self.lock().insert(token.to_owned(), session);
    }

    /// Gives the push out and forgets the token: it works once.
    pub(super) fn take(&self, token: &str) -> Option<Arc<Session>> {
        self.lock().remove(token)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
