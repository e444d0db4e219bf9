//! Builds: from an app's source to a plan, from the plan to a Dockerfile.
//!
//! This half of the room is pure: [`SourceTree`] holds what is known of the source, [`detect`] decides, [`render`] writes. Nothing in it
//! starts a process or speaks to Docker, so `wharf build --print` and `--plan` work offline and the tests need no machine.
//! Around it lie the helpers that touch files: [`archive`] moves trees as tar streams and refuses what could do harm,
//! [`static_server`] serves finished sites.
//!
//! Invariants:
//! - A plan leaves nothing to choose; the Dockerfile follows from the plan alone, and the same plan gives the same bytes.
//! - The order of inputs is fixed: setting, Compose file, Dockerfile, Procfile and `app.json` with language detection, static site.
//! - Nothing from the source is dropped in silence: what is not honoured becomes a note, what is malformed an error with its place.
//! - Every cache id starts with the app's scope, those of an app's own Dockerfile too. No secret, build argument or index address ends in an image.
//!
//! To add one more language: a file in `providers/` with a `SPEC`, its line in `providers/mod.rs`, its base images in
//! `settings.rs`, and a fixture in `tests/`.

mod appjson;
pub mod archive;
mod caches;
mod command;
mod detect;
mod dockerfile;
mod dockerignore;
mod error;
mod findings;
mod model;
mod parse;
mod print;
mod procfile;
mod providers;
mod settings;
mod source;
pub mod static_server;
mod userfile;
mod versions;

#[cfg(test)]
mod tests;

pub use caches::scope_caches;
pub use detect::{detect, recognise};
pub use dockerfile::render;
pub use error::{DetectError, Position};
pub use findings::Finding;
pub use model::*;
pub use print::{PrintError, plan_json, print_dockerfile};
pub use settings::{BASE_IMAGES, BaseImages, Platform, Settings};
pub use source::{Content, SourceTree};
