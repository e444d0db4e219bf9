//! What is counted about a listener, all threads together: connections are few compared with requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::model::Transport;

/// Counters of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerStats {
    pub open: AtomicU32,
    pub total: AtomicU64,
    /// Closed or dropped because a limit was reached or a greeting was not understood.
    pub refused: AtomicU64,
    /// No upstream took the connection.
    pub failed: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
}

impl ListenerStats {
    /// Counts a connection, unless there are too many.
    pub(crate) fn admit(self: &Arc<Self>, most: u32) -> Option<Admitted> {
        if self.open.fetch_add(1, Relaxed) >= most {
            self.open.fetch_sub(1, Relaxed);
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        self.total.fetch_add(1, Relaxed);
        Some(Admitted(Arc::clone(self)))
    }

    pub(crate) fn moved(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
    }
}

/// A counted connection; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Admitted(Arc<ListenerStats>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// One listener as this ingress sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerStatus {
    pub id: String,
    pub protocol: Transport,
    /// Where it listens; nothing when it could not be bound.
    pub listening: Option<std::net::SocketAddr>,
    /// Why it does not listen.
    pub error: Option<String>,
    pub open: u32,
    pub total: u64,
    /// Turned away by a limit, or because the greeting was not understood.
    pub refused: u64,
    /// No upstream took them.
    pub failed: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl ListenerStatus {
    pub(crate) fn of(id: &str, protocol: Transport, stats: &ListenerStats) -> Self {
        Self {
            id: id.to_owned(),
            protocol,
            listening: None,
            error: None,
            open: stats.open.load(Relaxed),
            total: stats.total.load(Relaxed),
            refused: stats.refused.load(Relaxed),
            failed: stats.failed.load(Relaxed),
            bytes_in: stats.bytes_in.load(Relaxed),
            bytes_out: stats.bytes_out.load(Relaxed),
        }
    }
}
