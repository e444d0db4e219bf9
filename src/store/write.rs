//! One write transaction.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::kernel::fail_point;

/// One write transaction; nothing is kept unless [`Write::commit`] is called.
#[derive(Debug)]
pub struct Write {
    transaction: Transaction<'static, Sqlite>,
    commits: Arc<AtomicU64>,
}

impl Write {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, commits: Arc<AtomicU64>) -> Self {
        Self { transaction, commits }
    }

    /// Keeps what was written.
    ///
    /// # Errors
    /// When the database could not store it; then nothing of it is kept.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        fail_point::reach("before a commit");
        let done = self.transaction.commit().await;
        // Also after an error: it may be one of the answer only.
        self.commits.fetch_add(1, Ordering::SeqCst);
        fail_point::reach("after a commit");
        done
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}
