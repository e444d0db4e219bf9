//! Wharf: one static binary that turns a Linux VM with Docker into a multi-tenant PaaS.
//! `docs/ARCHITECTURE.md` is the map.

pub mod apps;
pub mod engine;
pub mod kernel;
pub mod portal;
pub mod stack;
pub mod store;
pub mod tenancy;
