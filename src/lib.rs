//! Wharf: one static binary that turns a Linux VM with Docker into a multi-tenant PaaS.
//! `docs/ARCHITECTURE.md` is the map.

pub mod api;
pub mod apps;
pub mod builds;
pub mod certificates;
pub mod cli;
pub mod engine;
pub mod gateway;
pub mod git;
pub mod ingress;
pub mod jobs;
pub mod kernel;
pub mod operations;
pub mod pipelines;
pub mod portal;
pub mod releases;
pub mod scheduler;
pub mod serve;
pub mod stack;
pub mod store;
pub mod tenancy;

#[cfg(test)]
mod architecture;
