//! What runs where, and why not yet. (essay follows)

pub mod health;
pub mod lint;
pub mod memory;
pub mod model;
pub mod plan;
pub mod policy;
pub mod report;

#[cfg(test)]
mod tests;
