//! Wharf: one static binary that turns a Linux VM with Docker into a multi-tenant PaaS.
//! `docs/ARCHITECTURE.md` is the map.

pub mod engine;
pub mod ingress;
pub mod kernel;
pub mod stack;
pub mod store;
