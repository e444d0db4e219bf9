//! How a service scales by itself.

use serde::{Deserialize, Serialize};

use super::{Schedule, is_default};

/// Between how many instances, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// At least so many; 0 allows scaling to zero, woken by the first request or connection.
    pub min: u32,
    /// At most so many; at least 1 and not below `min`.
    pub max: u32,
    /// What is kept near its target. With several, the one that wants most instances wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Bounds that hold from a time on, until the next entry's time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScaleSchedule>,
    /// Seconds without need before an instance goes. Absent: the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds: Option<u32>,
    /// Seconds without any request before the last instance goes, with `min: 0`. Absent: the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
}

/// A figure, and the value per instance that is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests under way at the same time, per instance.
    Concurrency(u32),
    /// Requests per second, per instance.
    RequestsPerSecond(u32),
    /// Milliseconds of the 95th percentile, over all instances.
    LatencyMs(u32),
    /// Per cent of the processor limit.
    CpuPercent(u32),
    /// Per cent of the memory limit.
    MemoryPercent(u32),
    /// A metric query whose value is divided by the target to give the number of instances.
    Query {
        query: String,
        /// Thousandths of the value per instance.
        target_permille: u64,
    },
}

/// Bounds from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleSchedule {
    /// When they begin to hold.
    pub at: Schedule,
    /// The lower bound then.
    pub min: u32,
    /// The upper bound then.
    pub max: u32,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub note: String,
}
