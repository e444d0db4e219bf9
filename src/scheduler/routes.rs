//! From who has joined to the complete route table of the ingress. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::desired::Wish;
use super::model::{DesiredEnvironment, Release, Wanted};
use crate::engine::Observed;
use crate::ingress::snapshot::{Owner, Route, Upstream, UpstreamAddress};
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::tenancy::model::{Domain, Environment};

/// One route per domain, after the routes the platform itself has.
#[must_use]
pub(super) fn routes(
    platform: &[Route],
    wish: &Wish,
    containers: &[Observed],
    joined: &BTreeSet<String>,
) -> Vec<Route> {
    let mut by_service: BTreeMap<(&EnvironmentId, &ServiceName), Vec<&Observed>> = BTreeMap::new();
    for container in containers.iter().filter(|c| joined.contains(&c.id)) {
        by_service.entry((&container.key.environment, &container.key.service)).or_default().push(container);
    }
    let mut routes = platform.to_vec();
    for domain in &wish.domains {
        let (Some(environment), Some(desired)) =
            (wish.environments.get(&domain.environment_id), wish.desired.environments.get(&domain.environment_id))
        else {
            continue;
        };
        let members = by_service.get(&(&domain.environment_id, &domain.service)).map_or(&[][..], Vec::as_slice);
        routes.push(route(domain, environment, desired, members));
    }
    routes
}

fn route(domain: &Domain, environment: &Environment, desired: &DesiredEnvironment, members: &[&Observed]) -> Route {
    let serving = desired.serving.as_ref();
    let port = serving.and_then(|r| r.stack.services.get(&domain.service)).and_then(|s| s.port);
    let mut upstreams: Vec<Upstream> = members.iter().filter_map(|c| upstream(c, port)).collect();
    upstreams.sort_by(|a, b| a.id.cmp(&b.id));
    let empty_reason = upstreams.is_empty().then(|| empty_reason(domain, desired));
    Route {
        id: domain.id.to_string(),
        hosts: vec![domain.host.to_string()],
        upstreams,
        owner: Owner {
            tenant: environment.tenant.to_string(),
            project: environment.project.to_string(),
            environment: environment.slug.to_string(),
            service: domain.service.to_string(),
            revision: serving.map(|r| r.version.to_string()).unwrap_or_default(),
        },
        empty_reason,
        ..Route::default()
    }
}

fn upstream(container: &Observed, port: Option<u16>) -> Option<Upstream> {
    let address = UpstreamAddress::Tcp(SocketAddr::new(container.address?, port?));
    Some(Upstream { id: container.id.clone(), address, weight: 1, draining: false, backend: String::new() })
}

/// Why nobody answers, for the visitor's error page and for status.
fn empty_reason(domain: &Domain, desired: &DesiredEnvironment) -> String {
    let service = &domain.service;
    match (desired.wanted, &desired.serving, &desired.target) {
        (Wanted::Destroyed, _, _) => "the app is being removed".to_owned(),
        (Wanted::Stopped, _, _) => "the app is stopped".to_owned(),
        (Wanted::Run, None, Some(_)) => "the first deploy is running".to_owned(),
        (Wanted::Run, None, None) => "nothing has been deployed yet".to_owned(),
        (Wanted::Run, Some(release), _) => serving_empty_reason(service, release, desired),
    }
}

fn serving_empty_reason(service: &ServiceName, release: &Release, desired: &DesiredEnvironment) -> String {
    match release.stack.services.get(service) {
        None => format!("there is no service `{service}` in {}", release.version),
        Some(s) if s.port.is_none() => format!("the service `{service}` does not listen on a port"),
        Some(s) if desired.replicas(service, s) == 0 => format!("the service `{service}` is scaled to 0"),
        Some(_) => format!("no instance of `{service}` is healthy at the moment"),
    }
}
