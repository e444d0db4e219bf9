//! Whether the request may go on. Each check is a function; the list in [`check`] is their order.

use crate::ingress::h1::request::Framing;
use crate::ingress::problem::Problem;
use crate::ingress::snapshot::Route;
use crate::ingress::transaction::Transaction;

type Check = fn(&Route, &Transaction) -> Result<(), Problem>;

/// All checks, first to last.
const CHECKS: [Check; 3] = [maintenance, has_upstream, body_size];

/// Runs the checks; the first refusal is the answer.
pub(crate) fn check(tx: &Transaction) -> Result<(), Problem> {
    let Some(entry) = tx.entry() else { return Err(Problem::unknown_host()) };
    CHECKS.iter().try_for_each(|check| check(&entry.route, tx))
}

fn maintenance(route: &Route, _: &Transaction) -> Result<(), Problem> {
    match &route.maintenance {
        Some(mode) => Err(Problem::maintenance(&mode.message, mode.retry_after_secs)),
        None => Ok(()),
    }
}

fn has_upstream(route: &Route, _: &Transaction) -> Result<(), Problem> {
    if route.upstreams.iter().any(|upstream| !upstream.draining && upstream.weight > 0) {
        Ok(())
    } else {
        Err(Problem::no_instance(route.empty_reason.as_deref()))
    }
}

fn body_size(route: &Route, tx: &Transaction) -> Result<(), Problem> {
    match (tx.head.framing, route.policy.max_body) {
        (Framing::Length(n), Some(limit)) if n > limit => Err(Problem::too_large(limit)),
        _ => Ok(()),
    }
}
