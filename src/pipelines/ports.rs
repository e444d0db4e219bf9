//! Ports that the services of a manifest ask for beside HTTP.

use std::collections::BTreeSet;

use super::Deployer;
use super::drive::{Failure, Progress};
use crate::kernel::name::ServiceName;
use crate::stack::model::Exposure;
use crate::stack::{Service, Stack};
use crate::store::Write;
use crate::tenancy::model::{PublicPort, Transport};
use crate::tenancy::store::ports;

/// Ports below this are the machine's own.
const LOWEST: u16 = 1_024;
/// Where a port is chosen from when none is wished for: below those that systems use for calls of their own.
const CHOSEN: std::ops::RangeInclusive<u16> = 20_000..=29_999;
/// Ports of one environment.
const MOST_PORTS: usize = 20;

impl Deployer {
    /// Gives the environment the ports its revision asks for and it does not have yet. It keeps them for rollbacks.
    pub(super) async fn give_ports(&self, tx: &mut Write, job: &Progress<'_>, stack: &Stack) -> Result<(), Failure> {
        let parts = &self.parts;
        let of_service = |(name, service): (&ServiceName, &Service)| {
            service.exposures.iter().map(|wish| (name.clone(), wish.clone())).collect::<Vec<_>>()
        };
        let wishes: Vec<(ServiceName, Exposure)> = stack.services.iter().flat_map(of_service).collect();
        if wishes.is_empty() {
            return Ok(());
        }
        let mut own = ports::list(&parts.store, job.tenant, &job.environment.id).await?;
        for (service, wish) in &wishes {
            if own.iter().any(|p| p.serves(service, wish)) {
                continue;
            }
            let transport = Transport::from(wish.transport);
            let mut taken = ports::taken(&parts.store, transport).await?;
            // Those given a moment ago are not to be seen yet.
            taken.extend(own.iter().filter(|p| p.transport == transport).map(|p| p.published));
            let published = choose(service, wish, &taken, &parts.own_ports).map_err(Failure::Theirs)?;
            if own.len() >= MOST_PORTS {
                let sentence = format!("the app would have more than {MOST_PORTS} ports; publish fewer");
                return Err(Failure::Theirs(sentence));
            }
            let (environment_id, service, port) = (job.environment.id.clone(), service.clone(), wish.port);
            let given = PublicPort { environment_id, transport, published, service, port };
            ports::add(tx, job.tenant, &given, parts.clock.now()).await.map_err(|e| match e.unique_violation() {
                Some(_) => Failure::Theirs(taken_by_another(&given.service, transport, published)),
                None => e.into(),
            })?;
            job.log
                .output(format!("{} port {published} leads to {}:{}", transport.as_str(), given.service, port))
                .await;
            own.push(given);
        }
        Ok(())
    }
}

fn taken_by_another(service: &ServiceName, transport: Transport, port: u16) -> String {
    format!(
        "`{service}` cannot have the {} port {port}: another app has it; publish another one, or leave the published \
         port out to be given a free one",
        transport.as_str()
    )
}

/// The port that is wished for, or a free one.
fn choose(
    service: &ServiceName,
    wish: &Exposure,
    taken: &BTreeSet<u16>,
    of_the_platform: &[u16],
) -> Result<u16, String> {
    let transport = Transport::from(wish.transport);
    let Some(port) = wish.published else {
        let free = CHOSEN.into_iter().find(|p| !taken.contains(p) && !of_the_platform.contains(p));
        return free.ok_or_else(|| format!("no {} port is free for `{service}`", transport.as_str()));
    };
    if port < LOWEST {
        return Err(format!(
            "`{service}` cannot have the {} port {port}: ports below {LOWEST} are the machine's own; publish a higher one",
            transport.as_str()
        ));
    }
    if of_the_platform.contains(&port) {
        return Err(format!(
            "`{service}` cannot have the port {port}: the platform itself uses it; publish another one"
        ));
    }
    if taken.contains(&port) { Err(taken_by_another(service, transport, port)) } else { Ok(port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_granted_when_it_is_free_and_allowed() {
        let service = "db".parse().unwrap();
        let check = |published, expected: Result<u16, &str>| {
            let wish = Exposure { port: 5432, transport: Default::default(), published };
            let got = choose(&service, &wish, &[20_000, 6_000].into(), &[20_001, 8_080]);
            match (got, expected) {
                (Ok(port), Ok(wanted)) => assert_eq!(port, wanted),
                (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
                other => panic!("{other:?}"),
            }
        };
        check(Some(5_432), Ok(5_432));
        check(None, Ok(20_002));
        check(Some(53), Err("the machine's own"));
        check(Some(8_080), Err("the platform itself"));
        check(Some(6_000), Err("another app has it"));
    }
}
