//! What shall run, as the rows say it; and which services an attempt can take over as they are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rollout::Progress;
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::stack::Revision;
use crate::stack::diff::goes_on;

/// One attempt to run a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    pub revision: i64,
    pub generation: i64,
}

/// The services of an attempt that go on in the instances of an earlier one, because nothing about them has changed.
pub type Kept = BTreeMap<ServiceName, Attempt>;

/// What served before, kept running for an instant way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    pub attempt: Attempt,
    pub kept: Kept,
    pub until: Timestamp,
}

/// What shall run in an environment, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// What shall run, and since when that is so.
    pub target: Option<(Attempt, Timestamp)>,
    pub target_kept: Kept,
    /// How far the target is.
    pub progress: Progress,
    /// What passed and takes traffic.
    pub serving: Option<Attempt>,
    pub serving_kept: Kept,
    pub warm: Option<Warm>,
    pub stopped: bool,
    pub destroyed: bool,
}

impl Desired {
    /// The target, unless it serves already.
    #[must_use]
    pub fn rollout(&self) -> Option<(Attempt, Timestamp)> {
        self.target.filter(|(attempt, _)| self.serving != Some(*attempt))
    }
}

/// The services of a new revision that need not be started anew: they and the configuration they read are exactly what
/// serves. A database keeps running while the services around it change. `changed` names the variables that have
/// another value in the configuration of the new revision.
#[must_use]
pub fn unchanged(
    serving: &Revision,
    attempt: Attempt,
    kept: &Kept,
    new: &Revision,
    changed: &BTreeSet<String>,
) -> Kept {
    let same = |name: &&ServiceName| goes_on(&serving.stack, &new.stack, name, changed);
    let at = |name: &ServiceName| (name.clone(), kept.get(name).copied().unwrap_or(attempt));
    new.stack.services.keys().filter(same).map(at).collect()
}
