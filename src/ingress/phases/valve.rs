//! The last gate before the upstreams: node shedding, the breaker, the concurrency limit. What is taken here is given
//! back when the request ends, however it ends.

use std::rc::Rc;
use std::sync::Arc;

use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::problem::Problem;
use crate::ingress::resilience::breaker::{Breaker, Verdict};
use crate::ingress::resilience::concurrency::Limit;
use crate::ingress::snapshot::Criticality;
use crate::ingress::stats::Event;
use crate::ingress::transaction::Transaction;
use crate::ingress::view::RequestView;

/// What a request holds while it is with the upstreams.
#[derive(Debug)]
pub(crate) struct Permit {
    /// With whether this request is its probe.
    breaker: Option<(Arc<Breaker>, bool)>,
    /// With how many requests were in flight when this one began.
    limit: Option<(Arc<Limit>, u32)>,
}

impl Permit {
    /// The request has ended. `status` 0: the client left before it was answered.
    pub(crate) fn end(mut self, core: &Core, status: u16, micros: u64, upstream_micros: Option<u64>) {
        let now_ms = core.clock.now_ms();
        if let Some((limit, in_flight)) = self.limit.take() {
            let timed_out = (status == 504).then_some(micros);
            limit.leave(now_ms, in_flight, upstream_micros.or(timed_out));
        }
        if status > 0
            && let Some((breaker, is_probe)) = self.breaker.take()
        {
            let micros = upstream_micros.unwrap_or(micros);
            breaker.tell(now_ms, is_probe, status, micros, core.random.fraction());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((limit, in_flight)) = self.limit.take() {
            limit.leave(0, in_flight, None);
        }
        if let Some((breaker, true)) = self.breaker.take() {
            breaker.with(|machine| machine.abandon_probe());
        }
    }
}

/// Lets the request through to the upstreams, or says why not.
pub(crate) fn enter(core: &Core, tx: &mut Transaction) -> Result<(), Problem> {
    let (table, Some(index)) = (Rc::clone(&tx.table), tx.route) else { return Err(Problem::unknown_host()) };
    let entry = &table.routes[index];
    if core.shared.shedding.refuses(entry.route.criticality, || core.random.fraction()) {
        entry.stats.count(core.worker, Event::Shed);
        return Err(Problem::overloaded());
    }
    if entry.breaker.is_none() && entry.limit.is_none() {
        return Ok(());
    }
    // Filled step by step: what was taken before a refusal is given back with it.
    let mut permit = Permit { breaker: None, limit: None };
    if let Some(limit) = &entry.limit {
        let Some(in_flight) = limit.enter(criticality(entry, limit, tx)) else {
            entry.stats.count(core.worker, Event::Shed);
            return Err(Problem::overloaded());
        };
        permit.limit = Some((Arc::clone(limit), in_flight));
    }
    if let Some(breaker) = &entry.breaker {
        match breaker.with(|machine| machine.ask(core.clock.now_ms())) {
            Verdict::Refuse { retry_after_ms } => {
                entry.stats.count(core.worker, Event::Broken);
                return Err(Problem::circuit_open(retry_after_ms));
            }
            verdict => permit.breaker = Some((Arc::clone(breaker), verdict == Verdict::Probe)),
        }
    }
    tx.permit = Some(Box::new(permit));
    Ok(())
}

/// The route's criticality; where the route allows it, the request may ask for less.
fn criticality(entry: &RouteEntry, limit: &Limit, tx: &Transaction) -> Criticality {
    let own = entry.route.criticality;
    if !limit.rules.by_header {
        return own;
    }
    let asked = match tx.header("x-criticality", 0) {
        Some(b"low") => Criticality::Low,
        Some(b"normal") => Criticality::Normal,
        Some(b"high") => Criticality::High,
        _ => own,
    };
    asked.min(own)
}
