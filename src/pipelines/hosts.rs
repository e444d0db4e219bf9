//! Hosts that the routes of a manifest ask for.

use super::Deployer;
use super::drive::{Failure, Progress};
use crate::kernel::id::DomainId;
use crate::kernel::name::{HostName, ServiceName};
use crate::stack::Stack;
use crate::stack::model::RouteHost;
use crate::store::Write;
use crate::tenancy::model::{Domain, MOST_DOMAINS, is_platform_host, service_host};
use crate::tenancy::store::domains;

impl Deployer {
    /// Gives the environment the hosts its revision asks for and it does not have yet: one for each service that wants
    /// its own, and the domains its routes name, unless somebody has them.
    pub(super) async fn give_hosts(&self, tx: &mut Write, job: &Progress<'_>, stack: &Stack) -> Result<(), Failure> {
        let parts = &self.parts;
        let own = domains::list(&parts.store, job.tenant, &job.environment.id).await?;
        let default = own.iter().find(|d| d.is_default && !d.is_of_one_service()).map(|d| &d.host);
        let mut count = own.len();
        for (service, host, given) in wanted(stack, default)? {
            if own.iter().any(|d| d.host == host) {
                continue;
            }
            if !given && is_platform_host(&parts.domain, &host) {
                return Err(Failure::Theirs(format!(
                    "the domain `{host}` of `{service}` cannot be had: names below `{}` are given by the platform; name a domain of your own",
                    parts.domain
                )));
            }
            count += 1;
            if count > MOST_DOMAINS {
                return Err(Failure::Theirs(format!(
                    "the app would have more than {MOST_DOMAINS} domains; name fewer in its routes, or remove some"
                )));
            }
            let now = parts.clock.now();
            let id = DomainId::new(now, &parts.random);
            let environment_id = job.environment.id.clone();
            let taken = format!("the domain `{host}` of `{service}` belongs to another app");
            let domain = Domain { id, environment_id, host, service, is_default: given };
            domains::add(tx, job.tenant, &domain, now).await.map_err(|e| match e.unique_violation() {
                Some(_) => Failure::Theirs(taken),
                None => e.into(),
            })?;
        }
        Ok(())
    }
}

/// The hosts the routes of a stack need beside those of the whole environment; with whether the platform gives them.
fn wanted(stack: &Stack, default: Option<&HostName>) -> Result<Vec<(ServiceName, HostName, bool)>, Failure> {
    let mut all: Vec<(ServiceName, HostName, bool)> = Vec::new();
    for (name, service) in &stack.services {
        for route in &service.routes {
            let (host, given) = match (&route.host, default) {
                (RouteHost::Domain(host), _) => (host.clone(), false),
                (RouteHost::Service, Some(default)) => {
                    let too_long = || {
                        Failure::Theirs(format!("`{name}` cannot have a host of its own: the name would be too long"))
                    };
                    (service_host(default, name).ok_or_else(too_long)?, true)
                }
                (RouteHost::Environment, _) | (RouteHost::Service, None) => continue,
            };
            if !all.iter().any(|(_, known, _)| *known == host) {
                all.push((name.clone(), host, given));
            }
        }
    }
    Ok(all)
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
        let default = "shop.example.com".parse().unwrap();
        let hosts: Vec<String> =
            wanted(&stack, Some(&default)).unwrap().iter().map(|w| format!("{} {}", w.1, w.2)).collect();
        assert_eq!(hosts, ["shop--s-api.example.com true", "api.example.org false"]);
    }
}
