//! Errors of the ingress as a process. What a client of a proxied request sees is in [`super::problem`].

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the ingress could not start or had to stop.
#[derive(Debug, Error)]
pub enum IngressError {
    /// Nothing else can be bound instead: the caller decides on another port.
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("another ingress owns {} and did not hand over; stop it or use another run directory", lock.display())]
    Locked { lock: PathBuf },
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the snapshot in {} cannot be used", path.display())]
    SnapshotFile { path: PathBuf, source: SnapshotError },
    #[error("{}, line {line}: {reason}", path.display())]
    ConfigFile { path: PathBuf, line: usize, reason: String },
    #[error("cannot start worker thread {worker}: {source}")]
    Worker { worker: usize, source: std::io::Error },
    #[error("the running ingress did not hand over its sockets: {reason}")]
    Handover { reason: String },
    #[error("TLS cannot be set up: {reason}")]
    Tls { reason: String },
    #[error("give at least one address to listen on")]
    NoAddress,
}

/// Why a snapshot was refused; the table in use stays as it is.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("the snapshot is not valid JSON of this format: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("snapshot format {found} is not known to this ingress (it reads 1); upgrade the ingress first")]
    Version { found: u32 },
    #[error("{place} {reason}")]
    Invalid { place: String, reason: String },
    #[error("generation {offered} is older than generation {current} of the same boot")]
    Older { offered: u64, current: u64 },
    #[error("this ingress is handing over to its successor; send the snapshot again in a moment")]
    HandingOver,
    #[error("cannot keep the snapshot on disk: {0}")]
    Disk(std::io::Error),
}
