//! Bringing new code or images in.

use std::path::Path;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use super::view;
use super::{AppError, AppPath, Apps, Caller, ImageDeploy, OperationView, PlanBase, SourceDeploy};
use crate::operations::{Kind, Operation};
use crate::pipelines::{Input, recovery::phase};
use crate::store::StoreError;
use crate::tenancy::model::Environment;

/// Seconds a deploy may take in all: queue, build, release command and rollout.
const DEPLOY_DEADLINE_SECONDS: i64 = 3600;
/// Characters of an image name.
const LONGEST_IMAGE: usize = 255;

impl Apps {
    /// Deploys an image as it is.
    ///
    /// # Errors
    /// When the name is not that of an image, or something else is changing the app.
    pub async fn deploy_image(
        &self,
        who: &Caller,
        app: &AppPath,
        deploy: ImageDeploy,
    ) -> Result<OperationView, AppError> {
        let image = checked_image(&deploy.image)?;
        let environment = self.environment(&who.tenant, app).await?;
        let message = deploy.message.map_or_else(|| format!("deploy {image}"), |m| first_line(&m));
        let input = Input::Image { image, message };
        let mut tx = self.store().write().await?;
        let new = self.new_operation(who, &environment, Kind::Deploy, phase::BUILD, &input, DEPLOY_DEADLINE_SECONDS);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let shown = view::operation(&operation);
        self.deployer().launch(operation);
        Ok(shown)
    }

    /// Builds and deploys sources given as a tar stream (gzip allowed), which is stored before this returns.
    ///
    /// # Errors
    /// When the archive is broken or too large, or something else is changing the app.
    pub async fn deploy_source<R>(
        &self,
        who: &Caller,
        app: &AppPath,
        deploy: SourceDeploy,
        archive: R,
    ) -> Result<OperationView, AppError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let operation = self.begin_source(who, app, &deploy, phase::RECEIVE).await?;
        self.run_source(operation, archive).await
    }

    /// Takes the right to deploy before any byte of source has come.
    ///
    /// # Errors
    /// When something else is changing the app.
    pub async fn begin_source(
        &self,
        who: &Caller,
        app: &AppPath,
        deploy: &SourceDeploy,
        phase: &'static str,
    ) -> Result<Operation, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        if let Some(base) = &deploy.base {
            check_base(base, &environment)?;
        }
        let input = source_input(deploy);
        let mut tx = self.store().write().await?;
        let mut new = self.new_operation(who, &environment, Kind::Deploy, phase, &input, DEPLOY_DEADLINE_SECONDS);
        new.cause.clone_from(&deploy.cause);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(operation)
    }

    /// Tells an operation that was begun for a push which commit it is about.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn amend_source(&self, mut operation: Operation, deploy: &SourceDeploy) -> Result<Operation, AppError> {
        operation.input = source_input(deploy).to_json();
        self.operations_handle().set_input(&operation.id, &operation.input).await?;
        Ok(operation)
    }

    /// Stores the source of an operation and lets it run; when that fails, the operation ends with the reason.
    ///
    /// # Errors
    /// When the archive is broken or too large.
    pub async fn run_source<R>(&self, mut operation: Operation, archive: R) -> Result<OperationView, AppError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let path = self.deployer().source_path(&operation.id);
        if let Err(error) = self.store_source(&path, archive).await {
            let _ = tokio::fs::remove_file(&path).await;
            let reason = error.to_string();
            self.operations_handle().finish(&operation.id, crate::operations::State::Failed, &reason).await?;
            return Err(error);
        }
        operation.phase = phase::BUILD_QUEUE.to_owned();
        self.operations_handle().phase(&operation.id, phase::BUILD_QUEUE).await?;
        let shown = view::operation(&operation);
        self.deployer().launch(operation);
        Ok(shown)
    }

    /// Writes the archive to disk, unpacked from gzip where it is packed so, within the limit.
    pub(super) async fn store_source<R>(&self, path: &Path, archive: R) -> Result<(), AppError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let disk = |e| AppError::internal("the source could not be stored", e);
        let limit = self.deployer().source_limit();
        if let Some(dir) = path.parent() {
            tokio::fs::create_dir_all(dir).await.map_err(disk)?;
        }
        let mut file = tokio::fs::File::create(path).await.map_err(disk)?;
        let mut input = BufReader::with_capacity(64 * 1024, archive);
        let written = if is_gzip(&mut input).await? {
            let mut plain = async_compression::tokio::bufread::GzipDecoder::new(input);
            copy_limited(&mut plain, &mut file, limit).await?
        } else {
            copy_limited(&mut input, &mut file, limit).await?
        };
        if written == 0 {
            return Err(AppError::invalid("body", "the archive is empty; send a tar file, or gzip of one"));
        }
        file.sync_all().await.map_err(disk)
    }
}

async fn is_gzip<R: AsyncBufRead + Unpin>(input: &mut R) -> Result<bool, AppError> {
    let head = input.fill_buf().await.map_err(cut_off)?;
    Ok(head.starts_with(&[0x1f, 0x8b]))
}

fn cut_off(error: std::io::Error) -> AppError {
    AppError::invalid("body", format!("the archive could not be read to its end ({error}); send it again"))
}

async fn copy_limited<R: AsyncRead + Unpin>(
    input: &mut R,
    file: &mut tokio::fs::File,
    limit: u64,
) -> Result<u64, AppError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0_u64;
    loop {
        let n = input.read(&mut buffer).await.map_err(cut_off)?;
        if n == 0 {
            file.flush().await.map_err(|e| AppError::internal("the source could not be stored", e))?;
            return Ok(total);
        }
        total += n as u64;
        if total > limit {
            return Err(AppError::invalid(
                "body",
                format!(
                    "the source has more than {} MiB; leave out what is not needed with a .dockerignore file",
                    limit / 1024 / 1024
                ),
            ));
        }
        file.write_all(&buffer[..n]).await.map_err(|e| AppError::internal("the source could not be stored", e))?;
    }
}

/// A plan holds as long as nothing has changed since it was made.
fn check_base(base: &PlanBase, environment: &Environment) -> Result<(), AppError> {
    let now = PlanBase { revision: environment.serving_revision, config_version: environment.config_version };
    if *base == now {
        return Ok(());
    }
    let name = |r: Option<i64>| r.map_or_else(|| "nothing".to_owned(), |r| format!("v{r}"));
    Err(AppError::Conflict(format!(
        "the plan was made when {} served with configuration {}; now it is {} with configuration {}. Make a new plan: wharf plan",
        name(base.revision),
        base.config_version,
        name(now.revision),
        now.config_version
    )))
}

fn source_input(deploy: &SourceDeploy) -> Input {
    Input::Source {
        commit: deploy.commit.clone(),
        message: first_line(&deploy.message),
        request: deploy.request.clone(),
        push: deploy.cause == "push",
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// An image name as registries know it: no white space, no leading dash, nothing an engine could take for an option.
fn checked_image(name: &str) -> Result<String, AppError> {
    let name = name.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.is_empty() || name.len() > LONGEST_IMAGE || !starts_well || !name.chars().all(allowed) {
        return Err(AppError::invalid(
            "image",
            format!("`{name}` is not the name of an image; write it as in ghcr.io/acme/shop:1.2"),
        ));
    }
    Ok(name.to_owned())
}
