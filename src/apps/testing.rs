//! The verbs over a real database and an engine in memory, for the tests of the rooms above.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Addresses, Apps, Live};
use crate::certificates::{self, Certificates};
use crate::engine::Engine;
use crate::engine::fake::FakeEngine;
use crate::ingress;
use crate::jobs::{Jobs, JobsParts};
use crate::kernel::clock::Clock;
use crate::kernel::random::Random;
use crate::operations::Operations;
use crate::pipelines::{self, BuildSettings, Deployer};
use crate::scheduler::{Scheduler, SchedulerParts};
use crate::store::Store;
use crate::tenancy::vault::Vault;

/// All verbs; nothing runs in the background, and no ingress answers.
pub(crate) fn over_fake_engine(folder: &Path, store: Store, clock: Clock, random: Random) -> Apps {
    let vault = Vault::open(&folder.join("master.key"), true, &random).expect("makes a key");
    let certificates = Certificates::open(certificates::Parts {
        store: store.clone(),
        vault: vault.clone(),
        clock: clock.clone(),
        random: random.clone(),
        data: folder.to_owned(),
        domain: "localhost".to_owned(),
        https: certificates::HttpsSettings::default(),
        acme: certificates::AcmeSettings::default(),
    })
    .expect("makes a local authority");
    let addresses = Addresses {
        domain: "localhost".to_owned(),
        http_port: 80,
        https_port: None,
        ssh_port: 22,
        secure: certificates.secure_hosts(),
    };
    let engine: Arc<dyn Engine> = Arc::new(FakeEngine::new(clock.clone()));
    let operations = Operations::new(store.clone(), clock.clone(), random.clone());
    let scheduler = Scheduler::new(SchedulerParts {
        store: store.clone(),
        vault: vault.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine: engine.clone(),
        operations: operations.clone(),
        ingress: ingress::Client::new(folder.join("ingress.sock")),
        portal: ingress::snapshot::Route::default(),
        apps_env: BTreeMap::new(),
        https_port: None,
    });
    let deployer = Deployer::new(pipelines::Parts {
        store: store.clone(),
        vault: vault.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine: engine.clone(),
        operations: operations.clone(),
        scheduler: scheduler.clone(),
        data_dir: folder.to_owned(),
        builds: BuildSettings::default(),
        domain: addresses.domain.clone(),
        own_ports: Vec::new(),
    });
    let ingress = ingress::Client::new(folder.join("ingress.sock"));
    let jobs = Jobs::new(JobsParts {
        store: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        engine: engine.clone(),
        operations: operations.clone(),
        scheduler: scheduler.clone(),
    });
    let live = Live { engine, operations, scheduler, deployer, certificates, ingress, jobs };
    Apps::new(store, vault, clock, random, addresses, live)
}
