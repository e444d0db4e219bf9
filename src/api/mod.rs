//! api
pub mod access;
pub mod problem;
