//! The verbs of the platform: make an app, configure it, deploy to it, look at it, take it away.
//!
//! API, portal and git speak to the rest of Wharf only through [`Apps`]. Each verb checks its rules, writes one
//! transaction, and leaves the work that takes time to an operation that the scheduler and the deploy pipeline drive.
//!
//! Invariants: every verb takes a [`Caller`], which can be made only from a permission that was checked;
//! every refusal is an [`AppError`] with a stable code, a sentence that says what and why, and, where there is one,
//! the next step.
//!
//! To add a verb: a method in the file of its subject, its types in `model.rs` or one beside it, its route in `api/`.

pub mod accounts;
mod certificates;
mod changes;
mod config;
mod credentials;
mod data_plane;
mod deploys;
pub mod error;
mod gateway;
mod jobs;
mod members;
pub mod model;
mod plan;
pub mod plan_model;
mod projects;
mod rollouts;
mod stacks;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod view;

pub use accounts::{NewPerson, SetupOutcome};
pub use data_plane::{DrainOrder, LogLevelView, MatchQuery, PurgeOrder, RouteTraffic};
pub use error::AppError;
pub use gateway::GatewayView;
pub use jobs::*;
pub use model::*;
pub use plan_model::*;
pub use streams::{LineStream, RunEvent, RunInput, RunSession};

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::certificates::{Certificates, SecureHosts};
use crate::engine::Engine;
use crate::ingress;
use crate::jobs::Jobs;
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::pipelines::Deployer;
use crate::scheduler::Scheduler;
use crate::store::Store;
use crate::tenancy::access::Tenant;
use crate::tenancy::attempts::Attempts;
use crate::tenancy::model::Environment;
use crate::tenancy::store::projects as project_rows;
use crate::tenancy::vault::Vault;

/// How the installation is reached, for the addresses it prints.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The platform's domain; apps answer below it.
    pub domain: String,
    pub http_port: u16,
    /// None when HTTPS is not spoken here.
    pub https_port: Option<u16>,
    pub ssh_port: u16,
    /// Hosts that are reached over HTTPS.
    pub secure: SecureHosts,
}

impl Addresses {
    /// The URL of a host name of this installation.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        match self.https_port.filter(|_| self.secure.contains(host)) {
            Some(443) => return format!("https://{host}"),
            Some(port) => return format!("https://{host}:{port}"),
            None => {}
        }
        if self.http_port == 80 { format!("http://{host}") } else { format!("http://{host}:{}", self.http_port) }
    }

    /// The host name of the portal.
    #[must_use]
    pub fn portal_host(&self) -> String {
        format!("wharf.{}", self.domain)
    }

    /// Where an environment's repository is pushed to.
    #[must_use]
    pub fn git(&self, environment: &Environment) -> GitRemotes {
        let path = if environment.slug.is_production() {
            format!("{}/{}.git", environment.tenant, environment.project)
        } else {
            format!("{}/{}/{}.git", environment.tenant, environment.project, environment.slug)
        };
        let host = self.portal_host();
        let ssh = if self.ssh_port == 22 {
            format!("ssh://git@{host}/{path}")
        } else {
            format!("ssh://git@{host}:{}/{path}", self.ssh_port)
        };
        GitRemotes { http: format!("{}/git/{path}", self.url(&host)), ssh }
    }
}

/// The verbs. Clones share everything.
#[derive(Clone)]
pub struct Apps {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    vault: Vault,
    clock: Clock,
    random: Random,
    addresses: Addresses,
    attempts: Mutex<Attempts>,
    /// Rung when the installation was set up.
    set_up: Notify,
    live: Live,
}

/// The parts that carry out what the verbs decide.
#[derive(Clone)]
pub struct Live {
    pub engine: Arc<dyn Engine>,
    pub operations: Operations,
    pub scheduler: Scheduler,
    pub deployer: Deployer,
    pub certificates: Certificates,
    pub ingress: ingress::Client,
    pub jobs: Jobs,
}

impl Apps {
    /// The verbs over this state.
    #[must_use]
    pub fn new(store: Store, vault: Vault, clock: Clock, random: Random, addresses: Addresses, live: Live) -> Self {
        let attempts = Mutex::new(Attempts::default());
        Self {
            inner: Arc::new(Inner { store, vault, clock, random, addresses, attempts, set_up: Notify::new(), live }),
        }
    }

    fn engine(&self) -> &dyn Engine {
        self.inner.live.engine.as_ref()
    }

    /// The operations, for rooms that follow them.
    #[must_use]
    pub fn operations_handle(&self) -> &Operations {
        &self.inner.live.operations
    }

    fn scheduler(&self) -> &Scheduler {
        &self.inner.live.scheduler
    }

    fn jobs_room(&self) -> &Jobs {
        &self.inner.live.jobs
    }

    fn deployer(&self) -> &Deployer {
        &self.inner.live.deployer
    }

    fn addresses(&self) -> &Addresses {
        &self.inner.addresses
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn random(&self) -> &Random {
        &self.inner.random
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The environment a path names, or that there is none.
    pub(crate) async fn environment(&self, tenant: &Tenant, app: &AppPath) -> Result<Environment, AppError> {
        project_rows::find(self.store(), tenant, &app.project, &app.environment).await?.ok_or_else(|| {
            let name = if app.environment.is_production() {
                app.project.to_string()
            } else {
                format!("{}/{}", app.project, app.environment)
            };
            AppError::NotFound(format!("there is no app `{name}`; `wharf apps` lists what there is"))
        })
    }
}
