//! The four ways to declare who may call a route.

use std::marker::PhantomData;

use serde::Serialize;

use crate::tenancy::roles::Permission;

/// Who may call a route, as a value: for the guard, the API description and the test of all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Anybody.
    Public,
    /// Anybody with a valid credential; with `change`, one that may change their account.
    Account { change: bool },
    /// Operators of the platform.
    Operator,
    /// Members of the tenant in the path whose role and credential carry this.
    Tenant(Permission),
}

/// A declaration at the level of types; the handlers it admits take [`Scope`] of it as their state.
pub trait Declare: Send + Sync + 'static {
    /// The same as a value.
    fn access(&self) -> Access;
}

/// A declaration under which the caller is known by a valid credential.
pub trait Known: Declare {}

/// Anybody may call it.
#[derive(Debug, Clone, Copy)]
pub struct Public;

/// Somebody's own account.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    change: bool,
}

/// Operators of the platform, with a session or an unbound token of full scope.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

/// Members of the tenant in the path, with this permission.
#[derive(Debug, Clone, Copy)]
pub struct Within(pub Permission);

impl Account {
    /// Looking at one's own account: any valid credential will do.
    pub const SEE: Self = Self { change: false };
    /// Changing one's own account: a session or an unbound token of full scope.
    pub const CHANGE: Self = Self { change: true };
}

impl Declare for Public {
    fn access(&self) -> Access {
        Access::Public
    }
}

impl Declare for Account {
    fn access(&self) -> Access {
        Access::Account { change: self.change }
    }
}

impl Declare for Operator {
    fn access(&self) -> Access {
        Access::Operator
    }
}

impl Declare for Within {
    fn access(&self) -> Access {
        Access::Tenant(self.0)
    }
}

impl Known for Account {}
impl Known for Operator {}
impl Known for Within {}

/// The state of a handler under a declaration. It exists only to tie the extractors of this room to the declaration.
pub struct Scope<D, S> {
    pub(super) state: S,
    declared: PhantomData<fn() -> D>,
}

impl<D, S> Scope<D, S> {
    pub(super) fn new(state: S) -> Self {
        Self { state, declared: PhantomData }
    }
}

impl<D, S: Clone> Clone for Scope<D, S> {
    fn clone(&self) -> Self {
        Self::new(self.state.clone())
    }
}
