//! Reads what shall run, for all environments of all tenants, out of the rooms that store it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::model::{Desired, DesiredEnvironment, Release, Target, Version, Wanted, Warm};
use crate::engine::Owner;
use crate::gateway::store::{self as gateway, Everything};
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::name::ServiceName;
use crate::releases::{self, Attempt, Kept, store as revisions};
use crate::stack::Stack;
use crate::store::{Store, StoreError};
use crate::tenancy::access::Tenant;
use crate::tenancy::model::{Domain, Environment, PublicPort};
use crate::tenancy::store::{domains, ports, projects};

impl From<Attempt> for Version {
    fn from(attempt: Attempt) -> Self {
        Self { revision: attempt.revision, generation: attempt.generation }
    }
}

impl From<Version> for Attempt {
    fn from(version: Version) -> Self {
        Self { revision: version.revision, generation: version.generation }
    }
}

/// What is wanted, with the names and hosts that go with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub desired: Desired,
    pub environments: BTreeMap<EnvironmentId, Environment>,
    pub domains: Vec<Domain>,
    pub gateway: Everything,
    pub ports: Vec<PublicPort>,
}

/// Everything is read anew after so many times that nothing was found to have changed.
const REUSED_AT_MOST: u32 = 30;

/// What was read already. Revisions never change, so they are read once and kept as long as they are wanted; the rest is
/// read when something was written since.
#[derive(Default)]
pub(super) struct Reader {
    stacks: BTreeMap<(EnvironmentId, i64), (Arc<Stack>, i64)>,
    last: Option<Last>,
}

/// What was read last.
struct Last {
    /// The writes of this process before it was read.
    commits: u64,
    wish: Arc<Wish>,
    reused: u32,
}

impl Reader {
    /// Everything that is wanted now.
    pub(super) async fn read(&mut self, store: &Store, running: Vec<OperationId>) -> Result<Arc<Wish>, StoreError> {
        let commits = store.commits();
        let running: BTreeSet<OperationId> = running.into_iter().collect();
        if let Some(last) = &mut self.last
            && (last.commits, &last.wish.desired.operations) == (commits, &running)
            && last.reused < REUSED_AT_MOST
        {
            last.reused += 1;
            return Ok(Arc::clone(&last.wish));
        }
        let wish = Arc::new(self.read_anew(store, running).await?);
        self.last = Some(Last { commits, wish: Arc::clone(&wish), reused: 0 });
        Ok(wish)
    }

    async fn read_anew(&mut self, store: &Store, running: BTreeSet<OperationId>) -> Result<Wish, StoreError> {
        let gateway = gateway::everything(store).await?;
        let mut wish = Wish {
            domains: domains::every(store).await?,
            ports: ports::every(store).await?,
            gateway,
            ..Wish::default()
        };
        wish.desired.operations = running;
        wish.desired.quotas = revisions::every_quota(store).await?;
        let mut rows = revisions::every_desired(store).await?;
        let mut formations = revisions::every_formation(store).await?;
        for environment in projects::every(store).await? {
            // One that came between the two looks is found by the next pass.
            if let Some(row) = rows.remove(&environment.id) {
                let formation = formations.remove(&environment.id).unwrap_or_default();
                let desired = self.environment(store, &environment, row, formation).await?;
                wish.desired.environments.insert(environment.id.clone(), desired);
                wish.environments.insert(environment.id.clone(), environment);
            }
        }
        self.forget_unwanted(&wish.desired);
        Ok(wish)
    }

    async fn environment(
        &mut self,
        store: &Store,
        environment: &Environment,
        row: releases::Desired,
        formation: BTreeMap<ServiceName, u32>,
    ) -> Result<DesiredEnvironment, StoreError> {
        let tenant = Tenant::platform(environment.tenant_id.clone());
        let wanted = match (row.destroyed, row.stopped) {
            (true, _) => Wanted::Destroyed,
            (false, true) => Wanted::Stopped,
            (false, false) => Wanted::Run,
        };
        let serving = match row.serving {
            Some(attempt) => Some(self.release(store, &tenant, &environment.id, attempt, &row.serving_kept).await?),
            None => None,
        };
        // A target that already serves is no change any more.
        let target = match row.rollout() {
            Some((attempt, since)) => {
                let release = self.release(store, &tenant, &environment.id, attempt, &row.target_kept).await?;
                Some(Target { release, since, progress: row.progress })
            }
            None => None,
        };
        let warm = match &row.warm {
            Some(warm) => {
                let release = self.release(store, &tenant, &environment.id, warm.attempt, &warm.kept).await?;
                Some(Warm { release, until: warm.until })
            }
            None => None,
        };
        let owner = Owner {
            tenant: environment.tenant_id.clone(),
            project: environment.project_id.clone(),
            environment: environment.id.clone(),
        };
        Ok(DesiredEnvironment { owner, wanted, target, serving, warm, formation, yields: BTreeMap::new() })
    }

    async fn release(
        &mut self,
        store: &Store,
        tenant: &Tenant,
        environment: &EnvironmentId,
        attempt: Attempt,
        kept: &Kept,
    ) -> Result<Release, StoreError> {
        let place = (environment.clone(), attempt.revision);
        let (stack, config_version) = match self.stacks.get(&place) {
            Some(known) => known.clone(),
            None => {
                let stored = revisions::get(store, tenant, environment, attempt.revision).await?.ok_or_else(|| {
                    StoreError::Corrupt(format!(
                        "{environment} wants revision {}, which is not stored",
                        attempt.revision
                    ))
                })?;
                let read = (Arc::new(stored.revision.stack), stored.revision.config_version);
                self.stacks.insert(place, read.clone());
                read
            }
        };
        let kept = kept.iter().map(|(name, attempt)| (name.clone(), Version::from(*attempt))).collect();
        Ok(Release { version: attempt.into(), config_version, stack, kept })
    }

    fn forget_unwanted(&mut self, desired: &Desired) {
        let wanted: BTreeSet<(EnvironmentId, i64)> = desired
            .environments
            .iter()
            .flat_map(|(id, e)| e.releases().map(|r| (id.clone(), r.version.revision)))
            .collect();
        self.stacks.retain(|place, _| wanted.contains(place));
    }
}
