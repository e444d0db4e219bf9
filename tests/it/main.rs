//! The whole product, from outside: the real program, a real Docker, real git, the real command line.
//!
//! [`harness`] starts a Wharf and takes it away again with all it made; [`repo`] pushes; [`command`] runs programs;
//! [`http`] asks apps and puts load on them; [`apps`] holds the small apps that are pushed. Each file of [`stories`] tells one part of the product.
//!
//! Stories share one Wharf where they can ([`harness::World::shared`]), each with apps of its own. What kills or
//! restarts processes takes a Wharf of its own ([`harness::World::start`]).
//!
//! To add a story: a file in `stories/`, or a function in one that is there.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod apps;
mod command;
mod dockerd;
mod harness;
mod http;
mod repo;
mod stories;
mod terminal;
