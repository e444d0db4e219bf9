//! Whether the request may go on. Each check is a function; the list in [`check`] is their order.

use crate::ingress::h1::header::Kind;
use crate::ingress::h1::request::Framing;
use crate::ingress::problem::Problem;
use crate::ingress::table::RouteEntry;
use crate::ingress::transaction::{Peer, Transaction};

type Check = fn(&RouteEntry, &Transaction, &Peer) -> Result<(), Problem>;

/// All checks, first to last.
const CHECKS: [Check; 5] = [https_only, rate, maintenance, has_upstream, body_size];

/// Runs the checks; the first refusal is the answer.
pub(crate) fn check(tx: &Transaction, peer: &Peer) -> Result<(), Problem> {
    let Some(entry) = tx.entry() else { return Err(Problem::unknown_host()) };
    CHECKS.iter().try_for_each(|check| check(entry, tx, peer))
}

fn https_only(entry: &RouteEntry, tx: &Transaction, peer: &Peer) -> Result<(), Problem> {
    if !entry.route.policy.https_redirect || peer.is_tls {
        return Ok(());
    }
    // Behind a trusted proxy that ended TLS the request is secure already.
    let forwarded =
        tx.table.trusts(peer.address.ip()) && tx.head.find(&tx.bytes, Kind::ForwardedProto) == Some(b"https");
    if forwarded {
        return Ok(());
    }
    let host = String::from_utf8_lossy(tx.head.host.get(&tx.bytes));
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(&*host, |(name, _)| name);
    let port = match tx.table.snapshot.settings.https_port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let target = String::from_utf8_lossy(tx.head.target.get(&tx.bytes));
    Err(Problem::moved_to(format!("https://{name}{port}{target}")))
}

fn rate(entry: &RouteEntry, tx: &Transaction, peer: &Peer) -> Result<(), Problem> {
    let Some(limiter) = &entry.limiter else { return Ok(()) };
    limiter.take(peer.address.ip(), tx.started).map_err(|wait_us| {
        let seconds = u32::try_from(wait_us.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        Problem::too_many_requests(seconds)
    })
}

fn maintenance(entry: &RouteEntry, _: &Transaction, _: &Peer) -> Result<(), Problem> {
    match &entry.route.maintenance {
        Some(mode) => Err(Problem::maintenance(&mode.message, mode.retry_after_secs)),
        None => Ok(()),
    }
}

fn has_upstream(entry: &RouteEntry, _: &Transaction, _: &Peer) -> Result<(), Problem> {
    if entry.route.upstreams.iter().any(|upstream| !upstream.draining && upstream.weight > 0) {
        Ok(())
    } else {
        Err(Problem::no_instance(entry.route.empty_reason.as_deref()))
    }
}

fn body_size(entry: &RouteEntry, tx: &Transaction, _: &Peer) -> Result<(), Problem> {
    match (tx.head.framing, entry.route.policy.max_body) {
        (Framing::Length(n), Some(limit)) if n > limit => Err(Problem::too_large(limit)),
        _ => Ok(()),
    }
}
