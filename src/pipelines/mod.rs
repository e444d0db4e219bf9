//! The way of a change, from what came in to what serves: source → build → revision → release command → rollout.
//!
//! Invariants: the row of the operation is written before each phase begins, so that after a crash [`Deployer::recover`]
//! knows how far it came; nothing that serves is touched before the new revision has passed; an operation that fails or
//! is cancelled leaves the environment wanting what served before; what a build left on disk goes with its operation.
//!
//! To add a kind of change: a variant of [`input::Input`], its arm in `drive.rs`, and its line in [`recovery::decide`].

mod admission;
mod build;
mod converge;
mod destroy;
mod drive;
mod hosts;
pub mod input;
mod manifest;
mod ports;
pub mod recovery;
pub mod settings;
mod stack;

pub use build::{QueuedBuild, owner};
pub use input::Input;
pub use manifest::Request;
pub use settings::BuildSettings;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::kernel::clock::Clock;
use crate::kernel::error::chain;
use crate::kernel::random::Random;
use crate::operations::{Operation, Operations, State};
use crate::scheduler::Scheduler;
use crate::store::{Store, StoreError};
use crate::tenancy::vault::Vault;

/// What the pipeline works with.
pub struct Parts {
    pub store: Store,
    pub vault: Vault,
    pub clock: Clock,
    pub random: Random,
    pub engine: Arc<dyn Engine>,
    pub operations: Operations,
    pub scheduler: Scheduler,
    pub data_dir: PathBuf,
    pub builds: BuildSettings,
    /// The platform's own domain: names below it are the platform's to give.
    pub domain: String,
    /// Ports the platform itself listens on.
    pub own_ports: Vec<u16>,
}

/// Carries operations out. Clones share everything.
#[derive(Clone)]
pub struct Deployer {
    parts: Arc<Parts>,
    /// One place per build that may run at a time; the rest wait in order.
    build_slots: Arc<Semaphore>,
    /// Builds waiting or running, oldest first: the visible queue.
    queue: Arc<build::Queue>,
    /// The base image of static sites, once it was asked for.
    static_base: Arc<OnceCell<String>>,
    tasks: TaskTracker,
}

impl Deployer {
    /// Over these parts; begins nothing.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let slots = parts.builds.concurrent.max(1);
        Self {
            parts: Arc::new(parts),
            build_slots: Arc::new(Semaphore::new(slots)),
            queue: Arc::default(),
            static_base: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Carries an operation out in the background, to its end.
    pub fn launch(&self, operation: Operation) {
        let this = self.clone();
        self.tasks.spawn(async move { this.drive(operation).await });
    }

    /// Takes up what an earlier run of the control plane left: goes on where that is safe, or ends it with the reason.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let mut taken_up = Vec::new();
        for operation in self.parts.operations.abandoned().await? {
            let decision = recovery::decide(&operation);
            tracing::info!(operation.id = %operation.id, operation.phase, ?decision, "an operation was left behind");
            match decision {
                recovery::Decision::GoOn => {
                    self.parts.operations.log(&operation.id).notice("the control plane was restarted; going on").await;
                    taken_up.push(operation);
                }
                recovery::Decision::Leave => {}
                recovery::Decision::Fail(reason) => {
                    self.clean_up(&operation).await;
                    self.parts.operations.finish(&operation.id, State::Failed, &reason).await?;
                }
            }
        }
        // Before anything is launched, and not after: what is being launched does not count as running yet.
        self.remove_stale_sources(&taken_up).await;
        for operation in taken_up {
            self.launch(operation);
        }
        Ok(())
    }

    /// The builds that run now, and those that wait, oldest first.
    #[must_use]
    pub fn build_queue(&self) -> (Vec<QueuedBuild>, Vec<QueuedBuild>) {
        let mut all = self.queue.snapshot();
        let waiting = all.split_off(all.len().min(self.parts.builds.concurrent.max(1)));
        (all, waiting)
    }

    /// Bytes of source one deploy may have, unpacked.
    #[must_use]
    pub fn source_limit(&self) -> u64 {
        self.parts.builds.source_bytes
    }

    /// Where an operation's uploaded source is kept until it is built.
    #[must_use]
    pub fn source_path(&self, operation: &crate::kernel::id::OperationId) -> PathBuf {
        self.parts.data_dir.join("sources").join(format!("{operation}.tar"))
    }

    /// Removes what an operation keeps on disk.
    async fn clean_up(&self, operation: &Operation) {
        let source = self.source_path(&operation.id);
        for path in [source.clone(), source.with_extension("context")] {
            if let Err(error) = tokio::fs::remove_file(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), error = chain(&error), "a source could not be removed");
            }
        }
        let unpacked = source.with_extension("");
        if tokio::fs::try_exists(&unpacked).await.unwrap_or(false)
            && let Err(error) = tokio::fs::remove_dir_all(&unpacked).await
        {
            tracing::warn!(path = %unpacked.display(), error = chain(&error), "a source could not be removed");
        }
    }

    /// Removes sources whose operation has ended: a crash can come between the end and the clean-up.
    async fn remove_stale_sources(&self, taken_up: &[Operation]) {
        let dir = self.parts.data_dir.join("sources");
        let Ok(mut entries) = tokio::fs::read_dir(&dir).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.split('.').next().unwrap_or_default();
            let live = match id.parse() {
                Ok(id) => self.parts.operations.is_running(&id) || taken_up.iter().any(|o| o.id == id),
                Err(_) => continue,
            };
            if !live {
                let path = entry.path();
                let removed = if path.is_dir() {
                    tokio::fs::remove_dir_all(&path).await
                } else {
                    tokio::fs::remove_file(&path).await
                };
                if let Err(error) = removed {
                    tracing::warn!(path = %path.display(), error = chain(&error), "a source could not be removed");
                }
            }
        }
    }
}
