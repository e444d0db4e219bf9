//! Whether an attempt may begin: there is a place for it on this machine, and its organisation and project may have that
//! much. Reserved in the very transaction that begins it, so that two never take the same room.

use std::collections::BTreeMap;

use super::Deployer;
use super::drive::{Failure, Progress};
use crate::kernel::name::ServiceName;
use crate::releases::store as releases;
use crate::stack::{Service, placement, quota};
use crate::store::Write;

impl Deployer {
    /// Reserves what this revision needs at most while it takes over; else gives the reason with the figures.
    pub(super) async fn admit(&self, tx: &mut Write, job: &Progress<'_>, number: i64) -> Result<(), Failure> {
        let (store, environment) = (&self.parts.store, &job.environment.id);
        let Some(new) = releases::get(store, job.tenant, environment, number).await? else { return Ok(()) };
        let serving = releases::desired(store, job.tenant, environment).await?.and_then(|d| d.serving);
        let old = match serving {
            Some(attempt) => releases::get(store, job.tenant, environment, attempt.revision).await?,
            None => None,
        };
        let formation = releases::every_formation(store).await?.remove(environment).unwrap_or_default();
        let wanted = most_wanted(&formation);
        let new = &new.revision.stack;
        if let Some(machine) = self.parts.scheduler.machine()
            && let Some(reason) = placement::refused(new, &machine, wanted)
        {
            return Err(Failure::Theirs(reason));
        }
        let needed = quota::peak(old.as_ref().map(|o| &o.revision.stack), new, wanted);
        let reserved = releases::reserve(tx, job.tenant, environment, needed).await?;
        reserved.map_err(|exceeded| Failure::Theirs(format!("there is no room for it: {exceeded}")))
    }
}

/// How many instances of a service there can be, by what was said and by how far it scales by itself.
fn most_wanted(formation: &BTreeMap<ServiceName, u32>) -> impl Fn(&ServiceName, &Service) -> u32 + Copy {
    move |name, service| {
        let most = service.scale.as_ref().map_or(0, |s| s.max);
        formation.get(name).copied().unwrap_or(service.replicas).max(most)
    }
}
