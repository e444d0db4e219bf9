//! The closed types of a stack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;

/// All services of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// A command run once, to its end, before a new revision takes traffic (Procfile `release`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseCommand>,
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

/// What kind of work a service does; it decides whether it gets a port and how its health is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// Answers requests on a port.
    Web,
    /// Runs without a port; healthy when it stays up.
    Worker,
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
    /// The port it listens on, for a web service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How its health is judged.
    pub health: HealthCheck,
    /// Instances to run unless the environment's formation says otherwise.
    pub replicas: u32,
    /// What one instance may use.
    pub limits: Limits,
    /// Seconds between the polite and the forceful stop.
    pub stop_grace_seconds: u32,
}

/// An image, by the name people know and the content it had when the revision was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// The name it was built or pulled under, for people.
    pub name: String,
    /// The engine's content id (`sha256:…`), which is what runs.
    pub id: String,
}

/// How the platform asks a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// An HTTP request must be answered with 2xx or 3xx.
    Http,
    /// A connection must be accepted.
    Tcp,
    /// The process must stay up.
    Process,
}

/// How the health of an instance is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// How it is asked.
    pub protocol: Protocol,
    /// The path asked for, with [`Protocol::Http`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Milliseconds between two checks of a healthy instance; a starting one is asked more often.
    pub interval_ms: u32,
    /// Milliseconds one check may take.
    pub timeout_ms: u32,
    /// Failures in a row after which a healthy instance counts as unhealthy.
    pub failures: u32,
    /// Milliseconds an instance has from its start to its first success.
    pub start_deadline_ms: u32,
    /// Milliseconds it must stay up after its first success, without a check of its own saying otherwise.
    pub settle_ms: u32,
}

impl HealthCheck {
    /// The check a service gets when it names none: TCP (or mere life, for a worker) plus a short stabilisation.
    #[must_use]
    pub fn default_for(kind: ServiceKind) -> Self {
        let (protocol, settle_ms) = match kind {
            ServiceKind::Web => (Protocol::Tcp, 500),
            ServiceKind::Worker => (Protocol::Process, 2_000),
        };
        Self {
            protocol,
            path: None,
            interval_ms: 5_000,
            timeout_ms: 2_000,
            failures: 3,
            start_deadline_ms: 60_000,
            settle_ms,
        }
    }

    /// The check of a web service that names a path.
    #[must_use]
    pub fn http(path: &str) -> Self {
        Self {
            protocol: Protocol::Http,
            path: Some(path.to_owned()),
            settle_ms: 0,
            ..Self::default_for(ServiceKind::Web)
        }
    }
}

/// What one instance may use; always set, always enforced by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Thousandths of a processor core.
    pub cpu_millis: u32,
    /// Memory in MiB; swap is not added.
    pub memory_mib: u32,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_millis: 1_000, memory_mib: 512, pids: 512 }
    }
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
}
