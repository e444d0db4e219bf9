//! What an operation is.

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, TenantId};

/// How long a driver has to react to a cancellation before the watchdog ends the operation over its head.
pub const CANCEL_GRACE_MS: i64 = 15_000;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "kebab-case")]
#[sqlx(rename_all = "kebab-case")]
pub enum Kind {
    /// New code or a new image goes live.
    Deploy,
    /// An older revision goes live again.
    Rollback,
    /// A changed configuration goes live.
    Config,
    /// The number of instances changes.
    Scale,
    /// All instances are replaced.
    Restart,
    /// All instances are taken down.
    Stop,
    /// A stopped app comes back.
    Start,
    /// A one-off command.
    Run,
    /// A run of a job or workflow.
    Job,
    /// The app goes with all it has.
    Destroy,
}

impl Kind {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Config => "config",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Run => "run",
            Self::Job => "job",
            Self::Destroy => "destroy",
        }
    }
}

/// Where an operation stands; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// Whether nothing more will come.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What kind of line a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum LineKind {
    /// A heading: what begins now.
    Step,
    /// What a program printed.
    Output,
    /// Something worth knowing.
    Notice,
    /// What went wrong.
    Error,
}

impl LineKind {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Output => "output",
            Self::Notice => "notice",
            Self::Error => "error",
        }
    }
}

/// One line of an operation's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counts up from 1 within the operation.
    pub seq: i64,
    pub at: Timestamp,
    pub kind: LineKind,
    pub line: String,
}

/// An operation, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub id: OperationId,
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub kind: Kind,
    pub state: State,
    pub phase: String,
    pub exclusive: bool,
    pub actor: String,
    pub cause: String,
    /// What its driver needs to go on after a crash; JSON of the driver's own type.
    pub input: String,
    pub revision: Option<i64>,
    pub boot: String,
    pub deadline_at: Timestamp,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub summary: Option<String>,
}

impl Operation {
    /// `deploy by ann@example.com, running for 12 s (build)`: for the sentence that tells somebody to wait.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> String {
        let seconds = now.since_ms(self.created_at).max(0) / 1000;
        format!("{} by {}, for {seconds} s ({})", self.kind.as_str(), self.actor, self.phase)
    }
}

/// What a new operation needs.
#[derive(Debug, Clone)]
pub struct NewOperation {
    pub environment: EnvironmentId,
    pub kind: Kind,
    /// Whether it changes what runs.
    pub exclusive: bool,
    pub phase: &'static str,
    pub actor: String,
    pub cause: String,
    pub input: String,
    pub revision: Option<i64>,
    pub deadline_seconds: i64,
}
