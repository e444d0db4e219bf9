//! How a new revision of a service takes over from the old one.

use serde::{Deserialize, Serialize};

use super::deploy::{Amount, UpdateOrder};
use super::is_default;

/// The way over. The default is: rolling, one instance more at a time, new before old, back to the old one by itself
/// when the new one fails, ten minutes.
///
/// A service that may not overlap ([`super::Service::may_overlap`]) is always changed stop-first, whatever is said here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// The plan of it.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// Which goes first, with [`Strategy::Rolling`].
    #[serde(skip_serializing_if = "is_default")]
    pub order: UpdateOrder,
    /// Instances beyond the wanted number while it lasts, with [`Strategy::Rolling`] and start-first. Absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Amount>,
    /// Instances below the wanted number while it lasts. Absent: none with start-first, 1 with stop-first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
    /// Seconds between two batches.
    #[serde(skip_serializing_if = "is_default")]
    pub delay_seconds: u32,
    /// Seconds a new instance must stay healthy before it counts. Absent: what its health check says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy_seconds: Option<u32>,
    /// The steps of a canary, in their order; what follows the last one is 100 %. Empty with other strategies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Requests that go to the canary whatever its weight is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targeting: Option<Targeting>,
    /// How the new version is compared with the old one. Absent: by its health alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// Seconds the old set is kept running after a blue-green switch or the end of a canary, for an instant way back.
    /// Absent: 600 with blue-green, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_warm_seconds: Option<u32>,
    /// What happens when the new version fails.
    #[serde(skip_serializing_if = "is_default")]
    pub on_failure: FailureAction,
    /// Seconds without progress after which it has failed. Time in which a person is waited for does not count.
    #[serde(skip_serializing_if = "is_default_deadline")]
    pub deadline_seconds: u32,
}

/// Seconds without progress after which a rollout has failed.
const DEADLINE_SECONDS: u32 = 600;

fn is_default_deadline(seconds: &u32) -> bool {
    *seconds == DEADLINE_SECONDS
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            order: UpdateOrder::default(),
            max_surge: None,
            max_unavailable: None,
            delay_seconds: 0,
            min_healthy_seconds: None,
            steps: Vec::new(),
            targeting: None,
            analysis: None,
            keep_warm_seconds: None,
            on_failure: FailureAction::default(),
            deadline_seconds: DEADLINE_SECONDS,
        }
    }
}

/// The plan of a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// A few instances at a time.
    #[default]
    Rolling,
    /// All new ones beside all old ones, then the traffic at once.
    BlueGreen,
    /// A growing share of the traffic, judged at each step.
    Canary,
    /// All old ones stop, then the new ones start; for what must never run in two versions.
    Recreate,
}

impl Strategy {
    /// The word for it, as in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Recreate => "recreate",
        }
    }
}

/// One step of a canary: a share of the traffic, and what must pass before the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Per cent of the requests that go to the new version: 0 to 100.
    pub weight: u8,
    /// When the step is over. With several, all must be fulfilled; with none it is over at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pause: Pause,
}

/// What a step waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// So many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// So many requests answered by the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// A person who says go on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub manual: bool,
}

/// Requests that go to the canary in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targeting {
    /// Those with this header, and this value when one is given.
    Header {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Those with this cookie, and this value when one is given.
    Cookie {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
}

/// How the new version is compared with the old one while both have traffic. Shares are in thousandths, so that
/// equal manifests have equal hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Analysis {
    /// How many thousandths the new version's share of errors (5xx and no answer) may be above the old one's.
    pub error_rate_permille: u16,
    /// How much slower the new one's 95th percentile may be, as thousandths of the old one's: 1500 is half as much again.
    pub latency_permille: u32,
    /// Requests each version must have answered in the window before anything is concluded.
    pub min_requests: u32,
    /// Seconds looked at.
    pub window_seconds: u32,
    /// Bad verdicts in a row that end the rollout.
    pub failures: u32,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { error_rate_permille: 10, latency_permille: 1_500, min_requests: 50, window_seconds: 60, failures: 2 }
    }
}

/// What happens when a new version fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureAction {
    /// The old one goes on serving, the new one is taken away.
    #[default]
    Rollback,
    /// Everything stays as it is until a person decides; the old one goes on serving.
    Pause,
}
