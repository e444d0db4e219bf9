//! The way of one request, in the order it happens. Each phase is a file; the order is written in [`admitted`] for what
//! comes before the upstream, and in [`super::connection`] for the rest:
//!
//! accept → **challenge** → **route** → **admit** → **hold** → **valve** → **request** → **balance** → **upstream** (one
//! or more **attempt**s) → **response** → **log**
//!
//! | phase | may | members |
//! |---|---|---|
//! | route | find the route | [`route`] |
//! | admit | answer, or note headers for the answer; never waits | [`admit`]: https, [`robots`], [`address`], rate, maintenance, redirect, body size |
//! | hold | wait, bounded, and only for routes that use it | [`hold`]: [`basic_auth`], [`forward_auth`], waiting room |
//! | valve | refuse for lack of room; what it takes is given back at the end | [`valve`]: shedding, breaker, concurrency |
//! | request | change what is sent | [`request`], [`mirror`] |
//! | response | change what is answered | [`response`], [`compress`] |
//!
//! All of them act on the [`Transaction`](super::transaction::Transaction), not on sockets, so that every HTTP version uses the same.
//!
//! To add a middleware: a file beside [`robots`] with its function, and one line in the list of its phase
//! (`MIDDLEWARES` in [`admit`]) that says which routes use it. What it needs to know of a route is compiled into
//! [`RouteEntry`](super::entry::RouteEntry) when the table is loaded, and absent where it is not used: a request pays for nothing that its route does
//! not have.

pub(crate) mod address;
pub(crate) mod admit;
pub(crate) mod attempt;
pub(crate) mod basic_auth;
pub(crate) mod challenge;
pub(crate) mod compress;
pub(crate) mod forward_auth;
pub(crate) mod hold;
pub(crate) mod log;
pub(crate) mod mirror;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod robots;
pub(crate) mod route;
pub(crate) mod upstream;
pub(crate) mod valve;

use super::core::Core;
use super::problem::Problem;
use super::transaction::{Peer, Transaction};

/// Everything before the upstream: finds the route and lets the request through, or says what it is answered.
pub(crate) async fn admitted(core: &Core, tx: &mut Transaction, peer: &Peer) -> Result<(), Problem> {
    route::find(tx)?;
    admit::check(tx, peer, core)?;
    if tx.entry().is_some_and(|entry| entry.holds) {
        // Boxed: what few routes wait for must not make every connection larger.
        Box::pin(hold::pass(core, tx, peer)).await?;
    }
    valve::enter(core, tx)
}
