//! What the container of an attempt is: its service's, the step's own variables, and the files that steps share.

use super::handle::Jobs;
use super::model::{Attempt, Run, Step};
use crate::engine::{InstanceSpec, Owner, VolumeKey, VolumeMount};
use crate::kernel::id::OperationId;
use crate::releases::store as releases;
use crate::store::StoreError;
use crate::tenancy::access::Tenant;

/// Where the files that steps share are mounted, and the folder in there.
pub(super) const SHARED_MOUNT: &str = "/wharf";
pub(super) const SHARED_FOLDER: &str = "artifacts";
/// Before the name of the volume of a run.
const VOLUME: &str = "run.";

/// The volume of a run's shared files.
pub(super) fn volume_of(run: &Run) -> VolumeKey {
    let name = format!("{VOLUME}{}", run.id).parse().expect("letters, digits, `_` and `.`, and shorter than 63");
    VolumeKey { environment: run.environment.clone(), name }
}

/// The run a volume belongs to, when it is one of this room's.
#[must_use]
pub(crate) fn run_of(volume: &VolumeKey) -> Option<OperationId> {
    volume.name.as_str().strip_prefix(VOLUME)?.parse().ok()
}

impl Jobs {
    /// The container's specification, or why there can be none.
    pub(super) async fn spec(
        &self,
        tenant: &Tenant,
        run: &Run,
        step: &Step,
        attempt: &Attempt,
        owner: &Owner,
    ) -> Result<Result<InstanceSpec, String>, StoreError> {
        let parts = &self.inner.parts;
        let Some(stored) = releases::get(&parts.store, tenant, &run.environment, run.revision).await? else {
            return Ok(Err(format!("v{} is not stored any more", run.revision)));
        };
        let task = (&run.id, attempt.serial);
        let spec = parts
            .scheduler
            .numbered_task_spec(owner, &stored.revision, &step.service, step.command.clone(), task)
            .await;
        Ok(spec.map(|mut spec| {
            equip(&mut spec, run, step, attempt);
            spec
        }))
    }
}

/// What a container of a run gets besides what its service has.
fn equip(spec: &mut InstanceSpec, run: &Run, step: &Step, attempt: &Attempt) {
    let own = |name: &str, value: String| (name.to_owned(), value);
    spec.environment.extend(step.environment.clone());
    spec.environment.extend(run.program.parameters.clone());
    spec.environment.extend([
        own("WHARF_RUN", run.number.to_string()),
        own("WHARF_STEP", attempt.step.clone()),
        own("WHARF_ATTEMPT", attempt.number.to_string()),
    ]);
    if let Some(item) = step.items.get(attempt.item as usize) {
        spec.environment.extend([own("WHARF_ITEM", item.clone()), own("WHARF_ITEM_INDEX", attempt.item.to_string())]);
    }
    if let Some(moment) = run.scheduled_for {
        spec.environment.extend([own("WHARF_SCHEDULED_FOR", moment.rfc3339())]);
    }
    if run.program.shares_files() {
        spec.environment.extend([own("WHARF_ARTIFACTS", format!("{SHARED_MOUNT}/{SHARED_FOLDER}"))]);
        spec.mounts.push(VolumeMount {
            volume: volume_of(run),
            labels: std::collections::BTreeMap::new(),
            target: SHARED_MOUNT.to_owned(),
            read_only: false,
            subpath: None,
            no_copy: true,
            shared_folder: Some(SHARED_FOLDER.to_owned()),
        });
    }
}
