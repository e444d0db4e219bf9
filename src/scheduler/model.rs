//! The planner's words: what shall be ([`Desired`]), what is ([`World`]), and what to do about it ([`Plan`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::health::{Health, Verdict};
use super::plan::analysis::Tally;
use super::pressure::Yield;
use super::report::Report;
use crate::engine::{ContainerState, InstanceKey, Observed, Owner};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId};
use crate::kernel::name::ServiceName;
use crate::releases::rollout::{Progress, Step};
use crate::releases::store::Quotas;
use crate::stack::model::{Care, Targeting};
use crate::stack::{Service, Stack};

/// A revision, and the how-manieth attempt to run it: every deploy, rollback and restart gets a generation of
/// its own, so that its instances are never mistaken for those of an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    pub revision: i64,
    pub generation: i64,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}", self.revision)
    }
}

/// A version with what it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub version: Version,
    /// The version of the environment's configuration it is pinned to.
    pub config_version: i64,
    pub stack: Arc<Stack>,
    /// Services that have not changed and go on in the instances of an earlier attempt.
    pub kept: BTreeMap<ServiceName, Version>,
}

impl Release {
    /// The version whose instances a service runs in.
    #[must_use]
    pub fn version_of(&self, service: &ServiceName) -> Version {
        self.kept.get(service).copied().unwrap_or(self.version)
    }

    /// The key of one of its instances.
    #[must_use]
    pub fn key(&self, environment: &EnvironmentId, service: &ServiceName, slot: u32) -> InstanceKey {
        let version = self.version_of(service);
        InstanceKey {
            environment: environment.clone(),
            service: service.clone(),
            revision: version.revision,
            generation: version.generation,
            slot,
        }
    }
}

/// A release that shall take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub release: Release,
    /// When it was set; its deadline counts from here.
    pub since: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

/// A release that served before and is kept running for an instant way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    pub release: Release,
    pub until: Timestamp,
}

/// The part of a service's requests that goes to its new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub version: Version,
    /// 0 to 100.
    pub percent: u8,
    /// Requests that go there whatever the share is.
    pub targeting: Option<Targeting>,
}

/// What a person wants of an environment as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    Run,
    Stopped,
    Destroyed,
}

/// What shall run in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredEnvironment {
    pub owner: Owner,
    pub wanted: Wanted,
    /// What shall take over, unless it already serves.
    pub target: Option<Target>,
    /// The last release that passed; it has the traffic.
    pub serving: Option<Release>,
    /// What served before that, while it is kept.
    pub warm: Option<Warm>,
    /// Instances wanted per service, where that differs from the release.
    pub formation: BTreeMap<ServiceName, u32>,
    /// Services that run in fewer instances than wanted, because the machine is short of something.
    pub yields: BTreeMap<ServiceName, Yield>,
}

impl DesiredEnvironment {
    /// One where this release serves and no other is on its way.
    #[must_use]
    pub fn new(owner: Owner, wanted: Wanted, serving: Option<Release>) -> Self {
        Self { owner, wanted, target: None, serving, warm: None, formation: BTreeMap::new(), yields: BTreeMap::new() }
    }

    /// How many instances of a service are wanted. A pet is one, and a job has none that stand.
    #[must_use]
    pub fn replicas(&self, name: &ServiceName, service: &Service) -> u32 {
        let wanted = self.formation.get(name).copied().unwrap_or(service.replicas);
        match service.care {
            _ if !service.kind.is_standing() => 0,
            Care::Pet => wanted.min(1),
            Care::Cattle => wanted,
        }
    }

    /// The serving release, the target and the one that is kept warm, as far as there are any.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        let warm = self.warm.iter().map(|w| &w.release);
        self.serving.iter().chain(self.target.iter().map(|t| &t.release)).chain(warm)
    }

    /// The service an instance belongs to, when its version is one of those wanted.
    #[must_use]
    pub fn service_of(&self, key: &InstanceKey) -> Option<&Service> {
        self.service(&key.service, version_of(key))
    }

    /// A service of a version, when that is one of those wanted.
    #[must_use]
    pub fn service(&self, name: &ServiceName, version: Version) -> Option<&Service> {
        self.releases().filter(|r| r.version_of(name) == version).find_map(|r| r.stack.services.get(name))
    }
}

/// The version an instance runs.
#[must_use]
pub fn version_of(key: &InstanceKey) -> Version {
    Version { revision: key.revision, generation: key.generation }
}

/// The private network of an environment. One per environment, not per project, so that `db` of staging and
/// `db` of production never answer for each other.
#[must_use]
pub fn network_name(environment: &EnvironmentId) -> String {
    format!("wharf-{environment}")
}

/// What shall run on the whole platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    pub environments: BTreeMap<EnvironmentId, DesiredEnvironment>,
    /// Operations under way in this process; task containers of any other are leftovers.
    pub operations: BTreeSet<OperationId>,
    /// What organisations and projects may use at most.
    pub quotas: Quotas,
}

/// What is known of one container beyond what the engine says of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The run (by its start) the health belongs to.
    pub run: Option<Timestamp>,
    pub health: Health,
    /// When this run was first found healthy.
    pub healthy_since: Option<Timestamp>,
    /// How often it ended by itself, or had to be stopped for its health, without a stable run in between.
    pub crashes: u32,
    /// The end that was counted last.
    pub counted_end: Option<Timestamp>,
    /// A stop of ours is the cause of its next end.
    pub stop_asked: bool,
    /// Since when the ingress has applied a table without it.
    pub left_routes_at: Option<Timestamp>,
    /// The engine's newest list lacks it, and that is not believed yet. It keeps its routes, and proves nothing.
    pub doubted: bool,
    /// The last line it printed before it ended.
    pub last_words: Option<String>,
}

/// Why an instance could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub attempts: u32,
    pub last_at: Timestamp,
    /// Trying again cannot help (the image is not there).
    pub hopeless: bool,
    /// In words that follow the instance's name.
    pub reason: String,
}

/// What the engine showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineView {
    /// It did not answer, so nothing may be concluded.
    Lost { reason: String },
    /// Everything it has of ours, in any order.
    Seen { containers: Vec<Observed>, networks: BTreeSet<String> },
}

/// What the ingress said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngressView {
    /// Instances in the table it has applied; unknown until it acknowledged one of ours.
    pub applied: Option<BTreeSet<String>>,
    /// Instances in a table that was sent and not yet acknowledged: they may get requests any moment.
    pub pending: BTreeSet<String>,
    /// Requests under way, by instance; absent means none.
    pub in_flight: BTreeMap<String, u64>,
}

impl IngressView {
    /// Whether a request could still be sent to this container.
    #[must_use]
    pub fn may_route(&self, id: &str) -> bool {
        self.applied.as_ref().is_none_or(|applied| applied.contains(id)) || self.pending.contains(id)
    }
}

/// What is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    pub engine: EngineView,
    pub ingress: IngressView,
    /// By container id.
    pub facts: BTreeMap<String, Facts>,
    pub trouble: BTreeMap<InstanceKey, Trouble>,
    /// What an earlier plan's action is still at work on.
    pub busy: BTreeSet<Subject>,
    /// The engine has just come back (or this process has just begun): its list may lack what is there.
    pub unsure: bool,
    /// What the ingress counted of the instances of a canary and of those it is compared with, by container, since the
    /// present window of its step began.
    pub traffic: BTreeMap<String, Tally>,
}

impl World {
    /// The verdict on a container; `None` when it does not run or is not known.
    #[must_use]
    pub fn verdict(&self, container: &Observed, service: &Service, now: Timestamp) -> Option<Verdict> {
        verdict(container, self.facts.get(&container.id)?, service, now)
    }
}

/// The verdict on a container by what is known of it; `None` when it does not run, or another run is known.
#[must_use]
pub fn verdict(container: &Observed, facts: &Facts, service: &Service, now: Timestamp) -> Option<Verdict> {
    let ContainerState::Running { started_at } = container.state else { return None };
    (facts.run == Some(started_at)).then(|| facts.health.verdict(&service.health, started_at, now))
}

/// What an action is about; never two actions on the same subject at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Instance(InstanceKey),
    /// A one-off container, by id.
    Task(String),
    Network(String),
    Environment(EnvironmentId),
}

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopCause {
    /// It is not wanted any more.
    Retired,
    /// It fails its checks and shall be started again.
    Ill,
}

/// One thing to do, with nothing left to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    EnsureNetwork {
        environment: EnvironmentId,
        name: String,
        owner: Owner,
    },
    RemoveNetwork {
        name: String,
    },
    Start {
        key: InstanceKey,
        owner: Owner,
    },
    Restart {
        key: InstanceKey,
        id: String,
    },
    Stop {
        key: InstanceKey,
        id: String,
        grace_seconds: u32,
        cause: StopCause,
    },
    Remove {
        key: InstanceKey,
        id: String,
    },
    RemoveTask {
        environment: EnvironmentId,
        id: String,
    },
    /// The target becomes what serves; what served before is kept warm until then, when a time is given.
    MarkServing {
        environment: EnvironmentId,
        version: Version,
        warm_until: Option<Timestamp>,
    },
    /// A canary's new state.
    Step {
        environment: EnvironmentId,
        version: Version,
        service: ServiceName,
        step: Step,
    },
    /// The target is stopped where it is, because it fails and its manifest asks for a person.
    Hold {
        environment: EnvironmentId,
        version: Version,
        reason: String,
    },
    /// The target is being taken back from now on.
    Withdraw {
        environment: EnvironmentId,
        version: Version,
        reason: String,
    },
    FailTarget {
        environment: EnvironmentId,
        version: Version,
        reason: String,
    },
}

impl Action {
    /// Whether it changes only what is stored, and no container.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        matches!(self.subject(), Subject::Environment(_))
    }

    /// Whose it is; a network that belongs to nobody any more has no environment.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvironmentId> {
        match self {
            Self::RemoveNetwork { .. } => None,
            Self::EnsureNetwork { environment, .. }
            | Self::RemoveTask { environment, .. }
            | Self::MarkServing { environment, .. }
            | Self::Step { environment, .. }
            | Self::Hold { environment, .. }
            | Self::Withdraw { environment, .. }
            | Self::FailTarget { environment, .. } => Some(environment),
            Self::Start { key, .. } | Self::Restart { key, .. } | Self::Stop { key, .. } | Self::Remove { key, .. } => {
                Some(&key.environment)
            }
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::EnsureNetwork { name, .. } | Self::RemoveNetwork { name } => Subject::Network(name.clone()),
            Self::Start { key, .. } | Self::Restart { key, .. } | Self::Stop { key, .. } | Self::Remove { key, .. } => {
                Subject::Instance(key.clone())
            }
            Self::RemoveTask { id, .. } => Subject::Task(id.clone()),
            Self::MarkServing { environment, .. }
            | Self::Step { environment, .. }
            | Self::Hold { environment, .. }
            | Self::Withdraw { environment, .. }
            | Self::FailTarget { environment, .. } => Subject::Environment(environment.clone()),
        }
    }
}

/// What to do now, who has the traffic, and what is waited for.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Plan {
    pub actions: Vec<Action>,
    /// The containers that shall be in the routes; `None` when nothing is known and the routes stay as they are.
    pub joined: Option<BTreeSet<String>>,
    /// What part of the requests goes to the new version of a service, where that is not by the number of instances.
    pub shares: BTreeMap<(EnvironmentId, ServiceName), Share>,
    pub report: Report,
}
