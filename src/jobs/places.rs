//! Where jobs are: the environments, with what the revision that serves in each says of its jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::handle::Jobs;
use super::model::Definition;
use super::program::definitions;
use crate::kernel::id::EnvironmentId;
use crate::releases::store as releases;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;
use crate::tenancy::model::Environment;
use crate::tenancy::store::projects;

/// The jobs of an environment, as what serves there says.
pub(super) struct Place {
    pub environment: Environment,
    /// The serving revision and its definitions.
    pub serving: Option<(i64, Arc<Vec<Definition>>)>,
    /// Its instances are wanted: neither stopped nor destroyed.
    pub runs: bool,
}

/// Definitions that were read, by environment: revisions never change.
#[derive(Default)]
pub(super) struct Reader {
    known: BTreeMap<EnvironmentId, (i64, Arc<Vec<Definition>>)>,
}

impl Jobs {
    /// All of them.
    pub(super) async fn places(&self, reader: &mut Reader) -> Result<BTreeMap<EnvironmentId, Place>, StoreError> {
        let store = &self.inner.parts.store;
        let mut rows = releases::every_desired(store).await?;
        let mut places = BTreeMap::new();
        for environment in projects::every(store).await? {
            let Some(row) = rows.remove(&environment.id) else { continue };
            let serving = match row.serving {
                Some(attempt) => reader.read(self, &environment, attempt.revision).await?,
                None => None,
            };
            let runs = !row.stopped && !row.destroyed;
            places.insert(environment.id.clone(), Place { environment, serving, runs });
        }
        reader.known.retain(|id, _| places.contains_key(id));
        Ok(places)
    }
}

impl Reader {
    async fn read(
        &mut self,
        jobs: &Jobs,
        environment: &Environment,
        revision: i64,
    ) -> Result<Option<(i64, Arc<Vec<Definition>>)>, StoreError> {
        if let Some(known) = self.known.get(&environment.id).filter(|(number, _)| *number == revision) {
            return Ok(Some(known.clone()));
        }
        let tenant = Tenant::platform(environment.tenant_id.clone());
        let stored = releases::get(&jobs.inner.parts.store, &tenant, &environment.id, revision).await?;
        let Some(stored) = stored else { return Ok(None) };
        let read = (revision, Arc::new(definitions(&stored.revision.stack)));
        self.known.insert(environment.id.clone(), read.clone());
        Ok(Some(read))
    }
}
