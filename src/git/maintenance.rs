//! Housekeeping of repositories, outside of pushes: git's own (`gc.auto`) would run while a pusher waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::commands::View;
use crate::kernel::error::chain;

/// A repository that takes longer is left as it is until the next push.
const DEADLINE: Duration = Duration::from_secs(600);

/// Points `HEAD` at the branch that was accepted, so that it is the one that deploys from now on and the one a
/// clone checks out. A failure is logged: the push itself is through.
pub(super) async fn settle_head(repository: &Path, branch: &str) {
    let view = View { repository: repository.to_path_buf(), quarantine: None };
    if let Err(error) = view.set_head(branch).run().await {
        tracing::error!(error = chain(&error), repository = %repository.display(), "HEAD could not be set");
    }
}

/// Packs the repository into one pack if it has more than `most`. One at a time on the machine: `turn` has one permit.
pub(super) async fn tidy(repository: PathBuf, most: usize, turn: Arc<Semaphore>, stop: CancellationToken) {
    if packs(&repository) <= most {
        return;
    }
    let work = async {
        let Ok(_turn) = turn.acquire().await else { return };
        let view = View { repository: repository.clone(), quarantine: None };
        if let Err(error) = view.collect_garbage().deadline(DEADLINE).run().await {
            tracing::warn!(error = chain(&error), repository = %repository.display(), "housekeeping failed");
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

fn packs(repository: &Path) -> usize {
    std::fs::read_dir(repository.join("objects/pack")).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
    })
}
