//! The state of the platform itself, for operators.

use std::path::PathBuf;
use std::sync::Arc;

use crate::api::system::{
    BuildsView, CertificatesView, EngineView, IngressView, QueuedBuild, SystemFuture, SystemInfo, SystemView,
};
use crate::certificates::{Certificates, Summary};
use crate::engine::Engine;
use crate::ingress;
use crate::kernel::error::chain;
use crate::pipelines::Deployer;
use crate::scheduler::Scheduler;

/// Where the answers come from.
pub(super) struct Info {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) ingress: ingress::Client,
    pub(super) scheduler: Scheduler,
    pub(super) deployer: Deployer,
    pub(super) certificates: Certificates,
    pub(super) data: PathBuf,
}

impl Info {
    async fn view(&self) -> SystemView {
        let (running, waiting) = self.deployer.build_queue();
        let queue = waiting
            .into_iter()
            .map(|b| QueuedBuild {
                operation: b.operation.to_string(),
                tenant: b.tenant.to_string(),
                app: b.app,
                since: b.since.rfc3339(),
            })
            .collect();
        let free = rustix::fs::statvfs(&self.data).map(|s| s.f_bavail * s.f_frsize).unwrap_or_default();
        SystemView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.engine_view().await,
            ingress: self.ingress_view().await,
            builds: BuildsView { running: u32::try_from(running.len()).unwrap_or(u32::MAX), queue },
            certificates: self.certificates_view(),
            data_dir_free_bytes: free,
        }
    }

    fn certificates_view(&self) -> CertificatesView {
        let Summary { valid, hosts, warnings } = self.certificates.summary();
        CertificatesView { hosts, valid, warnings }
    }

    async fn engine_view(&self) -> EngineView {
        let name = "docker".to_owned();
        match self.engine.version().await {
            Ok(version) => EngineView { name, version: Some(version), reachable: true, detail: None },
            Err(error) => EngineView { name, version: None, reachable: false, detail: Some(chain(&error)) },
        }
    }

    async fn ingress_view(&self) -> IngressView {
        let wanted_generation = self.scheduler.table_generation();
        match self.ingress.status().await {
            Ok(status) => IngressView {
                reachable: true,
                version: Some(status.version),
                generation: Some(status.generation),
                wanted_generation,
                routes: status.routes.len() as u64,
                detail: None,
            },
            Err(error) => IngressView {
                reachable: false,
                version: None,
                generation: None,
                wanted_generation,
                routes: 0,
                detail: Some(chain(&error)),
            },
        }
    }
}

impl SystemInfo for Info {
    fn system(&self) -> SystemFuture<'_> {
        Box::pin(async { Ok(self.view().await) })
    }
}
