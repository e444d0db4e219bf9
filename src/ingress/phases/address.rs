//! Address lists: who is let in by where the request comes from. Behind trusted proxies that is the client they name.

use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::problem::Problem;
use crate::ingress::snapshot::Access;
use crate::ingress::stats::Event;
use crate::ingress::transaction::{Peer, Transaction};
use crate::ingress::validate::Network;
use crate::ingress::view::client_address;

/// The lists of a route.
#[derive(Debug)]
pub(crate) struct Lists {
    allow: Box<[Network]>,
    deny: Box<[Network]>,
}

impl Lists {
    /// `None` when everybody is let in.
    pub(crate) fn compile(access: &Access) -> Option<Box<Self>> {
        let networks = |list: &[String]| list.iter().filter_map(|text| Network::parse(text)).collect();
        let used = !access.allow.is_empty() || !access.deny.is_empty();
        used.then(|| Box::new(Self { allow: networks(&access.allow), deny: networks(&access.deny) }))
    }
}

/// Refuses clients that the lists keep out.
pub(crate) fn check(entry: &RouteEntry, tx: &mut Transaction, peer: &Peer, core: &Core) -> Result<(), Problem> {
    let Some(lists) = &entry.addresses else { return Ok(()) };
    let client = client_address(&tx.table, tx, peer);
    let has = |list: &[Network]| list.iter().any(|network| network.contains(client));
    if has(&lists.deny) || !(lists.allow.is_empty() || has(&lists.allow)) {
        entry.stats.count(core.worker, Event::Denied);
        return Err(Problem::forbidden());
    }
    Ok(())
}
