//! The last snapshot on disk: what the ingress serves after a crash or reboot, before anybody has told it anything.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::{IngressError, SnapshotError};
use super::snapshot::Snapshot;
use super::validate::validate;

/// The file `ingress/snapshot.json` of the data directory.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile(PathBuf);

impl SnapshotFile {
    pub(crate) fn in_data_dir(data: &Path) -> Self {
        Self(data.join("ingress").join("snapshot.json"))
    }

    /// Replaces the file as a whole (it holds private keys: only the owner can read it): after a crash it holds the old or the new snapshot, never a part.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let draft = self.0.with_extension("json.new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(snapshot)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)?;
        File::open(folder)?.sync_all()
    }

    /// The snapshot kept, if there is one. One that cannot be used is moved aside (`snapshot.json.bad`) and reported:
    /// an ingress that runs with an empty table and is told the right one soon beats one that does not start.
    pub(crate) fn load(&self) -> Option<Snapshot> {
        match read(&self.0) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let reason = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
                tracing::error!(%reason, "starting with an empty route table until the control plane sends one");
                let _ = fs::rename(&self.0, self.0.with_extension("json.bad"));
                None
            }
        }
    }
}

/// Reads and checks a snapshot file; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Snapshot>, IngressError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IngressError::File { action: "read", path: path.to_owned(), source }),
    };
    let unusable = |source| IngressError::SnapshotFile { path: path.to_owned(), source };
    let snapshot: Snapshot = serde_json::from_slice(&bytes).map_err(|error| unusable(SnapshotError::Syntax(error)))?;
    validate(&snapshot).map_err(unusable)?;
    Ok(Some(snapshot))
}
