//! Bringing new code or images in.

use super::{AppError, AppPath, Apps, Caller, ImageDeploy, OperationView, SourceDeploy};

#[expect(clippy::unused_async, unused_variables, reason = "the bodies land next")]
impl Apps {
    /// Deploys an image as it is.
    pub async fn deploy_image(
        &self,
        who: &Caller,
        app: &AppPath,
        deploy: ImageDeploy,
    ) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Builds and deploys sources given as a tar stream (gzip allowed), which is stored before this returns.
    pub async fn deploy_source<R>(
        &self,
        who: &Caller,
        app: &AppPath,
        deploy: SourceDeploy,
        archive: R,
    ) -> Result<OperationView, AppError>
    where
        R: tokio::io::AsyncRead + Send + Unpin,
    {
        unimplemented!()
    }
}
