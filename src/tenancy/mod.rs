//! Who there is and who may do what: tenants, people, roles, credentials, projects, environments, configuration.
//!
//! Invariants:
//! * A query of a table that belongs to a tenant takes a [`Tenant`], and one gets a [`Tenant`] only by
//!   [`access::enter`], which checks membership, role and token scope in one place, or by
//!   [`Tenant::platform`] for the platform's own loops. There is no sibling path.
//! * What one may not see does not exist: a foreign tenant and a missing one give the same answer.
//! * Passwords, session and API tokens are stored as hashes only; configuration values are sealed with the tenant's key.
//!
//! To add a permission: a variant of [`roles::Permission`] and its line in [`roles::Role::allows`].

pub mod access;
pub mod attempts;
pub mod credentials;
pub mod model;
pub mod roles;
pub mod ssh_keys;
pub mod store;
pub mod vault;

pub use access::{Denied, Principal, Tenant};
pub use roles::{Permission, Role, Scope};

#[cfg(test)]
mod tests;
