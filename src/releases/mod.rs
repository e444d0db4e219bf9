//! The revisions of each environment, and which of them shall run: the desired state the scheduler converges to.
//!
//! Invariants: revisions are numbered without gaps within an environment and never change; `target` is what shall run,
//! `serving` is the newest one that passed and takes traffic; a target that failed is given up by pointing `target`
//! back at `serving`, in one transaction with the reason.

pub mod store;

pub use store::{Desired, NewRevision, Stored};

#[cfg(test)]
mod tests;
