//! What a request may have to wait for before it goes on: the verdict of an auth service, a password check, an
//! instance that is being started. Only routes that use one of these come here; everything is bounded in number and
//! time.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{basic_auth, forward_auth, route};
use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::problem::Problem;
use crate::ingress::resilience::demand::Place;
use crate::ingress::snapshot::{Route, WaitingRoom};
use crate::ingress::stats::Event;
use crate::ingress::transaction::{Peer, Transaction};

/// Whether requests of a route come here at all.
pub(crate) fn used_by(route: &Route) -> bool {
    route.access.basic.is_some() || route.access.forward.is_some() || route.waiting_room.is_some()
}

/// Lets the request go on, or says why not.
pub(crate) async fn pass(core: &Core, tx: &mut Transaction, peer: &Peer) -> Result<(), Problem> {
    let (table, Some(index)) = (Rc::clone(&tx.table), tx.route) else { return Err(Problem::unknown_host()) };
    let entry = &table.routes[index];
    let may = match &entry.basic_auth {
        Some(auth) => basic_auth::check(auth, tx).await,
        None => Ok(()),
    };
    let may = match (&entry.route.access.forward, may) {
        (Some(auth), Ok(())) => forward_auth::ask(auth, tx, peer).await,
        (_, may) => may,
    };
    if let Err(problem) = may {
        entry.stats.count(core.worker, Event::Denied);
        return Err(problem);
    }
    match &entry.route.waiting_room {
        Some(room) if !is_served(entry) => wait(core, tx, entry, room).await,
        _ => Ok(()),
    }
}

fn is_served(entry: &RouteEntry) -> bool {
    entry.redirect.is_some() || entry.balancer.has_upstream(&entry.fleet(0, 0))
}

/// Waits until a table comes in which the request has an upstream.
async fn wait(core: &Core, tx: &mut Transaction, entry: &RouteEntry, room: &WaitingRoom) -> Result<(), Problem> {
    let owner = &entry.route.owner.service;
    let place: Option<Place> = core.shared.rooms.enter(&entry.route.id, owner, room.max_waiting, unix_ms());
    let Some(_place) = place else {
        entry.stats.count(core.worker, Event::WaitRefused);
        return Err(Problem::waiting_room_full());
    };
    entry.stats.count(core.worker, Event::Waited);
    let limit = Duration::from_millis(room.max_wait_ms);
    let served = tokio::time::timeout(limit, until_served(core, tx)).await;
    served.unwrap_or_else(|_| Err(Problem::did_not_start(entry.route.empty_reason.as_deref())))
}

async fn until_served(core: &Core, tx: &mut Transaction) -> Result<(), Problem> {
    loop {
        // Registered before looking, so that no change is missed in between.
        let changed = core.table_changed.notified();
        tx.table = core.table();
        tx.route = None;
        route::find(tx)?;
        if tx.entry().is_some_and(is_served) {
            return Ok(());
        }
        // A process that leaves gets no more tables; its successor has a waiting room of its own.
        if core.drain_since().is_some() {
            return Err(Problem::waiting_room_full());
        }
        changed.await;
    }
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
