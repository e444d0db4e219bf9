//! The way of one request, in the order it happens. Each phase is a file; the order is written once, in
//! [`super::connection`]:
//!
//! accept → **challenge** → **route** → **admit** → **request** → **balance** → **upstream** (one or more **attempt**s) → **response** → **log**
//!
//! To add a middleware: a file beside [`admit`] (decide whether and how) or [`request`] (change what is sent), and
//! one line where its phase lists its members.

pub(crate) mod admit;
pub(crate) mod attempt;
pub(crate) mod balance;
pub(crate) mod challenge;
pub(crate) mod log;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod upstream;
