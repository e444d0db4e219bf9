//! The portal: server-rendered pages at `wharf.<domain>` for everything people do.
//!
//! A page is one file of `pages/` (struct, form, handlers) and one template of the same name; both whole page and
//! fragment for htmx come from that one template. [`shell::Shell`] is what every page knows. Texts live in
//! `templates/i18n/`, one file per language; styles and the little script in `static/`.
//!
//! Invariants: no text stands in a template; state is a word with a mark, never colour alone; the pages work under
//! a policy that allows no inline script and no inline style; each page has samples, and the tests render all of them.
//!
//! To add a page: `pages/name.rs` with `samples`, `templates/pages/name.html`, its texts in every language,
//! its routes beside its handlers, one line in `tests/mod.rs`.

mod app_view;
mod assets;
mod dotenv;
mod forms;
mod i18n;
mod pages;
mod progress;
#[cfg(test)]
mod samples;
mod shell;
#[cfg(test)]
mod tests;
mod when;
