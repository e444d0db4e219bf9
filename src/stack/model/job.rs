//! What runs to its end: jobs, schedules, workflows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::kernel::name::{ServiceName, VariableName};

/// A time table: five fields (minute, hour, day, month, weekday) or a word such as `@daily`, in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The five fields, in canonical spacing.
    pub cron: String,
    /// An IANA time zone.
    pub zone: String,
}

/// How a job or cron service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What starts it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: JobStart,
    /// When, for a cron service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// What happens to a run whose time passed while the platform was down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub misfire: Misfire,
    /// What happens when its time comes while the last run is still under way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// Containers of one run at the same time.
    pub parallelism: u32,
    /// Containers of one run that must end with success.
    pub completions: u32,
    /// Repeats of what failed.
    pub retry: Retry,
    /// Seconds one run may take, its repeats included.
    pub deadline_seconds: u32,
    /// Past runs kept with their logs.
    pub history: u32,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            start: JobStart::default(),
            schedule: None,
            misfire: Misfire::default(),
            overlap: Overlap::default(),
            parallelism: 1,
            completions: 1,
            retry: Retry::default(),
            deadline_seconds: 3_600,
            history: 20,
        }
    }
}

/// What starts a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobStart {
    /// Each new revision, before the services that depend on it start.
    #[default]
    Release,
    /// Its schedule.
    Schedule,
    /// A person, the API or a workflow.
    Manual,
}

/// A run whose time passed unseen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misfire {
    /// It is left out.
    #[default]
    Skip,
    /// It is made up for once, however many there were.
    Once,
}

/// A run whose time comes too early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out, and that is noted.
    #[default]
    Skip,
    /// The one under way is stopped first.
    Replace,
    /// Both run.
    Allow,
}

/// Repeats, with a growing wait between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Tries beyond the first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: u32,
    /// Seconds before the first repeat; doubles each time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_seconds: u32,
}

/// Steps in an order: a directed graph without circles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it starts by itself. Absent: on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// What happens to a run whose time passed while the platform was down.
    #[serde(default, skip_serializing_if = "is_default")]
    pub misfire: Misfire,
    /// What happens when its time comes while the last run is still under way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// Past runs kept with their logs. Absent: as many as of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<u32>,
    /// Parameters, which steps see as environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<VariableName, WorkflowInput>,
    /// The steps by name.
    pub steps: BTreeMap<String, WorkflowStep>,
    /// Seconds a run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u32>,
}

/// A parameter of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowInput {
    /// The value when none is given; absent: one must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One step: a command in the image, environment and limits of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowStep {
    /// Whose image, environment and limits.
    pub service: ServiceName,
    /// The argument vector. Absent: the service's own command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Steps that must have ended, with success unless `trigger` says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Runs once for each of these, with the value in `WHARF_ITEM`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub for_each: Vec<String>,
    /// What of the steps it needs makes it run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trigger: StepTrigger,
    /// Only when this holds. Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<StepCondition>,
    /// Further environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Repeats of what failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// Seconds it may take.
    pub deadline_seconds: u32,
    /// Files below the shared folder that later steps may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Whether the workflow goes on when it fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_failure: bool,
}

/// How the steps it needs must have ended for a step to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepTrigger {
    /// All with success.
    #[default]
    OnSuccess,
    /// One of them with a failure: to clean up, or to tell somebody.
    OnFailure,
    /// In whatever way.
    Always,
}

/// A comparison that decides whether a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepCondition {
    /// The parameter looked at.
    pub parameter: VariableName,
    /// What it is compared with.
    pub value: String,
    /// Whether it must differ, instead of being equal.
    #[serde(default, skip_serializing_if = "is_default")]
    pub differs: bool,
}
