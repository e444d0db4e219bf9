//! Leftovers of uploads. git receives a pack into a quarantine directory and, when it is killed, leaves that behind
//! (cleaning up is not safe inside a signal handler). A few abandoned uploads would fill the disk, so the directories
//! are swept whenever no upload to the repository is running any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The uploads under way, counted by repository. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Uploads(Arc<Mutex<HashMap<PathBuf, usize>>>);

/// One upload under way; dropping it ends it.
pub(super) struct Upload {
    uploads: Uploads,
    repository: PathBuf,
}

impl Uploads {
    /// Counts an upload in.
    pub(super) fn begin(&self, repository: &Path) -> Upload {
        let mut running = self.lock();
        let count = running.entry(repository.to_path_buf()).or_insert(0);
        if *count == 0 {
            // What an earlier process of this server left.
            sweep(repository);
        }
        *count += 1;
        Upload { uploads: self.clone(), repository: repository.to_path_buf() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut running = self.uploads.lock();
        let left = running.get(&self.repository).map_or(0, |count| count - 1);
        if left == 0 {
            running.remove(&self.repository);
            // Under the lock, so that no new upload makes its directory meanwhile.
            sweep(&self.repository);
        } else {
            running.insert(self.repository.clone(), left);
        }
    }
}

/// Whether git gives such a name to a quarantine directory.
pub(super) fn is_quarantine(name: &str) -> bool {
    let random = name.strip_prefix("tmp_objdir-incoming-").or_else(|| name.strip_prefix("incoming-"));
    random.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn sweep(repository: &Path) {
    let Ok(entries) = std::fs::read_dir(repository.join("objects")) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_quarantine)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "an abandoned upload could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_when_the_last_upload_ends_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = dir.path().join("objects/tmp_objdir-incoming-aB3dE6");
        let pack = dir.path().join("objects/pack");
        std::fs::create_dir_all(&pack).unwrap();
        std::fs::create_dir_all(&quarantine).unwrap();
        let uploads = Uploads::default();
        let first = uploads.begin(dir.path());
        assert!(!quarantine.exists(), "left by an earlier process");
        let second = uploads.begin(dir.path());
        std::fs::create_dir_all(&quarantine).unwrap();
        drop(first);
        assert!(quarantine.exists());
        drop(second);
        assert!(!quarantine.exists() && pack.exists());
    }
}
