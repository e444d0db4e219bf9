//! The revisions of each environment, and which of them shall run: the desired state the scheduler converges to.
//!
//! Invariants: revisions are numbered without gaps within an environment and never change; `target` is what shall run,
//! `serving` is the one that passed and takes traffic; each attempt to run something (deploy, rollback, restart) has a
//! generation of its own, so that its instances are never mistaken for those of an earlier attempt; a target that
//! failed is given up by pointing `target` back at `serving`, in one transaction with the reason.

pub mod model;
pub mod rollout;
pub mod store;

pub use model::{Attempt, Desired, Kept, Warm};
pub use rollout::Progress;
pub use store::{NewRevision, Stored};

#[cfg(test)]
mod tests;
