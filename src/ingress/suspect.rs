//! Fail static: what a writer that doubts itself may not take away.
//!
//! When a snapshot is marked `suspect`, a route that had upstreams and has none in it is not emptied on the writer's
//! word alone. The old upstreams are probed (a TCP or Unix connect); those that answer stay in the route. Held
//! routes are probed again every few seconds until none answers or the writer sends a snapshot it trusts.

use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::snapshot::{Route, Snapshot, Upstream, UpstreamAddress};

/// A probe that takes longer counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The snapshot to use instead, and the ids of the routes that were held.
pub(crate) async fn hold(current: &Snapshot, mut offered: Snapshot) -> (Snapshot, Vec<String>) {
    let mut held = Vec::new();
    if !offered.suspect {
        return (offered, held);
    }
    for old in current.routes.iter().filter(|route| serves(route)) {
        let position = offered.routes.iter().position(|route| route.id == old.id);
        if position.is_some_and(|index| serves(&offered.routes[index])) {
            continue;
        }
        let alive = answering(&old.upstreams).await;
        if alive.is_empty() {
            continue;
        }
        tracing::warn!(route = %old.id, upstreams = alive.len(), "kept upstreams that a suspect snapshot would remove: they answer");
        held.push(old.id.clone());
        match position {
            Some(index) => offered.routes[index].upstreams = alive,
            None => offered.routes.push(Route { upstreams: alive, ..old.clone() }),
        }
    }
    (offered, held)
}

fn serves(route: &Route) -> bool {
    route.upstreams.iter().any(|upstream| !upstream.draining && upstream.weight > 0)
}

async fn answering(upstreams: &[Upstream]) -> Vec<Upstream> {
    let probes = upstreams.iter().map(|upstream| async move {
        let connected = async {
            match &upstream.address {
                UpstreamAddress::Tcp(address) => TcpStream::connect(address).await.is_ok(),
                UpstreamAddress::Unix(path) => UnixStream::connect(path).await.is_ok(),
            }
        };
        let alive = tokio::time::timeout(PROBE_TIMEOUT, connected).await.unwrap_or(false);
        alive.then(|| upstream.clone())
    });
    futures_util::future::join_all(probes).await.into_iter().flatten().collect()
}
