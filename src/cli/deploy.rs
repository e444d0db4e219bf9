//! `wharf up` and `wharf deploy`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use tokio_util::io::ReaderStream;

use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::follow;
use crate::apps::{ImageDeploy, OperationView};
use crate::builds::archive::{self, IgnoreFiles, Limits};
use crate::kernel::error::chain;

/// Build and deploy a directory.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wharf up\n  wharf up ./site --app docs -m 'new front page'\n\nFiles that .gitignore or .dockerignore leave out are not sent."
)]
pub(super) struct Up {
    /// The directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What this is about, shown in the list of releases
    #[arg(short, long)]
    message: Option<String>,
    /// Build without caches
    #[arg(long)]
    no_cache: bool,
}

/// Deploy an image.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf deploy --image ghcr.io/acme/shop:1.2 --app shop")]
pub(super) struct Deploy {
    /// The image, by name or digest
    #[arg(long)]
    image: String,
    /// What this is about, shown in the list of releases
    #[arg(short, long)]
    message: Option<String>,
}

pub(super) async fn up(global: &Global, args: Up) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    if !args.dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", args.dir.display())));
    }
    let dir = args.dir.clone();
    let packed =
        tokio::task::spawn_blocking(move || pack(&dir)).await.map_err(|e| Failure::failed(e.to_string()))??;
    let size = packed.metadata().map(|m| m.len()).unwrap_or_default();
    if !context.json {
        println!("Sending {} ({} KiB) …", args.dir.display(), size.div_ceil(1024));
    }
    let message = args.message.unwrap_or_else(|| "wharf up".to_owned());
    let path = format!("{app}/sources?message={}&no_cache={}", encode(&message), args.no_cache);
    let body = reqwest::Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(packed)));
    let request = context.client.request(Method::POST, &path)?.header("Content-Type", "application/gzip").body(body);
    let answer = context.client.send(request).await?;
    let operation: OperationView = answer.json().await.map_err(|e| Failure::unreachable(context.client.base(), &e))?;
    follow::follow(&context, &app, &operation).await?;
    say_url(&context, &app).await
}

/// The directory as a gzipped tar in a temporary file, at its beginning.
pub(super) fn pack(dir: &std::path::Path) -> Result<std::fs::File, Failure> {
    use std::io::Seek as _;
    let file = tempfile::tempfile()?;
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    archive::pack(dir, &mut packer, &Limits::default(), IgnoreFiles::GitAndDocker, &[])
        .map_err(|e| Failure::failed(chain(&e)))?;
    let mut file = packer.finish()?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

pub(super) async fn deploy(global: &Global, args: Deploy) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let body = ImageDeploy { image: args.image, message: args.message };
    let operation: OperationView = context.client.call(Method::POST, &format!("{app}/deployments"), &body).await?;
    follow::follow(&context, &app, &operation).await?;
    say_url(&context, &app).await
}

pub(super) async fn say_url(context: &Context, app: &str) -> Result<(), Failure> {
    if !context.json {
        let detail: crate::apps::AppDetail = context.client.get(app).await?;
        if let Some(url) = detail.urls.first() {
            println!("       {url}");
        }
    }
    Ok(())
}
