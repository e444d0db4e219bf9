//! The SQL of revisions and of what shall run.

mod desired;
mod revisions;

pub use desired::*;
pub use revisions::*;
