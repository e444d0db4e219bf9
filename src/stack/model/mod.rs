//! The closed types of a stack: all that one architecture can say, and nothing else.
//!
//! One idea per file. Everything beyond the core of a service (kind, image, command, port, health, replicas, limits)
//! is optional and left out of the JSON while it has its default value: a revision stored before a field existed
//! keeps its JSON, and with it its hash. So a field's default must mean "as before the field was there".
//!
//! To add a field: put it into the file of its idea with `#[serde(default, skip_serializing_if = …)]`, read it in
//! [`super::compose`], name it in [`super::diff`].

mod build;
mod container;
mod deploy;
mod health;
mod job;
mod name;
mod network;
mod rollout;
mod route;
mod scale;
mod service;
mod traffic;
mod volume;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernel::clock::Timestamp;
use crate::kernel::name::{ServiceName, VariableName};

pub use build::Build;
pub use container::{Container, ExtraHost, Ulimit};
pub use deploy::{Amount, Limits, Placement, Reservation, RestartCondition, RestartPolicy, UpdateOrder};
pub use health::{HealthCheck, Protocol};
pub use job::{
    Job, JobStart, Misfire, Overlap, Retry, Schedule, StepCondition, StepTrigger, Workflow, WorkflowInput, WorkflowStep,
};
pub use name::ResourceName;
pub use network::{Attachment, Network};
pub use rollout::{Analysis, FailureAction, Pause, Rollout, Step, Strategy, Targeting};
pub use route::{Exposure, Route, RouteHost, RouteProtocol, ServicePort, Transport};
pub use scale::{Metric, Scale, ScaleSchedule};
pub use service::{
    Care, Criticality, Dependency, DependencyCondition, ImageRef, Release, ReleaseCommand, Service, ServiceKind,
    placeholder,
};
pub use traffic::{Breaker, LatencyObjective, OutlierEjection, RateKey, RateLimit, Resilience, Retries, Slo, Traffic};
pub use volume::{Backup, ConfigFile, FileMode, FileMount, FileSource, Mount, SecretRef, Tmpfs, Volume};

/// Whether a field still has its default value, and is left out of the JSON.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// All services of one environment, with what they share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// A command run once, to its end, before a new revision takes traffic (Procfile `release`). Services may have
    /// release commands of their own; [`Stack::release_commands`] gives all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseCommand>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Origin,
    /// What people call it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub about: About,
    /// The variables it asks for, by name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inputs: BTreeMap<VariableName, Input>,
    /// Its volumes. A volume belongs to the environment, and outlives revisions and rollbacks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub volumes: BTreeMap<ResourceName, Volume>,
    /// Groups of services that may talk to each other. Empty: all may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub networks: BTreeMap<ResourceName, Network>,
    /// Files with plain content, pinned by it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub configs: BTreeMap<ResourceName, ConfigFile>,
    /// Secrets by the name the services use; only references, never values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secrets: BTreeMap<ResourceName, SecretRef>,
    /// Jobs that run in an order, on a schedule or on request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workflows: BTreeMap<ResourceName, Workflow>,
}

/// What a stack was made from; it decides what of the environment's configuration its services get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Source or an image of one app: every service gets all of the configuration.
    #[default]
    App,
    /// A manifest: a service gets what the manifest names for it.
    Manifest,
}

/// Name, version and purpose of an architecture, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version as its authors count: any text without spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is for, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A variable that is asked for when the stack is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What a form shows beside the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A longer explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a value must be given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub required: bool,
    /// Whether it is kept as a secret.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret: bool,
    /// Makes a value when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generator>,
    /// The values that may be chosen; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// How a value is made up. The length is in characters of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Which characters.
    pub kind: GeneratorKind,
    /// How many.
    pub length: u16,
}

/// The characters of a made-up value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// Letters and digits.
    Password,
    /// Hexadecimal digits.
    Hex,
    /// Random bytes in Base64, cut to the length.
    Base64,
}

/// An immutable snapshot of a stack, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Counts up from 1 within the environment; people say "v7".
    pub number: i64,
    /// The content hash of the stack and the configuration it is pinned to.
    pub hash: String,
    /// The services.
    pub stack: Stack,
    /// The version of the environment's configuration it runs with.
    pub config_version: i64,
    /// Where it came from: a commit, for a push.
    pub source_commit: Option<String>,
    /// Who made it.
    pub author: String,
    /// Why: the first line of the commit message, or what the platform did.
    pub message: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Stack {
    /// The content hash of this stack pinned to a configuration version: SHA-256 over its canonical JSON
    /// (maps are sorted, absent values are left out), in hexadecimal.
    #[must_use]
    pub fn hash(&self, config_version: i64) -> String {
        let json = serde_json::to_vec(&(self, config_version)).expect("a stack is always representable as JSON");
        hex::encode(Sha256::digest(json))
    }

    /// The services whose image is not pinned to a content id yet. A stack may be stored as a revision only when
    /// there is none.
    pub fn unpinned(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.services.iter().filter(|(_, s)| !s.image.is_pinned())
    }

    /// All release commands, in the order in which they run: the stack's own first, then those of the services in
    /// their start order.
    #[must_use]
    pub fn release_commands(&self) -> Vec<ReleaseCommand> {
        let of_services = super::graph::start_order(self).into_iter().flatten().filter_map(|name| {
            let release = self.services.get(&name)?.release.clone()?;
            Some(ReleaseCommand { service: name, command: release.command, deadline_seconds: release.deadline_seconds })
        });
        self.release.iter().cloned().chain(of_services).collect()
    }

    /// The secrets a service gets, as files and as variables.
    pub fn secrets_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a SecretRef> {
        let files = service.files.iter().filter_map(|file| match &file.source {
            FileSource::Secret(name) => self.secrets.get(name),
            FileSource::Config(_) => None,
        });
        files.chain(service.secret_environment.values())
    }

    /// All references to secrets, to be pinned to a version.
    pub fn secret_refs_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let of_services = self.services.values_mut().flat_map(|s| s.secret_environment.values_mut());
        self.secrets.values_mut().chain(of_services)
    }

    /// Whether two services share a network. Services that name none share the default one.
    #[must_use]
    pub fn may_talk(&self, a: &ServiceName, b: &ServiceName) -> bool {
        let (Some(a), Some(b)) = (self.services.get(a), self.services.get(b)) else { return false };
        match (a.networks.is_empty(), b.networks.is_empty()) {
            (true, true) => true,
            (true, false) => b.networks.keys().any(ResourceName::is_default_network),
            (false, true) => a.networks.keys().any(ResourceName::is_default_network),
            (false, false) => a.networks.keys().any(|n| b.networks.contains_key(n)),
        }
    }
}
