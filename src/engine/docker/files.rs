//! Files that containers get before they start: those of the whole installation (a company's CA certificates), and the
//! configs and secrets of the service. They are put in through the engine, so no directory of the host is mounted into
//! anything.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, UploadToContainerOptionsBuilder};

use super::{DockerEngine, convert, errors};
use crate::engine::{ContainerFile, EngineError, InstanceSpec};
use crate::kernel::secret::Secret;

/// Permissions of the files that every container gets.
const READABLE: u32 = 0o644;

impl DockerEngine {
    /// The same engine, whose containers all get this file (absolute path, readable by all) before they start.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: Vec<u8>) -> Self {
        let content = Secret::new(content);
        self.files.push(ContainerFile { path: path.to_owned(), content, uid: 0, gid: 0, mode: READABLE });
        self
    }

    /// The specification with the files that every container gets.
    pub(super) fn complete<'a>(&self, spec: &'a InstanceSpec) -> Cow<'a, InstanceSpec> {
        if self.files.is_empty() {
            return Cow::Borrowed(spec);
        }
        let mut spec = spec.clone();
        spec.files.splice(0..0, self.files.iter().cloned());
        Cow::Owned(spec)
    }

    /// Whether there is a file or folder of this path.
    pub(super) async fn path_is_there(&self, id: &str, path: &str) -> Result<bool, EngineError> {
        self.inspect_own(id).await?;
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        match self.client().await?.get_container_archive_info(id, Some(options)).await {
            Ok(_) => Ok(true),
            // The container was there a moment ago.
            Err(e) if errors::status(&e) == Some(404) => Ok(false),
            Err(e) => Err(errors::engine(&e, path)),
        }
    }

    /// Puts folders and files into a container that was created; doing it twice does no harm.
    pub(super) async fn furnish(&self, id: &str, spec: &InstanceSpec) -> Result<(), EngineError> {
        for mount in &spec.mounts {
            if let Some(folder) = &mount.shared_folder {
                let archive = shared_folder(folder);
                let archive = archive
                    .map_err(|e| EngineError::Refused(format!("the folder `{folder}` cannot be packed: {e}")))?;
                self.send(id, &mount.target, archive).await?;
            }
        }
        if !spec.container.read_only {
            return self
                .upload(id, "/", spec.files.iter().map(|f| (f.path.trim_start_matches('/'), f)).collect())
                .await;
        }
        // A root that cannot be written to takes files only into its volumes, folder by folder.
        let mut folders: BTreeMap<&str, Vec<(&str, &ContainerFile)>> = BTreeMap::new();
        for file in &spec.files {
            let folder = convert::folder(&file.path);
            let name = file.path.strip_prefix(folder).unwrap_or(&file.path).trim_start_matches('/');
            folders.entry(folder).or_default().push((name, file));
        }
        for (folder, entries) in folders {
            self.upload(id, folder, entries).await?;
        }
        Ok(())
    }

    async fn upload(&self, id: &str, to: &str, files: Vec<(&str, &ContainerFile)>) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let archive = archive(&files).map_err(|e| EngineError::Refused(format!("its files cannot be packed: {e}")))?;
        self.send(id, to, archive).await
    }

    async fn send(&self, id: &str, to: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(to).build();
        let body = bollard::body_full(archive.into());
        self.client().await?.upload_to_container(id, Some(options), body).await.map_err(|e| errors::engine(&e, id))
    }
}

/// A folder in which every user may write, and none removes what is another's.
fn shared_folder(name: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    archive.append_data(&mut header, name, std::io::empty())?;
    archive.into_inner()
}

/// Files under the names they have in the archive.
fn archive(files: &[(&str, &ContainerFile)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, file) in files {
        let content = file.content.expose();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()
}
