//! How much of the machine a service gets, and where it may stand.

use serde::{Deserialize, Serialize};

use super::is_default;

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

/// What is set aside for each instance when it is placed, whether it uses it or not. 0: nothing is set aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Thousandths of a processor core.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_millis: u32,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_mib: u32,
}

/// When an instance that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartPolicy {
    /// After which ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub condition: RestartCondition,
    /// Starts in a row after which it is given up; absent: never, with back-off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Seconds before the first restart; absent: the platform's back-off, 1 s doubling to 5 min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// Seconds it must stay up to count as started; absent: the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
}

/// After which ends an instance is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// After any end.
    #[default]
    Always,
    /// After an end with an error.
    OnFailure,
    /// Never.
    Never,
}

/// On which nodes a service may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// All of these must hold, as Compose writes them: `node.labels.disk == ssd`, `node.hostname != a`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Instances are spread over the values of these node properties (`node.labels.zone`), the first matters most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<String>,
    /// Instances one node may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_node: Option<u32>,
}

/// Which of old and new goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The new instance is healthy before the old one goes.
    #[default]
    StartFirst,
    /// The old instance is gone before the new one starts; the only way for those that write to a volume.
    StopFirst,
}

/// A number of instances, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// Of a hundred; more than none is at least one when rounded up.
    Percent(u32),
}

impl Amount {
    /// How many of `total`, rounded up (for what is added).
    #[must_use]
    pub fn of_up(self, total: u32) -> u32 {
        match self {
            Self::Count(n) => n,
            Self::Percent(p) => u64_to_u32((u64::from(total) * u64::from(p)).div_ceil(100)),
        }
    }

    /// How many of `total`, rounded down (for what is taken away).
    #[must_use]
    pub fn of_down(self, total: u32) -> u32 {
        match self {
            Self::Count(n) => n.min(total),
            Self::Percent(p) => u64_to_u32(u64::from(total) * u64::from(p) / 100).min(total),
        }
    }
}

fn u64_to_u32(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
