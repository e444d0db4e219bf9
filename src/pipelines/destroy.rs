//! Taking an environment away with all it has.

use super::Deployer;
use super::converge::WaitFor;
use super::drive::{Failure, Progress};
use super::recovery::phase;
use crate::kernel::error::chain;
use crate::store::StoreError;
use crate::tenancy::store::projects;

impl Deployer {
    /// Containers and network first, which the scheduler does; then images, repository and rows.
    pub(super) async fn destroy(&self, job: &Progress<'_>) -> Result<String, Failure> {
        job.phase(phase::DESTROY).await?;
        self.wait_for(job, WaitFor::Settled).await?;
        let images = self.parts.engine.images().await.map_err(|e| Failure::engine(&e))?;
        for image in images.iter().filter(|i| i.environment.as_ref() == Some(&job.environment.id)) {
            if let Err(error) = self.parts.engine.remove_image(&image.id).await {
                job.log.notice(format!("an image stays: {}", chain(&error))).await;
            }
        }
        self.remove_volumes(job).await?;
        let repository = self.parts.data_dir.join("git").join(format!("{}.git", job.environment.id));
        match tokio::fs::remove_dir_all(&repository).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::platform("the repository could not be removed", &error)),
        }
        let mut tx = self.parts.store.write().await?;
        projects::forget(&mut tx, job.tenant, &job.environment.id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(format!("{} is gone", job.environment.display_name()))
    }

    /// Whoever destroys an app has typed its name: its data goes with it.
    async fn remove_volumes(&self, job: &Progress<'_>) -> Result<(), Failure> {
        let volumes = self.parts.engine.volumes(false).await.map_err(|e| Failure::engine(&e))?;
        for seen in volumes.iter().filter(|v| v.volume.environment == job.environment.id) {
            self.parts.engine.remove_volume(&seen.volume).await.map_err(|e| Failure::engine(&e))?;
            job.log.output(format!("volume {} removed", seen.volume.name)).await;
        }
        Ok(())
    }
}
