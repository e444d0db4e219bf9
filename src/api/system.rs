//! The state of the platform itself, as the room that composes it knows it.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::apps::AppError;

/// What operators ask about the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemView {
    pub version: String,
    pub engine: EngineView,
    pub ingress: IngressView,
    pub builds: BuildsView,
    #[serde(default)]
    pub certificates: CertificatesView,
    /// Bytes free where the data directory lies.
    pub data_dir_free_bytes: u64,
}

/// What runs the containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineView {
    /// `docker`
    pub name: String,
    /// None while it does not answer.
    pub version: Option<String>,
    pub reachable: bool,
    /// Why it is not reachable.
    pub detail: Option<String>,
}

/// What takes the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngressView {
    pub reachable: bool,
    pub version: Option<String>,
    /// The route table it serves, and the one it shall serve.
    pub generation: Option<u64>,
    pub wanted_generation: u64,
    pub routes: u64,
    /// Why it is not reachable.
    pub detail: Option<String>,
}

/// What is being built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildsView {
    /// Builds that run now.
    pub running: u32,
    /// Those that wait, first comes first.
    pub queue: Vec<QueuedBuild>,
}

/// How the hosts stand with HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificatesView {
    pub hosts: u32,
    /// Those with a valid certificate.
    pub valid: u32,
    /// One sentence for each host somebody should look at.
    pub warnings: Vec<String>,
}

/// A build that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedBuild {
    pub operation: String,
    pub tenant: String,
    /// `shop`, `shop/staging`
    pub app: String,
    /// RFC 3339.
    pub since: String,
}

/// The answer of [`SystemInfo`].
pub type SystemFuture<'a> = Pin<Box<dyn Future<Output = Result<SystemView, AppError>> + Send + 'a>>;

/// Gives the state of the platform. Implemented where everything is composed.
pub trait SystemInfo: Send + Sync {
    /// The state now. Parts that do not answer are said to be unreachable; that is no error.
    fn system(&self) -> SystemFuture<'_>;
}
