//! The SQL of revisions and of what shall run.

mod desired;
mod quotas;
mod revisions;

pub use desired::*;
pub use quotas::*;
pub use revisions::*;
