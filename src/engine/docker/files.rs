//! Files that every container of this installation gets before it starts, such as a company's CA certificates.
//! They are put in through the engine, so no directory of the host is mounted into anything.

use super::{DockerEngine, errors};
use crate::engine::EngineError;

impl DockerEngine {
    /// The same engine, whose containers all get this file (absolute path, readable by all) before they start.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: Vec<u8>) -> Self {
        self.files.push((path.trim_start_matches('/').to_owned(), content));
        self
    }

    /// Puts the files into a container that was created; doing it twice does no harm.
    pub(super) async fn furnish(&self, id: &str) -> Result<(), EngineError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let archive = self.archive().map_err(|e| EngineError::Refused(format!("its files cannot be packed: {e}")))?;
        let options = bollard::query_parameters::UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_full(archive.into());
        self.client().await?.upload_to_container(id, Some(options), body).await.map_err(|e| errors::engine(&e, id))
    }

    fn archive(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        archive.into_inner()
    }
}
