//! From who has joined to the complete route table of the ingress. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::desired::Wish;
use super::model::{DesiredEnvironment, Release, Share, Wanted};
use super::split::Split;
use super::treatment;
use crate::engine::Observed;
use crate::ingress::snapshot::{Owner, PathRewrite, Rewrite, Route, Upstream, UpstreamAddress};
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::stack::Stack;
use crate::stack::model::{RouteHost, RouteProtocol};
use crate::tenancy::model::{Domain, Environment};

/// Where the requests of one domain, or those below one path of it, go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lead {
    service: ServiceName,
    /// Empty for all.
    path: String,
    /// Whether the path is taken off before the service sees the request.
    strip: bool,
    /// `None`: the main one of the service.
    port: Option<u16>,
    protocol: RouteProtocol,
    /// As the manifest says it.
    host: RouteHost,
}

impl Lead {
    /// Everything goes to the main port of a service.
    fn whole(service: &ServiceName) -> Self {
        let (service, protocol, host) = (service.clone(), RouteProtocol::default(), RouteHost::default());
        Self { service, path: String::new(), strip: false, port: None, protocol, host }
    }
}

/// The routes of all domains, after the routes the platform itself has.
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
        for lead in leads(domain, desired.serving.as_ref().map(|r| &*r.stack)) {
            let members = by_service.get(&(&domain.environment_id, &lead.service)).map_or(&[][..], Vec::as_slice);
            let share = shares.get(&(domain.environment_id.clone(), lead.service.clone()));
            routes.push(route(domain, &lead, environment, desired, members, share));
        }
    }
    routes
}

/// Where a domain leads. What the manifest says of it goes before the service the domain was added for; a service
/// without routes of its own answers everything on its main port.
fn leads(domain: &Domain, stack: Option<&Stack>) -> Vec<Lead> {
    let whole = || vec![Lead::whole(&domain.service)];
    let Some(stack) = stack else { return whole() };
    let fits = |service: &ServiceName, host: &RouteHost| match host {
        RouteHost::Domain(host) => *host == domain.host,
        RouteHost::Service => domain.is_of_one_service() && domain.service == *service,
        RouteHost::Environment => !domain.is_of_one_service(),
    };
    let fits = &fits;
    let found = stack.services.iter().flat_map(|(name, service)| {
        let routes = service.routes.iter().filter(move |r| fits(name, &r.host));
        routes.map(move |r| (&r.host, lead(name, r)))
    });
    let found: Vec<(&RouteHost, Lead)> = found.collect();
    // A domain that the manifest names belongs to those routes alone.
    let named = found.iter().any(|(host, _)| matches!(host, RouteHost::Domain(_)));
    let mut leads: Vec<Lead> = found
        .into_iter()
        .filter(|(host, _)| matches!(host, RouteHost::Domain(_)) == named)
        .map(|(_, lead)| lead)
        .collect();
    leads.sort_by(|a, b| (&a.path, &a.service).cmp(&(&b.path, &b.service)));
    leads.dedup_by(|a, b| a.path == b.path);
    if domain.is_of_one_service() {
        // A service that does not want a host of its own any more has none.
        return leads;
    }
    // A domain that was added for one service of several stays with that one.
    let chosen = !domain.is_default && !named && domain.service != ServiceName::web();
    if leads.is_empty() || (chosen && stack.services.contains_key(&domain.service)) {
        return whole();
    }
    leads
}

fn lead(service: &ServiceName, route: &crate::stack::model::Route) -> Lead {
    let path = prefix(&route.path);
    let strip = route.strip_path && !path.is_empty();
    let (service, host) = (service.clone(), route.host.clone());
    Lead { service, strip, path, port: Some(route.port), protocol: route.protocol, host }
}

fn prefix(path: &str) -> String {
    if path == "/" { String::new() } else { path.to_owned() }
}

fn route(
    domain: &Domain,
    lead: &Lead,
    environment: &Environment,
    desired: &DesiredEnvironment,
    members: &[&Observed],
    share: Option<&Share>,
) -> Route {
    let serving = desired.serving.as_ref();
    // A new version may listen elsewhere.
    let port = |c: &Observed| {
        let service = desired.service_of(&c.key);
        let said = service
            .and_then(|s| s.routes.iter().find(|r| r.host == lead.host && prefix(&r.path) == lead.path))
            .map(|r| r.port);
        lead.port.and(said).or(lead.port).or_else(|| service.and_then(|s| s.port))
    };
    let split = Split::of(members, share);
    let mut upstreams: Vec<Upstream> =
        members.iter().filter_map(|c| upstream(c, port(c), split.backend_of(c))).collect();
    upstreams.sort_by(|a, b| a.id.cmp(&b.id));
    let empty_reason = upstreams.is_empty().then(|| empty_reason(&lead.service, desired));
    let instances = upstreams.len();
    let mut route = Route {
        id: format!("{}{}", domain.id, lead.path),
        hosts: vec![domain.host.to_string()],
        path_prefix: lead.path.clone(),
        rewrite: Rewrite { path: lead.strip.then(|| PathRewrite::Prefix("/".to_owned())), ..Rewrite::default() },
        backends: split.backends(),
        upstreams,
        owner: Owner {
            tenant: environment.tenant.to_string(),
            project: environment.project.to_string(),
            environment: environment.slug.to_string(),
            service: lead.service.to_string(),
            revision: serving.map(|r| r.version.to_string()).unwrap_or_default(),
        },
        empty_reason,
        ..Route::default()
    };
    if let Some(service) = serving.and_then(|r| r.stack.services.get(&lead.service)) {
        treatment::apply(&mut route, service, lead.protocol, instances);
    }
    route
}

fn upstream(container: &Observed, port: Option<u16>, backend: String) -> Option<Upstream> {
    let address = UpstreamAddress::Tcp(SocketAddr::new(container.address?, port?));
    Some(Upstream { id: container.id.clone(), address, weight: 1, draining: false, backend })
}

/// Why nobody answers, for the visitor's error page and for status.
fn empty_reason(service: &ServiceName, desired: &DesiredEnvironment) -> String {
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
        Some(_) if desired.yields.get(service).is_some_and(|y| y.left == 0) => {
            format!("the service `{service}` rests, because the machine is short and others matter more")
        }
        Some(s) if desired.replicas(service, s) == 0 => format!("the service `{service}` is scaled to 0"),
        Some(_) => format!("no instance of `{service}` is healthy at the moment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock::Timestamp;
    use crate::kernel::id::DomainId;
    use crate::kernel::random::Random;
    use crate::stack::model::{ImageRef, Route as Said, Service, ServiceKind};

    fn domain(host: &str, service: &str, is_default: bool) -> Domain {
        let random = Random::seeded(7);
        Domain {
            id: DomainId::new(Timestamp(1), &random),
            environment_id: EnvironmentId::new(Timestamp(1), &random),
            host: host.parse().unwrap(),
            service: service.parse().unwrap(),
            is_default,
        }
    }

    fn web(routes: &[(RouteHost, &str)]) -> Service {
        let said = |(host, path): &(RouteHost, &str)| Said {
            host: host.clone(),
            path: (*path).to_owned(),
            strip_path: false,
            port: 80,
            protocol: RouteProtocol::Http,
        };
        let image = ImageRef::unpinned("x");
        Service { port: Some(8080), routes: routes.iter().map(said).collect(), ..Service::new(ServiceKind::Web, image) }
    }

    fn shop() -> Stack {
        let named = RouteHost::Domain("api.example.org".parse().unwrap());
        let services = [
            ("front", web(&[(RouteHost::Environment, "/")])),
            ("api", web(&[(RouteHost::Environment, "/api"), (RouteHost::Service, "/"), (named, "/")])),
            ("admin", web(&[])),
        ];
        let services = services.map(|(name, s)| (name.parse().unwrap(), s)).into();
        Stack { services, ..Stack::default() }
    }

    #[test]
    fn a_domain_leads_where_the_manifest_says() {
        let check = |host: &str, service: &str, given: bool, expected: &[&str]| {
            let found = leads(&domain(host, service, given), Some(&shop()));
            let texts: Vec<String> =
                found.iter().map(|l| format!("{}{} {:?}", l.service, l.path, l.port.unwrap_or_default())).collect();
            assert_eq!(texts, expected, "{host}");
        };
        let environment = ["front 80", "api/api 80"];
        check("shop.localhost", "web", true, &environment);
        check("www.example.org", "web", false, &environment);
        check("shop--s-api.localhost", "api", true, &["api 80"]);
        check("api.example.org", "api", false, &["api 80"]);
        check("admin.example.org", "admin", false, &["admin 0"]);
    }

    #[test]
    fn an_app_of_one_service_answers_everything() {
        let stack = Stack { services: [(ServiceName::web(), web(&[]))].into(), ..Stack::default() };
        let found = leads(&domain("shop.localhost", "web", true), Some(&stack));
        assert_eq!(found, [Lead::whole(&ServiceName::web())]);
    }
}
