//! The verbs of the platform: make an app, configure it, deploy to it, look at it, take it away.
//!
//! API, portal and git speak to the rest of Wharf only through [`Apps`]. Each verb checks its rules, writes one
//! transaction, and leaves the work that takes time to an operation that the scheduler and the deploy pipeline drive.
//!
//! Invariants: every verb takes a [`Caller`], which can be made only from a permission that was checked;
//! every refusal is an [`AppError`] with a stable code, a sentence that says what and why, and, where there is one,
//! the next step.
//!
//! To add a verb: a method in the file of its subject, its types in `model.rs`, its route in `api/`.

pub mod error;
pub mod model;

pub use error::AppError;
pub use model::*;

mod accounts;
mod changes;
mod deploys;
mod projects;
mod streams;

pub use accounts::{NewPerson, SetupOutcome};
pub use streams::{LineStream, RunEvent, RunInput, RunSession};

use std::sync::Arc;

/// The verbs. Clones share everything.
#[derive(Clone)]
pub struct Apps {
    #[expect(dead_code, reason = "used by the verbs as they land")]
    inner: Arc<Inner>,
}

struct Inner {}
