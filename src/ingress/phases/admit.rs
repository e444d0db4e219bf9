//! Whether the request may go on. Each check is a function; [`MIDDLEWARES`] is their order, and a route runs only
//! those it uses.

use std::rc::Rc;

use super::{address, robots};
use crate::ingress::core::Core;
use crate::ingress::edit::without_port;
use crate::ingress::entry::RouteEntry;
use crate::ingress::h1::header::Kind;
use crate::ingress::h1::request::Framing;
use crate::ingress::problem::Problem;
use crate::ingress::snapshot::Route;
use crate::ingress::stats::Event;
use crate::ingress::transaction::{Peer, Transaction};
use crate::ingress::view::client_address;

/// A check of the admission phase. It may note headers for the response in the transaction.
pub(crate) type Check = fn(&RouteEntry, &mut Transaction, &Peer, &Core) -> Result<(), Problem>;

/// A middleware of the admission phase.
struct Middleware {
    /// Whether a route has any use for it; asked once, when the table is loaded.
    used_by: fn(&Route) -> bool,
    check: Check,
}

/// All of them, first to last.
const MIDDLEWARES: [Middleware; 8] = [
    Middleware { used_by: |route| route.policy.https_redirect, check: https_only },
    Middleware { used_by: |route| !route.access.is_open(), check: address::check },
    Middleware {
        used_by: |route| route.policy.rate_limit.is_some() || !route.policy.rate_limits.is_empty(),
        check: rate,
    },
    Middleware { used_by: |route| route.noindex, check: robots::check },
    Middleware { used_by: |route| route.maintenance.is_some(), check: maintenance },
    Middleware { used_by: |route| route.redirect.is_some(), check: redirect },
    // Where there is a waiting room, that is asked instead.
    Middleware { used_by: |route| route.redirect.is_none() && route.waiting_room.is_none(), check: has_upstream },
    Middleware { used_by: |route| route.policy.max_body.is_some(), check: body_size },
];

/// The checks a route needs, in their order.
pub(crate) fn used_by(route: &Route) -> Box<[Check]> {
    MIDDLEWARES.iter().filter(|one| (one.used_by)(route)).map(|one| one.check).collect()
}

/// Runs the checks of the route; the first refusal is the answer.
pub(crate) fn check(tx: &mut Transaction, peer: &Peer, core: &Core) -> Result<(), Problem> {
    let (table, Some(route)) = (Rc::clone(&tx.table), tx.route) else { return Err(Problem::unknown_host()) };
    let entry = &table.routes[route];
    entry.admission.iter().try_for_each(|check| check(entry, tx, peer, core))
}

fn https_only(_: &RouteEntry, tx: &mut Transaction, peer: &Peer, _: &Core) -> Result<(), Problem> {
    if peer.is_tls {
        return Ok(());
    }
    // Behind a trusted proxy that ended TLS the request is secure already.
    let forwarded =
        tx.table.trusts(peer.address.ip()) && tx.head.find(&tx.bytes, Kind::ForwardedProto) == Some(b"https");
    if forwarded {
        return Ok(());
    }
    let host = String::from_utf8_lossy(tx.head.host.get(&tx.bytes));
    let name = without_port(&host);
    let port = match tx.table.snapshot.settings.https_port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let target = String::from_utf8_lossy(tx.head.target.get(&tx.bytes));
    Err(Problem::moved_to(format!("https://{name}{port}{target}")))
}

fn rate(entry: &RouteEntry, tx: &mut Transaction, peer: &Peer, core: &Core) -> Result<(), Problem> {
    for limiter in &entry.limiters {
        let key = limiter.key(tx, || client_address(&tx.table, tx, peer));
        let taken = limiter.take(key, tx.started);
        tx.add_to_response("ratelimit-policy", limiter.policy.as_str());
        tx.add_to_response("ratelimit", limiter.tell(taken));
        if let Some(wait_us) = taken.wait_us {
            entry.stats.count(core.worker, Event::Limited);
            let seconds = u32::try_from(wait_us.div_ceil(1_000_000)).unwrap_or(u32::MAX);
            return Err(Problem::too_many_requests(seconds));
        }
    }
    Ok(())
}

fn maintenance(entry: &RouteEntry, _: &mut Transaction, _: &Peer, _: &Core) -> Result<(), Problem> {
    match &entry.route.maintenance {
        Some(mode) => Err(Problem::maintenance(&mode.message, mode.retry_after_secs)),
        None => Ok(()),
    }
}

fn redirect(entry: &RouteEntry, tx: &mut Transaction, peer: &Peer, _: &Core) -> Result<(), Problem> {
    let Some(elsewhere) = &entry.redirect else { return Ok(()) };
    let host = String::from_utf8_lossy(tx.head.host.get(&tx.bytes));
    let location = elsewhere.location(peer.is_tls, &host, tx.head.target.get(&tx.bytes));
    Err(Problem::elsewhere(elsewhere.status(), location))
}

fn has_upstream(entry: &RouteEntry, _: &mut Transaction, _: &Peer, _: &Core) -> Result<(), Problem> {
    // Health is not asked here: only whether there is anybody who may be asked.
    if entry.balancer.has_upstream(&entry.fleet(0, 0)) {
        Ok(())
    } else {
        Err(Problem::no_instance(entry.route.empty_reason.as_deref()))
    }
}

fn body_size(entry: &RouteEntry, tx: &mut Transaction, _: &Peer, _: &Core) -> Result<(), Problem> {
    match (tx.head.framing, entry.route.policy.max_body) {
        (Framing::Length(n), Some(limit)) if n > limit => Err(Problem::too_large(limit)),
        _ => Ok(()),
    }
}
