//! One service: what it is, what it runs, whom it needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Attachment, Backup, Build, Container, Exposure, FileMount, HealthCheck, Job, Limits, Mount, Placement, Reservation,
    Resilience, ResourceName, RestartPolicy, Rollout, Route, Scale, SecretRef, ServicePort, Slo, Traffic, is_default,
};
use crate::kernel::name::{ServiceName, VariableName};

/// Seconds between the polite and the forceful stop unless a service says otherwise (Compose's own default).
const STOP_GRACE_SECONDS: u32 = 10;

/// What kind of work a service does; it decides whether it gets a port, how its health is judged, and whether it
/// has standing instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// Answers requests on a port.
    Web,
    /// Runs without a port; healthy when it stays up.
    Worker,
    /// Runs to its end: once per revision before its dependents start, or when asked. No standing instances.
    Job,
    /// Runs to its end on a schedule. No standing instances.
    Cron,
    /// Keeps state of its own and answers on a port: a database, a queue, a cache with data. One writer at a time.
    Database,
}

impl ServiceKind {
    /// Whether instances of it stand all the time, as opposed to running to an end.
    #[must_use]
    pub fn is_standing(self) -> bool {
        !matches!(self, Self::Job | Self::Cron)
    }

    /// The word for it, as in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Worker => "worker",
            Self::Job => "job",
            Self::Cron => "cron",
            Self::Database => "database",
        }
    }
}

/// What becomes of an instance that is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Care {
    /// It is replaced anywhere, at once.
    #[default]
    Cattle,
    /// It must be saved: restarted in place, never run twice, and a person is called when that does not help.
    Pet,
}

/// How much hurts when it is down. Under pressure, what is least critical yields first. The order is the meaning:
/// `Low < Normal < High < Critical`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criticality {
    /// May stop for others.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Stops late.
    High,
    /// The business stands still without it.
    Critical,
}

impl Criticality {
    /// The word for it, as in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One service of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What kind of work it does.
    pub kind: ServiceKind,
    /// The image it runs.
    pub image: ImageRef,
    /// Replaces the image's entry point when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Plain environment that belongs to the build (`PORT`, …); the app's own configuration is pinned by version instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The port it listens on, for a service that answers requests: its main one, when it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How its health is judged.
    pub health: HealthCheck,
    /// Instances to run unless the environment's formation says otherwise. 0 for jobs and cron services.
    pub replicas: u32,
    /// What one instance may use.
    pub limits: Limits,
    /// Seconds between the polite and the forceful stop.
    pub stop_grace_seconds: u32,

    /// What becomes of lost instances.
    #[serde(default, skip_serializing_if = "is_default")]
    pub care: Care,
    /// How much hurts when it is down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub criticality: Criticality,
    /// How its image is built, when it is not just pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Names of the environment's configuration that stand as `${{NAME}}` in the environment, the command, the entry
    /// point or the health command; their values are put in when an instance starts, so that none is stored here.
    /// Only names listed here are replaced. See [`Service::fill`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub references: BTreeSet<VariableName>,
    /// Secrets as environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_environment: BTreeMap<VariableName, SecretRef>,
    /// What else its container is told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub container: Container,
    /// Who must be there before it starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// All ports it listens on, the main one included, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// What of the outside's HTTP traffic comes to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// TCP and UDP ports of the outside that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposures: Vec<Exposure>,
    /// Volumes inside its container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Configs and secrets as files inside its container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileMount>,
    /// The networks it is in, with its further names there. Empty: the default one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<ResourceName, Attachment>,
    /// Further names by which services that may talk to it reach it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
    /// What is set aside for each instance.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reservation: Reservation,
    /// When an ended instance is started again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: RestartPolicy,
    /// On which nodes it may run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub placement: Placement,
    /// How a new revision of it takes over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollout: Rollout,
    /// How it scales by itself. Absent: it keeps its replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// What its callers may expect of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// What its routes let in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub traffic: Traffic,
    /// How calls to it are kept from failing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resilience: Resilience,
    /// A command run once in its image before a new revision takes traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// How it runs to its end: set for jobs and cron services, and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// How its data is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
}

impl Service {
    /// A service of this kind with the defaults of its kind and one instance (none for jobs).
    #[must_use]
    pub fn new(kind: ServiceKind, image: ImageRef) -> Self {
        Self {
            kind,
            image,
            entrypoint: None,
            command: None,
            environment: BTreeMap::new(),
            port: None,
            health: HealthCheck::default_for(kind),
            replicas: u32::from(kind.is_standing()),
            limits: Limits::default(),
            stop_grace_seconds: STOP_GRACE_SECONDS,
            care: Care::default(),
            criticality: Criticality::default(),
            build: None,
            references: BTreeSet::new(),
            secret_environment: BTreeMap::new(),
            container: Container::default(),
            depends_on: BTreeMap::new(),
            ports: Vec::new(),
            routes: Vec::new(),
            exposures: Vec::new(),
            mounts: Vec::new(),
            files: Vec::new(),
            networks: BTreeMap::new(),
            aliases: BTreeSet::new(),
            reservation: Reservation::default(),
            restart: RestartPolicy::default(),
            placement: Placement::default(),
            rollout: Rollout::default(),
            scale: None,
            slo: None,
            traffic: Traffic::default(),
            resilience: Resilience::default(),
            release: None,
            job: None,
            backup: None,
        }
    }

    /// Whether two of its instances may run at the same time. Whoever writes to a volume, or is a pet, runs alone:
    /// two writers on one set of data destroy it.
    #[must_use]
    pub fn may_overlap(&self) -> bool {
        self.care == Care::Cattle && self.kind != ServiceKind::Database && self.mounts.iter().all(|m| m.read_only)
    }

    /// Whether it answers on a port.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(self.kind, ServiceKind::Web | ServiceKind::Database) && self.port.is_some()
    }

    /// The same service with the configuration's values in the places of its references.
    ///
    /// # Errors
    /// The name that has no value.
    pub fn fill(&self, value: &dyn Fn(&VariableName) -> Option<String>) -> Result<Self, VariableName> {
        let mut filled = self.clone();
        let mut values = Vec::with_capacity(self.references.len());
        for name in &self.references {
            values.push((placeholder(name), value(name).ok_or_else(|| name.clone())?));
        }
        if values.is_empty() {
            return Ok(filled);
        }
        let texts = filled.environment.values_mut();
        let texts = texts.chain(filled.command.iter_mut().flatten());
        let texts = texts.chain(filled.entrypoint.iter_mut().flatten());
        for text in texts.chain(filled.health.command.iter_mut().flatten()) {
            replace(text, &values);
        }
        Ok(filled)
    }
}

/// How a reference to a variable of the configuration stands in a text.
#[must_use]
pub fn placeholder(name: &VariableName) -> String {
    format!("${{{{{}}}}}", name.as_str())
}

/// One pass from left to right, so that a value that looks like a reference is never replaced in its turn.
fn replace(text: &mut String, values: &[(String, String)]) {
    if !text.contains("${{") {
        return;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("${{") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(token, _)| rest.starts_with(token.as_str())) {
            Some((token, value)) => {
                out.push_str(value);
                rest = &rest[token.len()..];
            }
            None => {
                out.push_str("${{");
                rest = &rest[3..];
            }
        }
    }
    out.push_str(rest);
    *text = out;
}

/// An image, by the name people know and the content it had when the revision was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// The name it was built or pulled under, for people.
    pub name: String,
    /// The engine's content id (`sha256:…`), which is what runs. Empty until it is pinned.
    pub id: String,
}

impl ImageRef {
    /// An image by name, its content not known yet.
    #[must_use]
    pub fn unpinned(name: impl Into<String>) -> Self {
        Self { name: name.into(), id: String::new() }
    }

    /// Whether the content is known.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        !self.id.is_empty()
    }
}

/// What a service waits for before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// How far the other one must be.
    pub condition: DependencyCondition,
    /// Whether to start without it when the stack has no such service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// Whether to be restarted when the other one is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: bool,
}

/// How far a dependency must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyCondition {
    /// Its process runs.
    #[default]
    Started,
    /// It passed its health check.
    Healthy,
    /// It ran to its end with success.
    Completed,
}

/// The command of the release phase of one service; it runs in that service's image, environment and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The argument vector, run inside the container.
    pub command: Vec<String>,
    /// How long it may run, in seconds.
    pub deadline_seconds: u32,
}

/// The command of the release phase; it runs in the image of the service it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseCommand {
    /// Whose image, environment and limits it uses.
    pub service: ServiceName,
    /// The argument vector, run inside the container.
    pub command: Vec<String>,
    /// How long it may run, in seconds.
    pub deadline_seconds: u32,
}
