//! From who has joined to the complete route table of the ingress. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::desired::Wish;
use super::model::{DesiredEnvironment, Release, Share, Wanted, version_of};
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
    shares: &BTreeMap<(EnvironmentId, ServiceName), Share>,
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
        let share = shares.get(&(domain.environment_id.clone(), domain.service.clone()));
        routes.push(route(domain, environment, desired, members, share));
    }
    routes
}

fn route(
    domain: &Domain,
    environment: &Environment,
    desired: &DesiredEnvironment,
    members: &[&Observed],
    share: Option<&Share>,
) -> Route {
    let serving = desired.serving.as_ref();
    // A new version may listen elsewhere.
    let port = |c: &Observed| desired.service_of(&c.key).and_then(|s| s.port);
    let weights = Weights::of(members, share);
    let mut upstreams: Vec<Upstream> =
        members.iter().filter_map(|c| upstream(c, port(c), weights.of_instance(c))).collect();
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

/// How much of the traffic one instance of each version takes.
struct Weights<'a> {
    share: Option<&'a Share>,
    old: u32,
    new: u32,
}

impl<'a> Weights<'a> {
    /// The share of the new version is spread over its instances, the rest over the old ones: with `a` old and `b` new
    /// instances, weights of `(100 - share) * b` and `share * a` add up to exactly that.
    fn of(members: &[&Observed], share: Option<&'a Share>) -> Self {
        let Some(found) = share else { return Self { share, old: 1, new: 1 } };
        let new = members.iter().filter(|c| version_of(&c.key) == found.version).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (a, b) = (count(members.len() - new), count(new));
        let percent = u32::from(found.percent.min(100));
        match (a, b) {
            (0, _) | (_, 0) => Self { share, old: 1, new: 1 },
            _ => Self { share, old: (100 - percent) * b, new: percent * a },
        }
    }

    fn of_instance(&self, container: &Observed) -> u32 {
        let is_new = self.share.is_some_and(|s| s.version == version_of(&container.key));
        if is_new { self.new } else { self.old }
    }
}

fn upstream(container: &Observed, port: Option<u16>, weight: u32) -> Option<Upstream> {
    let address = UpstreamAddress::Tcp(SocketAddr::new(container.address?, port?));
    Some(Upstream { id: container.id.clone(), address, weight, draining: false, backend: String::new() })
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
