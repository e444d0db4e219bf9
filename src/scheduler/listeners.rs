//! The ports beside HTTP, for the ingress: where each leads at this moment. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::desired::Wish;
use crate::engine::Observed;
use crate::ingress::snapshot::{Listener, Owner, Rule, Transport as Carries, Upstream, UpstreamAddress};
use crate::tenancy::model::{PublicPort, Transport};

/// Connections or sessions of one port at a time.
const MOST_CONNECTIONS: u32 = 10_000;
/// … and of one client address.
const MOST_PER_ADDRESS: u32 = 1_000;
/// One attempt to connect to an instance, in milliseconds.
const CONNECT_MS: u64 = 5_000;
/// How long open connections go on after the port was taken away, in milliseconds.
const DRAIN_MS: u64 = 30_000;

/// The ports that the serving releases ask for, on all addresses of the machine.
pub(super) fn listeners(wish: &Wish, containers: &[Observed], joined: &BTreeSet<String>) -> Vec<Listener> {
    let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let asked = wish.ports.iter().filter(|port| is_asked_for(wish, port));
    asked
        .flat_map(|port| {
            let upstreams = upstreams(port, containers, joined);
            everywhere.map(|address| listener(wish, port, address, upstreams.clone()))
        })
        .collect()
}

fn is_asked_for(wish: &Wish, port: &PublicPort) -> bool {
    let serving = wish.desired.environments.get(&port.environment_id).and_then(|d| d.serving.as_ref());
    let service = serving.and_then(|release| release.stack.services.get(&port.service));
    service.is_some_and(|s| s.exposures.iter().any(|wish| port.serves(&port.service, wish)))
}

fn upstreams(port: &PublicPort, containers: &[Observed], joined: &BTreeSet<String>) -> Vec<Upstream> {
    let of_it = |c: &&Observed| {
        c.key.environment == port.environment_id && c.key.service == port.service && joined.contains(&c.id)
    };
    let upstream = |c: &Observed| {
        Some(Upstream {
            id: c.id.clone(),
            address: UpstreamAddress::Tcp(SocketAddr::new(c.address?, port.port)),
            weight: 1,
            draining: false,
            backend: String::new(),
        })
    };
    let mut all: Vec<Upstream> = containers.iter().filter(of_it).filter_map(upstream).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn listener(wish: &Wish, port: &PublicPort, address: IpAddr, upstreams: Vec<Upstream>) -> Listener {
    let environment = wish.environments.get(&port.environment_id);
    let family = if address.is_ipv4() { 4 } else { 6 };
    Listener {
        id: format!("{}-{}-{family}", port.transport.as_str(), port.published),
        address: SocketAddr::new(address, port.published),
        protocol: match port.transport {
            Transport::Tcp => Carries::Tcp,
            Transport::Udp => Carries::Udp,
        },
        rules: vec![Rule { upstreams, ..Rule::default() }],
        proxy_protocol: false,
        max_connections: MOST_CONNECTIONS,
        max_connections_per_address: MOST_PER_ADDRESS,
        idle_timeout_ms: None,
        connect_timeout_ms: CONNECT_MS,
        drain_ms: DRAIN_MS,
        owner: Owner {
            tenant: environment.map(|e| e.tenant.to_string()).unwrap_or_default(),
            project: environment.map(|e| e.project.to_string()).unwrap_or_default(),
            environment: environment.map(|e| e.slug.to_string()).unwrap_or_default(),
            service: port.service.to_string(),
            revision: String::new(),
        },
    }
}
