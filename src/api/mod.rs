//! The public HTTP API: REST and JSON below `/api/v1`, described by OpenAPI, spoken by the command line and by programs.
//!
//! A request's way: [`reply::finish`] (panics, error ids, ETags) → the gate of [`access`] → perhaps
//! [`idempotency`] → a handler, which reads the request with the extractors of [`extract`], calls one verb of
//! [`crate::apps`] and shapes its answer. Handlers decide nothing.
//!
//! Invariants:
//! * Every route stands in `routes.rs` with its declaration; nothing is mounted elsewhere.
//! * Every error is a [`problem::Problem`]; causes inside the platform go to the log under an id, never to the client.
//! * Every path is described: a test compares the description with the table, and the committed one with the code.
//! * Nothing of a request is held in memory without a limit; uploads are streamed.
//!
//! To add a path: its handler in the file of its subject with its `utoipa::path`, its line in `routes.rs`, its name in the
//! list of `openapi.rs`, and a refreshed `docs/openapi.json` (the failing test says how).

pub mod access;
mod accounts;
mod certificates;
mod changes;
mod extract;
mod gateway;
mod idempotency;
mod jobs;
mod logs;
mod members;
pub mod model;
mod openapi;
mod operations;
mod platform;
pub mod problem;
mod projects;
mod reply;
mod routes;
mod run;
mod stacks;
mod streaming;
pub mod system;

pub use reply::Page;
pub use system::{SystemFuture, SystemInfo, SystemView};

use std::sync::{Arc, OnceLock};

use crate::apps::Apps;
use crate::kernel::clock::Clock;
use crate::kernel::random::Random;

/// Uploads are cut off at so many bytes unless the operator says otherwise: 512 MiB.
pub const UPLOAD_LIMIT: u64 = 512 * 1024 * 1024;

/// What handlers work with. Clones share everything.
#[derive(Clone)]
pub struct ApiState {
    apps: Apps,
    guard: access::Guard,
    clock: Clock,
    random: Random,
    system: Arc<dyn SystemInfo>,
    upload_limit: u64,
    /// The description of the API, made from the table when it is mounted.
    document: Arc<OnceLock<String>>,
}

impl ApiState {
    /// The API over these parts. All rooms share one guard, and with it the memory of failed credentials.
    #[must_use]
    pub fn new(
        apps: Apps,
        guard: access::Guard,
        clock: Clock,
        random: Random,
        system: Arc<dyn SystemInfo>,
        upload_limit: u64,
    ) -> Self {
        Self { apps, guard, clock, random, system, upload_limit, document: Arc::default() }
    }
}

/// The mounted API.
#[must_use]
pub fn router(state: ApiState) -> access::Mounted {
    routes::mount(state)
}

#[cfg(test)]
mod tests;
