//! What shall run: the [`Stack`] (all services of one environment) and its immutable snapshot, the [`Revision`].
//!
//! Everything here is pure: no I/O, no clock, no randomness. A stack arrives here as values of closed types;
//! nothing a tenant wrote is passed through to the container engine.
//!
//! Invariants: the same stack always gives the same hash, whatever order it was written in; a revision never
//! changes after it was stored; images in a revision are pinned by the engine's content id.

pub mod compose;
pub mod cron;
pub mod diff;
pub mod graph;
pub mod lifecycle;
pub mod model;
pub mod placement;
pub mod quota;

pub use model::{HealthCheck, ImageRef, Limits, Protocol, Revision, Service, ServiceKind, Stack};

#[cfg(test)]
mod tests;
