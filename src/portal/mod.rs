//! The portal: server-rendered pages at `wharf.<domain>` for everything people do.
//!
//! A request's way: [`outer::finish`] (panics, failures as pages, headers) → the gate of [`crate::api::access`] → a handler, which
//! calls one verb of [`crate::apps`] and answers with a page or sends the browser on.
//!
//! A page is one file of `pages/` (struct, form, handlers) and one template of the same name; both whole page and
//! fragment for htmx come from that one template. [`shell::Shell`] is what every page knows. Texts live in
//! `templates/i18n/`, one file per language; styles and the little script in `static/`.
//!
//! Invariants: no text stands in a template; state is a word with a mark, never colour alone; the pages work under
//! a policy that allows no inline script and no inline style; each page has samples, and the tests render all of them.
//!
//! To add a page: `pages/name.rs` with `samples`, `templates/pages/name.html`, its texts in every language,
//! its lines in `routes.rs` and in `tests/mod.rs`.

mod answer;
mod app_view;
mod assets;
mod context;
mod dotenv;
mod forms;
mod graph;
mod i18n;
mod live;
mod outer;
mod pages;
mod progress;
mod routes;
#[cfg(test)]
mod samples;
mod shell;
#[cfg(test)]
mod tests;
mod visit;
mod when;

use crate::api::access::{Guard, Mounted};
use crate::apps::Apps;
use crate::kernel::clock::Clock;
use crate::kernel::random::Random;

/// What pages are made from. Clones share everything.
#[derive(Clone)]
pub struct PortalState {
    apps: Apps,
    guard: Guard,
    clock: Clock,
    random: Random,
}

impl PortalState {
    /// The portal over these parts; the guard is the one all rooms share.
    #[must_use]
    pub fn new(apps: Apps, guard: Guard, clock: Clock, random: Random) -> Self {
        Self { apps, guard, clock, random }
    }
}

/// The mounted portal.
#[must_use]
pub fn router(state: PortalState) -> Mounted {
    routes::mount(state)
}
