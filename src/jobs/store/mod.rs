//! The SQL of jobs.

pub mod attempts;
pub mod runs;
pub mod schedules;
