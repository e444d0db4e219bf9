//! Certificates for HTTPS: had from an authority over ACME, from this installation's own for `localhost`, or uploaded.
//!
//! The way through the room: [`task`] looks at which hosts there are and what is kept ([`store`]), lets [`rules`] judge
//! each host (pure), has certificates made by [`local_ca`] or ordered by [`acme`], and hands the whole of what the
//! ingress shall serve ([`model::Serving`]) to whoever publishes it ([`Publish`]). [`handle`] is what other rooms hold.
//!
//! Invariants:
//! - Private keys and the account's key are kept sealed; they are opened only on the way to the ingress.
//! - A certificate answers for hosts of its own tenant only, whatever names it holds; the platform's for all.
//! - A certificate that holds is never taken away by a failed renewal; one that has ended serves on until there is a
//!   better one, because an expired certificate tells more than a closed door.
//! - What was uploaded is checked before it is kept ([`chain`]): the ingress takes a table whole or not at all.
//! - The loop is level-triggered: a pass takes no arguments and may run at any time; an attempt that a crash cut off is
//!   simply made again, after the pause its row says.
//! - No authority is asked more often than it allows: pauses grow with failures, `Retry-After` is kept, and orders are
//!   counted over a week for each registered domain and each name.
//!
//! To add one more kind of challenge: a variant of [`settings::ChallengeKind`], its answer in [`acme`], and where the
//! ingress gives it, a field of [`model::Serving`].

mod acme;
pub mod chain;
mod error;
mod handle;
mod local_ca;
pub mod model;
pub mod names;
pub mod rules;
mod serving;
pub mod settings;
mod store;
mod task;

pub use error::CertificateError;
pub use handle::{Certificates, HostView, Parts, Summary};
pub use serving::SecureHosts;
pub use settings::{AcmeSettings, HttpsSettings};
pub use task::Publish;

#[cfg(test)]
mod tests;
