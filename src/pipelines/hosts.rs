//! Hosts that the routes of a manifest ask for.

use super::Deployer;
use super::drive::{Failure, Progress};
use crate::kernel::id::DomainId;
use crate::kernel::name::{HostName, ServiceName};
use crate::stack::Stack;
use crate::stack::model::RouteHost;
use crate::store::Write;
use crate::tenancy::model::Domain;
use crate::tenancy::store::domains;

impl Deployer {
    /// Gives the environment the hosts its revision asks for and it does not have yet: one for each service that wants
    /// its own, and the domains its routes name, unless somebody has them.
    pub(super) async fn give_hosts(&self, tx: &mut Write, job: &Progress<'_>, stack: &Stack) -> Result<(), Failure> {
        let every = domains::every(&self.parts.store).await?;
        let own: Vec<&Domain> = every.iter().filter(|d| d.environment_id == job.environment.id).collect();
        let default = own.iter().find(|d| d.is_default).map(|d| d.host.as_str());
        for (service, host, given) in wanted(stack, default) {
            match every.iter().find(|d| d.host == host) {
                Some(known) if known.environment_id == job.environment.id => continue,
                Some(_) => {
                    return Err(Failure::Theirs(format!("the domain `{host}` of `{service}` belongs to another app")));
                }
                None => {}
            }
            let now = self.parts.clock.now();
            let id = DomainId::new(now, &self.parts.random);
            let environment_id = job.environment.id.clone();
            let domain = Domain { id, environment_id, host, service, is_default: given };
            domains::add(tx, job.tenant, &domain, now).await?;
        }
        Ok(())
    }
}

/// The hosts the routes of a stack need beside those of the whole environment; with whether the platform gives them.
fn wanted(stack: &Stack, default: Option<&str>) -> Vec<(ServiceName, HostName, bool)> {
    let mut all: Vec<(ServiceName, HostName, bool)> = Vec::new();
    for (name, service) in &stack.services {
        for route in &service.routes {
            let (host, given) = match &route.host {
                RouteHost::Environment => continue,
                RouteHost::Service => match default.and_then(|d| service_host(d, name)) {
                    Some(host) => (host, true),
                    None => continue,
                },
                RouteHost::Domain(host) => (host.clone(), false),
            };
            if !all.iter().any(|(_, known, _)| *known == host) {
                all.push((name.clone(), host, given));
            }
        }
    }
    all
}

/// `shop--s-api.example.com` for the service `api` of `shop.example.com`: no name has a double hyphen, so it can be no
/// other app's.
fn service_host(default: &str, service: &ServiceName) -> Option<HostName> {
    let (label, rest) = default.split_once('.')?;
    format!("{label}--s-{service}.{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::model::{ImageRef, Route, RouteProtocol, Service, ServiceKind};

    #[test]
    fn every_host_is_wanted_once() {
        let route = |host, path: &str| Route {
            host,
            path: path.to_owned(),
            strip_path: false,
            port: 80,
            protocol: RouteProtocol::Http,
        };
        let domain = RouteHost::Domain("api.example.org".parse().unwrap());
        let mut api = Service::new(ServiceKind::Web, ImageRef::unpinned("api"));
        api.routes = vec![
            route(RouteHost::Environment, "/"),
            route(RouteHost::Service, "/"),
            route(domain.clone(), "/"),
            route(domain, "/v2"),
        ];
        let stack = Stack { services: [("api".parse().unwrap(), api)].into(), ..Stack::default() };
        let hosts: Vec<String> =
            wanted(&stack, Some("shop.example.com")).iter().map(|w| format!("{} {}", w.1, w.2)).collect();
        assert_eq!(hosts, ["shop--s-api.example.com true", "api.example.org false"]);
    }
}
