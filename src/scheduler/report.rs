//! The answer to "why is it not done?": made with every plan, shown by the CLI, the API and the portal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Version, Wanted};
use crate::kernel::id::EnvironmentId;
use crate::stack::ServiceKind;

/// What every environment is at, and what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
pub struct Report {
    /// Set when nothing could be decided, and why.
    pub blind: Option<String>,
    pub environments: BTreeMap<EnvironmentId, EnvironmentReport>,
}

/// The life-cycle state of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing was deployed yet.
    Empty,
    /// The first release is being brought up.
    Provision,
    /// Instances start; nothing has passed yet.
    Ready,
    /// Everything wanted is healthy and in the routes.
    Run,
    /// A newer release is taking over.
    Update,
    /// An older release is taking over.
    Rollback,
    /// Instances come or go to reach the wanted number.
    Scale,
    /// Instances of the serving release are being brought back.
    Repair,
    /// On its way to stopped, or there.
    Stopped,
    /// Everything is being removed.
    Destroy,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnvironmentReport {
    pub phase: Phase,
    pub wanted: Wanted,
    pub serving: Option<Version>,
    pub target: Option<Version>,
    /// Nothing is left to be done and nothing is waited for.
    pub settled: bool,
    /// All instances that shall take traffic are in the table the ingress uses.
    pub routed: bool,
    pub services: Vec<ServiceReport>,
    pub instances: Vec<InstanceReport>,
    /// What is waited for, one plain sentence each; empty when settled.
    pub waits: Vec<String>,
    /// What a person must see to, one plain sentence each.
    pub alarms: Vec<String>,
}

impl EnvironmentReport {
    /// The waits in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.waits.is_empty() { "everything is as wanted".to_owned() } else { self.waits.join("; ") }
    }
}

/// One service of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    pub name: String,
    pub kind: ServiceKind,
    pub version: Version,
    /// It is of what serves, and not of what takes over.
    pub serving: bool,
    pub wanted: u32,
    pub healthy: u32,
}

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    Created,
    Starting,
    Healthy,
    Ill,
    /// Out of the routes, finishing its requests.
    Draining,
    Stopping,
    Exited,
}

/// One instance, for `ps` and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceReport {
    /// `web.1`
    pub name: String,
    pub service: String,
    pub slot: u32,
    pub version: Version,
    /// The engine's id of the container.
    pub container: String,
    pub state: InstanceState,
    /// Since when its present run goes on, or when it ended.
    pub since_ms: Option<i64>,
    pub address: Option<std::net::IpAddr>,
    /// Whether it is in the table the ingress has applied.
    pub routed: bool,
    pub in_flight: u64,
    pub crashes: u32,
    /// What there is to say about it, when not all is well.
    pub detail: Option<String>,
}
