//! What a plan and a comparison of revisions say, as the API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a plan was made against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanBase {
    /// The revision that took traffic; none: nothing was deployed.
    pub revision: Option<i64>,
    /// The version of the configuration.
    pub config_version: i64,
}

/// What applying a source would change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    pub base: PlanBase,
    /// By service, then by subject, in a stable order.
    pub changes: Vec<ChangeView>,
    /// What would become of each service.
    pub services: Vec<PlannedService>,
    /// What it needs, against what there is.
    pub demand: DemandView,
    /// What runs otherwise than it should now, whoever changed it. The platform mends it by itself.
    pub drift: Vec<String>,
    /// What else is said about the manifest, and what the platform would do on the way.
    pub warnings: Vec<String>,
}

/// Amounts of what machines have.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct AmountsView {
    /// Thousandths of processor cores.
    pub cpu_millis: u64,
    pub memory_mib: u64,
}

/// What a change needs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct DemandView {
    /// What all instances together may use at most, as it is and as it would be.
    pub before: AmountsView,
    pub after: AmountsView,
    /// Beyond both, while old and new instances stand side by side.
    pub extra: AmountsView,
    /// What the machine has left now, where that is known.
    pub free: Option<AmountsView>,
    /// Whether its memory fits into what is free.
    pub fits: Option<bool>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// The service it is about, or `stack`.
    pub subject: String,
    pub text: String,
    /// What it is about: `image`, `environment`, `routes`, `scale`, `volumes`, `policy`, …
    pub aspect: String,
    /// What comes of it for the service: `none`, `reroute`, `rescale`, `restart`, `start`, `stop`
    pub effect: String,
}

/// One service of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlannedService {
    pub name: String,
    /// `added`, `removed`, `replaced` (new instances), `rescaled`, `rerouted`, `updated` (treated differently),
    /// `built` (replaced if its image comes out as another one), `unchanged`
    pub change: String,
    /// Where its image comes from: `build ./api`, `postgres:16`
    pub source: String,
    pub instances: u32,
}

/// What differs between two revisions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiffView {
    pub from: i64,
    pub to: i64,
    pub changes: Vec<ChangeView>,
}
