//! How much room is left under the quotas of organisations and projects. Every container counts, whatever state it is in,
//! and so does every start that is under way: what is started never passes a quota, whoever asks for it.

use std::collections::BTreeMap;

use crate::engine::{InstanceKey, Observed, Owner, Role};
use crate::kernel::id::{ProjectId, TenantId};
use crate::releases::store::Quotas;
use crate::scheduler::model::{Desired, Subject, World};
use crate::stack::quota::{Amounts, Quota};
use crate::stack::{Limits, Service};

/// What is taken of each quota.
#[derive(Default)]
pub(super) struct Taken<'a> {
    quotas: Option<&'a Quotas>,
    tenants: BTreeMap<&'a TenantId, Amounts>,
    projects: BTreeMap<&'a ProjectId, Amounts>,
    unsure: bool,
}

/// What is left for one environment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    tenant: Option<(Quota, Amounts)>,
    project: Option<(Quota, Amounts)>,
    unsure: bool,
}

impl<'a> Taken<'a> {
    /// By what is there now.
    pub(super) fn of(desired: &'a Desired, world: &'a World, containers: &'a [Observed]) -> Self {
        let quotas = &desired.quotas;
        if quotas.tenants.is_empty() && quotas.projects.is_empty() {
            return Self::default();
        }
        let mut taken = Self { quotas: Some(quotas), unsure: world.unsure, ..Self::default() };
        for container in containers.iter().filter(|c| c.role == Role::Instance) {
            taken.add(&container.owner, amounts(desired, &container.key));
        }
        let is_there = |key: &InstanceKey| containers.iter().any(|c| c.key == *key);
        for subject in &world.busy {
            if let Subject::Instance(key) = subject
                && let Some(environment) = desired.environments.get(&key.environment)
                && !is_there(key)
            {
                taken.add(&environment.owner, amounts(desired, key));
            }
        }
        taken
    }

    pub(super) fn add(&mut self, owner: &'a Owner, more: Amounts) {
        if self.quotas.is_some() {
            *self.tenants.entry(&owner.tenant).or_default() += more;
            *self.projects.entry(&owner.project).or_default() += more;
        }
    }

    /// What is left for an environment of this owner.
    pub(super) fn room(&self, owner: &Owner) -> Room {
        let Some(quotas) = self.quotas else { return Room::default() };
        let tenant = quotas.tenants.get(&owner.tenant);
        let project = quotas.projects.get(&owner.project);
        Room {
            tenant: tenant.map(|q| (*q, self.tenants.get(&owner.tenant).copied().unwrap_or_default())),
            project: project.map(|q| (*q, self.projects.get(&owner.project).copied().unwrap_or_default())),
            unsure: self.unsure,
        }
    }
}

/// What an instance may use; one of a release that is not known any more counts as usual ones do.
fn amounts(desired: &Desired, key: &InstanceKey) -> Amounts {
    let service = desired.environments.get(&key.environment).and_then(|e| e.service_of(key));
    let usual = Limits::default();
    let limits = service.map_or(&usual, |s| &s.limits);
    Amounts { instances: 1, cpu_millis: limits.cpu_millis.into(), memory_mib: limits.memory_mib.into() }
}

impl Room {
    /// Why one more instance of a service may not be started beside what this plan has `taken` already; in words that
    /// follow the instance's name.
    pub(super) fn refuses(&self, service: &Service, taken: Amounts) -> Option<String> {
        let more = Amounts::of(service, 1);
        let both = [("the organisation", self.tenant), ("the project", self.project)];
        let mut limits = both.into_iter().filter_map(|(whose, quota)| Some((whose, quota?))).peekable();
        if self.unsure && limits.peek().is_some() {
            return Some("waits until the engine's list is sure to be complete".to_owned());
        }
        let exceeded = limits.find_map(|(whose, (quota, used))| quota.allows(whose, used + taken, more).err());
        exceeded.map(|exceeded| format!("is not started: {exceeded}"))
    }
}
