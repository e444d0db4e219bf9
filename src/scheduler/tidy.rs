//! The low-frequency task that applies the rules of [`super::gc`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::gc::{Kept, images_to_remove, revisions_to_forget};
use super::handle::{Scheduler, lock};
use crate::engine::EngineError;
use crate::kernel::error::chain;
use crate::kernel::id::EnvironmentId;
use crate::releases::store as releases;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;
use crate::tenancy::store::projects;

/// After a start, more urgent work comes first.
const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Revisions looked at per environment in one round; with one round an hour none escapes for long.
const LOOKED_AT: u32 = 500;

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tidied {
    pub revisions: usize,
    pub images: usize,
}

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum TidyError {
    #[error("the database could not be used")]
    Store(#[from] StoreError),
    #[error("the container engine could not be asked")]
    Engine(#[from] EngineError),
}

impl Scheduler {
    /// Runs for ever.
    pub(super) async fn keep_tidy(&self) {
        tokio::time::sleep(FIRST_AFTER).await;
        loop {
            match self.tidy().await {
                Ok(done) => {
                    tracing::info!(revisions = done.revisions, images = done.images, "removed what is not needed")
                }
                Err(error) => tracing::warn!(error = chain(&error), "cleaning up did not come to its end"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// One round.
    pub(super) async fn tidy(&self) -> Result<Tidied, TidyError> {
        let parts = &self.inner.parts;
        let mut done = Tidied::default();
        let mut kept: BTreeMap<EnvironmentId, Vec<Kept>> = BTreeMap::new();
        // The images come first: one built meanwhile is not in the list, and one in the list is judged by
        // revisions read later.
        let images = parts.engine.images().await?;
        let in_use: BTreeSet<String> = parts.engine.observe().await?.into_iter().map(|c| c.image).collect();
        for environment in projects::every(&parts.store).await? {
            let tenant = Tenant::platform(environment.tenant_id.clone());
            let (forgotten, keep) = self.forget_old(&tenant, &environment.id).await?;
            done.revisions += forgotten;
            kept.insert(environment.id, keep);
        }
        for id in images_to_remove(&images, &kept, &in_use, parts.clock.now()) {
            match parts.engine.remove_image(&id).await {
                Ok(()) => done.images += 1,
                Err(error) => tracing::warn!(image.id = %id, error = chain(&error), "an image stays for now"),
            }
        }
        Ok(done)
    }

    async fn forget_old(&self, tenant: &Tenant, environment: &EnvironmentId) -> Result<(usize, Vec<Kept>), StoreError> {
        let store = &self.inner.parts.store;
        let row = releases::desired(store, tenant, environment).await?;
        let mut wanted: BTreeSet<i64> = BTreeSet::new();
        if let Some(row) = row {
            let attempts = row.serving.into_iter().chain(row.target.map(|(a, _)| a)).chain(row.warm.map(|w| w.attempt));
            wanted.extend(attempts.map(|a| a.revision));
        }
        // A job goes on in the release it began with.
        wanted.extend(self.inner.parts.operations.revisions_under_way(tenant, environment).await?);
        let known = Arc::clone(&lock(&self.inner.wish));
        let planned = known.desired.environments.get(environment);
        wanted.extend(planned.iter().flat_map(|e| e.releases().map(|r| r.version.revision)));
        let stored = releases::list(store, tenant, environment, LOOKED_AT).await?;
        let revisions = stored.iter().map(|s| Kept::of(s.revision.number, &s.revision.stack)).collect();
        let (forget, keep) = revisions_to_forget(revisions, &wanted);
        if !forget.is_empty() {
            let mut tx = store.write().await?;
            for number in &forget {
                releases::forget(&mut tx, tenant, environment, *number).await?;
            }
            tx.commit().await?;
        }
        Ok((forget.len(), keep))
    }
}
