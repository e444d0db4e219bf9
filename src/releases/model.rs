//! What shall run, as the rows say it; and which services an attempt can take over as they are. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rollout::Progress;
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::stack::model::{ConfigFile, FileSource, SecretRef};
use crate::stack::{Revision, Service, Stack};

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

/// What is in the files of a service: configs by their text, secrets by their version.
fn contents<'a>(stack: &'a Stack, service: &Service) -> Vec<(Option<&'a ConfigFile>, Option<&'a SecretRef>)> {
    let of = |file: &crate::stack::model::FileMount| match &file.source {
        FileSource::Config(name) => (stack.configs.get(name), None),
        FileSource::Secret(name) => (None, stack.secrets.get(name)),
    };
    service.files.iter().map(of).collect()
}

/// The services of a new revision that need not be started anew: they and the configuration they read are exactly what
/// serves. A database keeps running while the services around it change.
#[must_use]
pub fn unchanged(serving: &Revision, attempt: Attempt, kept: &Kept, new: &Revision) -> Kept {
    if serving.config_version != new.config_version {
        return Kept::new();
    }
    let same = |(name, service): &(&ServiceName, &Service)| {
        service.kind.is_standing()
            && serving.stack.services.get(*name) == Some(*service)
            && contents(&serving.stack, service) == contents(&new.stack, service)
    };
    let at = |name: &ServiceName| (name.clone(), kept.get(name).copied().unwrap_or(attempt));
    new.stack.services.iter().filter(same).map(|(name, _)| at(name)).collect()
}
