//! The bare repositories on disk: `DATA/git/<environment id>.git`, made when first asked for.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::commands::{self, PushSettings, View};
use super::rules::DeployBranch;
use crate::kernel::id::EnvironmentId;
use crate::kernel::process::ProcessError;

/// Why a repository could not be used.
#[derive(Debug, Error)]
pub(super) enum RepositoryError {
    /// The file system refused.
    #[error("cannot prepare {path}")]
    Files {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// git refused.
    #[error("git could not read or write a repository")]
    Git(#[from] ProcessError),
}

/// Where the repositories and the hook live.
#[derive(Debug, Clone)]
pub(super) struct Repositories {
    root: PathBuf,
    hooks: PathBuf,
}

impl Repositories {
    /// Makes the directories and points the hook at this executable.
    pub(super) fn open(data: &Path, executable: &Path) -> Result<Self, RepositoryError> {
        std::fs::create_dir_all(data).map_err(files(data))?;
        // git runs in other directories and compares real paths, so ours are absolute and free of links.
        let data = data.canonicalize().map_err(files(data))?;
        let new = Self { root: data.join("git"), hooks: data.join("git-hooks") };
        for path in [&new.root, &new.hooks] {
            std::fs::create_dir_all(path).map_err(files(path))?;
        }
        // People's code is nobody else's business on this machine.
        std::fs::set_permissions(&new.root, std::fs::Permissions::from_mode(0o700)).map_err(files(&new.root))?;
        let hook = new.hooks.join("pre-receive");
        // Replaced by a rename, so that a push that runs while the server starts always finds one.
        let fresh = new.hooks.join(format!(".pre-receive.{}", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        std::os::unix::fs::symlink(std::path::absolute(executable).map_err(files(executable))?, &fresh)
            .map_err(files(&fresh))?;
        std::fs::rename(&fresh, &hook).map_err(files(&hook))?;
        Ok(new)
    }

    /// What `git receive-pack` is told on its command line.
    pub(super) fn push_settings(&self, max_input: u64) -> PushSettings {
        PushSettings { hooks: self.hooks.clone(), max_input }
    }

    /// The directory of this environment's repository, made if it is not there.
    pub(super) async fn ensure(&self, environment: &EnvironmentId) -> Result<PathBuf, RepositoryError> {
        let directory = self.directory(environment);
        if directory.join("HEAD").is_file() {
            return Ok(directory);
        }
        // Made aside and renamed: a crash half-way leaves nothing that looks like a repository, and of two
        // requests at once one wins and both go on.
        let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.root).map_err(files(&self.root))?;
        let inner = fresh.path().join("repository.git");
        commands::init(&inner).run().await?;
        match std::fs::rename(&inner, &directory) {
            Ok(()) => Ok(directory),
            Err(_) if directory.join("HEAD").is_file() => Ok(directory),
            Err(source) => Err(RepositoryError::Files { path: directory, source }),
        }
    }

    /// Removes a repository with all its history, when its environment is destroyed. Idempotent.
    pub(super) fn remove(&self, environment: &EnvironmentId) -> Result<(), RepositoryError> {
        let directory = self.directory(environment);
        match std::fs::remove_dir_all(&directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(RepositoryError::Files { path: directory, source })
            }
            _ => Ok(()),
        }
    }

    fn directory(&self, environment: &EnvironmentId) -> PathBuf {
        self.root.join(format!("{environment}.git"))
    }
}

/// The branch that deploys: the one that was set, or the one `HEAD` names if it was pushed already.
pub(super) async fn deploy_branch(repository: &Path, set: Option<&str>) -> Result<DeployBranch, RepositoryError> {
    if let Some(name) = set {
        return Ok(DeployBranch::Settled(name.to_owned()));
    }
    let view = View { repository: repository.to_path_buf(), quarantine: None };
    let head = view.head().run().await?.stdout;
    let head = String::from_utf8_lossy(&head).trim().to_owned();
    let branches = view.branches().run().await?.stdout;
    let there = String::from_utf8_lossy(&branches).lines().any(|line| line == head);
    Ok(match head.strip_prefix("refs/heads/") {
        Some(name) if there => DeployBranch::Settled(name.to_owned()),
        _ => DeployBranch::Open,
    })
}

fn files(path: &Path) -> impl FnOnce(io::Error) -> RepositoryError + use<> {
    let path = path.to_path_buf();
    |source| RepositoryError::Files { path, source }
}
