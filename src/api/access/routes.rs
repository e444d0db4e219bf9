//! The table of routes: what is mounted, and who may call it.

use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, Router, on};
use http::Method;
use http::request::Parts;

use super::credential::Schemes;
use super::guard::{Guard, guarded};
use super::refusal::Refusal;
use super::rules::{Access, Declare, Scope};

/// How a room takes credentials and shows refusals.
#[derive(Clone, Copy)]
pub struct Face {
    pub schemes: Schemes,
    /// Makes the answer from the refusal and the head of the request.
    pub refuse: fn(&Refusal, &Parts) -> Response,
}

/// One mounted route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// None stands for every method.
    pub method: Option<Method>,
    /// The path with its `{parameters}`.
    pub path: String,
    pub access: Access,
}

/// A table in the making. Handlers read the state `S` with [`super::State`].
pub struct Routes<S> {
    guard: Guard,
    face: Face,
    state: S,
    router: Router,
    list: Vec<Entry>,
}

/// A finished table.
pub struct Mounted {
    router: Router,
    list: Vec<Entry>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// An empty table.
    pub fn new(guard: Guard, face: Face, state: S) -> Self {
        Self { guard, face, state, router: Router::new(), list: Vec::new() }
    }

    /// Mounts a handler for `GET` (and `HEAD`).
    #[must_use]
    pub fn get<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(Some(Method::GET), path, access, on(MethodFilter::GET, handler))
    }

    /// Mounts a handler for `POST`.
    #[must_use]
    pub fn post<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(Some(Method::POST), path, access, on(MethodFilter::POST, handler))
    }

    /// Mounts a handler for `PUT`.
    #[must_use]
    pub fn put<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(Some(Method::PUT), path, access, on(MethodFilter::PUT, handler))
    }

    /// Mounts a handler for `PATCH`.
    #[must_use]
    pub fn patch<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(Some(Method::PATCH), path, access, on(MethodFilter::PATCH, handler))
    }

    /// Mounts a handler for `DELETE`.
    #[must_use]
    pub fn delete<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(Some(Method::DELETE), path, access, on(MethodFilter::DELETE, handler))
    }

    /// Mounts a handler for every method, for what a room answers below a path it owns (`/api/{*rest}`).
    #[must_use]
    pub fn any<D: Declare, T: 'static>(self, path: &str, access: D, handler: impl Handler<T, Scope<D, S>>) -> Self {
        self.mount(None, path, access, axum::routing::any(handler))
    }

    /// # Panics
    /// When a path within a tenant has no `{tenant}`, or another one has: a mistake in the table, found by any test.
    fn mount<D: Declare>(
        mut self,
        method: Option<Method>,
        path: &str,
        access: D,
        route: MethodRouter<Scope<D, S>>,
    ) -> Self {
        let access = access.access();
        let names_tenant = path.split('/').any(|part| part == "{tenant}");
        assert_eq!(
            names_tenant,
            matches!(access, Access::Tenant(_)),
            "{path}: a path has {{tenant}} exactly when its route is declared `Within` a tenant"
        );
        let route = route.with_state::<()>(Scope::new(self.state.clone()));
        self.router = self.router.route(path, guarded(route, method.is_none(), self.guard.clone(), self.face, access));
        self.list.push(Entry { method, path: path.to_owned(), access });
        self
    }

    /// What is mounted.
    #[must_use]
    pub fn finish(self) -> Mounted {
        Mounted { router: self.router, list: self.list }
    }
}

impl Mounted {
    /// The routes with who may call them, in the order they were mounted.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.list
    }

    /// Both tables in one.
    ///
    /// # Panics
    /// When both mount the same method and path.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        Self { router: self.router.merge(other.router), list: self.list }
    }

    /// Wraps all routes of the table, for what does not decide about access (request ids, headers, compression).
    #[must_use]
    pub fn wrap(self, with: impl FnOnce(Router) -> Router) -> Self {
        Self { router: with(self.router), list: self.list }
    }

    /// The router to serve.
    pub fn into_router(self) -> Router {
        self.router
    }
}
