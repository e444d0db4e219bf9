//! The answer to "why is it not done?": made with every plan, shown by the CLI, the API and the portal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Version, Wanted};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::stack::ServiceKind;
use crate::stack::lifecycle::{Cause, Life, State};

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
    /// What is on its way.
    pub rollout: Option<RolloutReport>,
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
    /// How it is judged by this plan.
    pub state: State,
    /// Its state with the cause of it and since when; known after the plan was shown.
    pub life: Option<Life>,
}

/// A target on its way, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutReport {
    pub version: Version,
    pub since: Timestamp,
    pub cause: Cause,
    /// Who stopped it for a while.
    pub paused_by: Option<String>,
    /// Why it is being taken back.
    pub withdrawn: Option<String>,
    pub services: Vec<RolloutService>,
}

/// One service of a target that is not what serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutService {
    pub name: String,
    pub strategy: &'static str,
    /// The present step of a canary, counted from 1, of so many.
    pub step: Option<u32>,
    pub steps: u32,
    /// The share of the requests it has, in per cent, where that is fixed.
    pub percent: Option<u8>,
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
