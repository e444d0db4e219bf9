//! The state on disk: one SQLite file, one writer, several readers.
//!
//! Invariants: WAL with `synchronous=FULL`, so a committed transaction survives loss of power; foreign keys on;
//! a write transaction is begun `IMMEDIATE`, so that it never fails half-way for want of the lock; SQL stands
//! only in the rooms' `store.rs` files and is checked at compile time against the migrations
//! (`tests/sqlx.sh` makes a database from them and refreshes the committed data in `.sqlx/`).
//!
//! To add a table: a new file in `migrations/`, never an edit of one that was shipped.

pub mod settings;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use thiserror::Error;

pub use write::Write;

/// Readers that may work at the same time; SQLite readers do not block each other.
const READERS: u32 = 4;

/// How long a caller waits for the writer or a reader before it is told so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the state could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the database {path}")]
    Open {
        path: String,
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the database up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A query failed.
    #[error("the database refused a query")]
    Query(#[from] sqlx::Error),
    /// A stored value cannot be read back.
    #[error("the database holds a value that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether a uniqueness rule of the schema was broken, and which columns it names.
    #[must_use]
    pub fn unique_violation(&self) -> Option<String> {
        match self {
            Self::Query(sqlx::Error::Database(e)) if e.is_unique_violation() => Some(e.message().to_owned()),
            _ => None,
        }
    }
}

/// The database: clones share the same connections.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Transactions committed by this process.
    commits: Arc<AtomicU64>,
}

impl Store {
    /// Opens (or makes) the database file and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or a migration fails (then nothing of it is kept).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            // Small page caches: the whole of Wharf has a memory promise to keep.
            .pragma("cache_size", "-512");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(READERS)
            .idle_timeout(Duration::from_secs(60))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(open)?;
        Ok(Self { writer, readers, commits: Arc::default() })
    }

    /// The connections for reading.
    #[must_use]
    pub fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins the write transaction of one request or tick; waits while another one is open.
    ///
    /// # Errors
    /// When the writer is not free within the time allowed.
    pub async fn write(&self) -> Result<Write, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write::new(transaction, Arc::clone(&self.commits)))
    }

    /// How many transactions this process has committed: while the number stays, whatever was read after it is current,
    /// since no other process writes.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Ends all connections; the WAL is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::Store;

    #[tokio::test]
    async fn what_was_not_committed_is_not_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
        let mut tx = store.write().await.expect("begins");
        super::settings::put(&mut tx, "a", "1").await.expect("writes");
        drop(tx);
        let mut tx = store.write().await.expect("begins");
        super::settings::put(&mut tx, "b", "2").await.expect("writes");
        tx.commit().await.expect("commits");
        assert_eq!(super::settings::get(&store, "a").await.expect("reads"), None);
        assert_eq!(super::settings::get(&store, "b").await.expect("reads").as_deref(), Some("2"));
        store.close().await;
        let again = Store::open(&dir.path().join("wharf.db")).await.expect("opens again");
        assert_eq!(super::settings::get(&again, "b").await.expect("reads").as_deref(), Some("2"));
    }
}
