//! Who may call a route: declared where the route is mounted, checked before its handler runs.
//!
//! Every room that answers HTTP mounts its routes with [`Routes`]; there is no other way. A route is a method, a path,
//! one of four declarations, and a handler:
//!
//! * [`Public`] says anybody;
//! * [`Account`] says anybody with a valid credential, for their own account;
//! * [`Operator`] says operators of the platform;
//! * [`Within`] says members of the tenant in the path whose role and credential carry a [`Permission`].
//!
//! Invariants:
//! * The declaration decides in the type system what a handler can ask for: [`Me`] exists only where somebody is known,
//!   [`In`] and [`App`] only within a tenant. A handler that asks for more than its route declares does not compile.
//! * A refusal comes from here alone, before the handler or the body is touched; a foreign tenant and a missing
//!   one are refused with the same words.
//! * The list of mounted routes is kept, so that a test can try all of them with every kind of credential.
//!
//! To add a way to show a credential: a variant of [`Schemes`] and its line in `credential.rs`.

mod credential;
mod csrf;
mod extract;
mod failures;
mod guard;
#[cfg(test)]
pub(crate) mod matrix;
mod refusal;
mod routes;
mod rules;

pub use credential::{SESSION_COOKIE, Schemes};
pub use csrf::{CSRF_FIELD, CSRF_HEADER};
pub use extract::{App, ClientAddress, In, Me, State};
pub use guard::Guard;
pub use refusal::Refusal;
pub use routes::{Entry, Face, Mounted, Routes};
pub use rules::{Access, Account, Declare, Known, Operator, Public, Scope, Within};

pub use crate::tenancy::roles::Permission;

#[cfg(test)]
mod tests;
