//! The data plane: a reverse proxy that runs as a process of its own and is told complete route tables.
//!
//! It knows nothing of apps, tenants or containers: only its snapshot types. Thread per core, nothing shared on the
//! way of a request: each worker thread has its own sockets, runtime, upstream connections and counters
//! ([`core`], [`worker`]). HTTP/1.1 is parsed strictly by [`h1`] and goes through the phases of [`phases`], in the
//! order written in [`connection`]. HTTP/2 becomes exchanges of HTTP/1.1 and goes the same way ([`h2`]). What is not
//! HTTP is passed on by port ([`l4`]).
//!
//! Invariants:
//! - A snapshot is used completely or not at all, and never moves backwards ([`validate`], [`engine`]).
//! - What was served is served again after `kill -9` or a reboot, from disk, without being told ([`disk`]).
//! - Ambiguous framing is refused, never repaired ([`h1`]).
//! - Every wait has a deadline, every queue and buffer a limit ([`clock`], [`relay`]).
//! - An upgrade or a table swap loses no request ([`handover`], [`connection`]).
//! - An error of the control plane does not empty a route whose instances still answer ([`suspect`]).
//!
//! To add a middleware: see [`phases`]. To add a control request: a line in [`control`] and a function beside it.
//! To add a field to the snapshot: give it a default, so that old writers and old files stay readable.

mod access_log;
mod admin;
mod answer;
mod balance;
mod buffer;
pub mod client;
mod clock;
mod config_file;
mod connection;
mod control;
mod core;
mod crypto;
mod decimal;
mod disk;
mod edit;
mod encoder;
mod engine;
mod entry;
mod error;
mod grpc;
mod h1;
mod h2;
mod handover;
mod histogram;
mod l4;
mod listen;
mod log_level;
mod matching;
mod phases;
mod pool;
mod problem;
mod process;
mod proxy_protocol;
mod rate;
mod registry;
mod relay;
pub mod reports;
mod resilience;
mod shared;
pub mod snapshot;
mod socket;
mod splice;
mod stats;
pub mod status;
mod suspect;
mod table;
mod tls;
mod transaction;
mod tunnel;
mod validate;
mod view;
mod worker;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use error::{IngressError, SnapshotError};
pub use log_level::LogLevel;
pub use process::{IngressConfig, run};
pub use validate::validate;
