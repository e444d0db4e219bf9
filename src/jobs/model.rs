//! The values of the room: what a run carries out, and how far it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, TenantId};
use crate::kernel::name::ServiceName;
use crate::stack::model::{Misfire, Overlap, Retry, Schedule, StepCondition, StepTrigger};

/// Whether something is one job or a graph of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Kind {
    /// A service that runs to its end.
    Job,
    /// Steps that need each other.
    Workflow,
}

impl Kind {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Workflow => "workflow",
        }
    }
}

/// A job or workflow of an environment. A job and a workflow may have the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub kind: Kind,
    pub name: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// A job or workflow as a revision has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub subject: Subject,
    pub description: Option<String>,
    /// When it starts by itself.
    pub schedule: Option<Schedule>,
    pub misfire: Misfire,
    pub overlap: Overlap,
    /// Ended runs kept.
    pub history: u32,
    pub program: Program,
    /// The parameters it takes, with their defaults; `None` where one must be given. A job takes any.
    pub parameters: BTreeMap<String, Parameter>,
}

/// A parameter somebody may set when starting a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    pub default: Option<String>,
    pub description: Option<String>,
}

/// What a run carries out. It is stored with the run, so that nothing that is deployed meanwhile changes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub steps: BTreeMap<String, Step>,
    /// Seconds from the run's making to its end at the latest.
    pub deadline_seconds: u32,
    /// The values of the parameters; the containers have them as variables.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl Program {
    /// Whether steps pass files on to others, and so have a folder together.
    #[must_use]
    pub fn shares_files(&self) -> bool {
        self.steps.values().any(|s| !s.artifacts.is_empty())
    }
}

/// One step of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Whose image, environment and limits.
    pub service: ServiceName,
    /// The argument vector; the service's own command when there is none.
    pub command: Option<Vec<String>>,
    /// Steps that must have ended before. Where the manifest names none for a step that reacts to others
    /// ([`StepTrigger::OnFailure`], [`StepTrigger::Always`]), these are all it could react to.
    pub needs: Vec<String>,
    pub trigger: StepTrigger,
    pub condition: Option<StepCondition>,
    /// One container for each; empty: one without an item.
    pub items: Vec<String>,
    /// Containers at the same time.
    pub parallelism: u32,
    pub environment: BTreeMap<String, String>,
    pub retry: Retry,
    /// Seconds one attempt may take.
    pub deadline_seconds: u32,
    /// Files below the shared folder that are there when it has succeeded.
    pub artifacts: Vec<String>,
    /// Whether its failure lets the others go on and the run succeed.
    pub allow_failure: bool,
}

impl Step {
    /// How many containers must succeed.
    #[must_use]
    pub fn width(&self) -> u32 {
        u32::try_from(self.items.len().max(1)).unwrap_or(u32::MAX)
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "kebab-case")]
#[sqlx(rename_all = "kebab-case")]
pub enum Trigger {
    /// Its schedule, in time.
    Schedule,
    /// Its schedule, late: the platform was down when its time came.
    CatchUp,
    /// A person or the API.
    Manual,
}

impl Trigger {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Manual => "manual",
        }
    }
}

/// Where a run stands; all but the first two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum RunState {
    /// Another run of the same is under way and must end first.
    Waiting,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    /// It was left out, and why is said.
    Skipped,
}

impl RunState {
    /// Whether nothing more will come.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// One run, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Also the id of its operation, which holds its log.
    pub id: OperationId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub subject: Subject,
    /// Counts up from 1 for each job and workflow.
    pub number: i64,
    pub revision: i64,
    pub trigger: Trigger,
    pub actor: String,
    /// The moment of the schedule it belongs to.
    pub scheduled_for: Option<Timestamp>,
    pub program: Program,
    pub state: RunState,
    /// Whether no other run of the same may be under way with it.
    pub alone: bool,
    /// Who told it to stop, or what did.
    pub cancelled_by: Option<String>,
    /// Why it ended as it did, in one sentence.
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Run {
    /// When it must have ended.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.created_at.plus_secs(self.program.deadline_seconds.into())
    }
}

/// Where an attempt stands; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum AttemptState {
    /// Decided; its container may not be there yet.
    Starting,
    /// Its container was started.
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl AttemptState {
    /// Whether its container may still run.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an attempt is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "kebab-case")]
#[sqlx(rename_all = "kebab-case")]
pub enum StopCause {
    /// It took longer than its step allows.
    StepDeadline,
    /// The run has no time left.
    RunDeadline,
    /// Somebody cancelled the run.
    Cancelled,
}

/// A decision to stop an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    pub cause: StopCause,
    pub at: Timestamp,
}

/// One container of a run. Its serial is its place among all containers of the run, and part of the container's name, so
/// that the same attempt is never started twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub serial: u32,
    pub step: String,
    /// Which of the step's items, from 0.
    pub item: u32,
    /// 1 for the first try.
    pub number: u32,
    pub state: AttemptState,
    /// That it shall stop, once that was decided.
    pub stop: Option<Stop>,
    pub container: Option<String>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub exit_code: Option<i64>,
    /// Why it ended as it did, when that was not well.
    pub reason: Option<String>,
}
