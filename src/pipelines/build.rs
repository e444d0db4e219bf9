//! Turning the stored source of an operation into an image.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest as _, Sha256};
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::drive::{Failure, Progress};
use super::manifest::{self, Request};
use super::recovery::phase;
use super::{Deployer, stack};
use crate::builds::{self, BuildPlan, Note, SourceTree, archive};
use crate::engine::{BuildEvent, BuildRequest, EngineError, Owner};
use crate::kernel::clock::Timestamp;
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::kernel::name::{ServiceName, TenantSlug};
use crate::stack::model::Build;
use crate::stack::{ImageRef, Stack};
use crate::tenancy::model::Environment;

/// The name of the generated Dockerfile within the build context.
const GENERATED: &str = ".wharf.Dockerfile";
/// The name a Dockerfile gets whose text stands in a manifest.
pub(super) const INLINE: &str = ".wharf.inline.Dockerfile";
/// The id under which RUN steps find the operator's CA certificates.
const CA_SECRET: &str = "wharf-ca";
/// The key of the static server in the table of base images.
const STATIC: &str = "static";
/// Where its images are named.
const STATIC_REPOSITORY: &str = "wharf/static-server:";

/// The builds that run or wait.
#[derive(Default)]
pub(super) struct Queue(Mutex<Vec<QueuedBuild>>);

/// One build in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedBuild {
    pub operation: OperationId,
    pub tenant: TenantSlug,
    /// `shop`, `shop/staging`
    pub app: String,
    pub since: Timestamp,
}

/// A place in the queue; leaving it is dropping it.
struct Place<'a> {
    queue: &'a Queue,
    operation: OperationId,
}

impl Queue {
    pub(super) fn snapshot(&self) -> Vec<QueuedBuild> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, build: QueuedBuild) -> (Place<'_>, usize) {
        let operation = build.operation.clone();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = all.len();
        all.push(build);
        (Place { queue: self, operation }, ahead)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|b| b.operation != self.operation);
    }
}

/// A build context as it lies on disk, and what is to be done with it.
pub(super) struct Prepared {
    plan: BuildPlan,
    context: PathBuf,
    dockerfile: String,
}

/// What one build is told beside its context.
#[derive(Default)]
pub(super) struct Order<'a> {
    /// What of a manifest it is for.
    pub(super) section: Option<(&'a ServiceName, &'a Build)>,
    /// Files for its RUN steps, by id.
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) no_cache: bool,
}

impl Deployer {
    /// Waits for a build slot, builds, and gives the stack that follows: from the manifest, where there is one, or from
    /// the plan of the one image.
    pub(super) async fn build(&self, job: &Progress<'_>, request: &Request) -> Result<Stack, Failure> {
        let (_place, ahead) = self.queue.enter(QueuedBuild {
            operation: job.operation.id.clone(),
            tenant: job.environment.tenant.clone(),
            app: job.environment.display_name(),
            since: self.parts.clock.now(),
        });
        let slots = self.parts.builds.concurrent.max(1);
        if ahead >= slots {
            job.phase(phase::BUILD_QUEUE).await?;
            job.log.notice(format!("waiting for {} build(s) ahead of this one", ahead + 1 - slots)).await;
        }
        let _slot = tokio::select! {
            slot = self.build_slots.acquire() => slot.map_err(|e| Failure::platform("the build queue is closed", &e))?,
            () = job.cancel.cancelled() => return Err(Failure::Cancelled),
        };
        job.phase(phase::BUILD).await?;
        let source = self.unpack(job).await?;
        if let Some(request) = manifest::wanted(&source, request) {
            return self.build_manifest(job, &source, &request).await;
        }
        let order = Order { no_cache: request.no_cache, ..Order::default() };
        let settings = self.build_settings(job.environment).await?;
        let prepared = self.prepare(job, source, settings, None).await?;
        let image = self.run_build(job, &prepared, order).await?;
        let facts = self.parts.engine.inspect_image(&image.id).await.map_err(|e| Failure::engine(&e))?;
        stack::from_plan(&prepared.plan, &image, &facts).map_err(Failure::Theirs)
    }

    fn source_limits(&self) -> archive::Limits {
        archive::Limits { total_bytes: self.parts.builds.source_bytes, ..archive::Limits::default() }
    }

    /// Unpacks the source of an operation; gives its folder, which is removed with the operation.
    async fn unpack(&self, job: &Progress<'_>) -> Result<PathBuf, Failure> {
        let source = self.source_path(&job.operation.id);
        let limits = self.source_limits();
        tokio::task::spawn_blocking(move || unpack_on_disk(&source, &limits))
            .await
            .map_err(|e| Failure::platform("the source could not be read", &e))?
    }

    /// Decides how to build a folder of the source, and packs it as a build context.
    pub(super) async fn prepare(
        &self,
        job: &Progress<'_>,
        folder: PathBuf,
        settings: builds::Settings,
        inline: Option<String>,
    ) -> Result<Prepared, Failure> {
        let context = self.source_path(&job.operation.id).with_extension("context");
        let limits = self.source_limits();
        let prepared =
            tokio::task::spawn_blocking(move || prepare_on_disk(&folder, context, &settings, &limits, inline))
                .await
                .map_err(|e| Failure::platform("the source could not be read", &e))??;
        let plan = &prepared.plan;
        job.log.step(format!("Building: {}", describe(plan))).await;
        for note in &plan.notes {
            match note {
                Note::Info(text) => job.log.output(text.clone()).await,
                Note::Warning(text) => job.log.notice(format!("warning: {text}")).await,
            }
        }
        if plan.static_site.is_some() && !self.parts.builds.base_images.contains_key(STATIC) {
            self.ensure_static_base(job, &plan.images.runtime).await?;
        }
        Ok(prepared)
    }

    pub(super) async fn build_settings(&self, environment: &Environment) -> Result<builds::Settings, Failure> {
        let operator = &self.parts.builds;
        let mut base_images = operator.base_images.clone();
        if !base_images.contains_key(STATIC) {
            base_images.insert(STATIC.to_owned(), self.static_base().await?.clone());
        }
        Ok(builds::Settings {
            platform: builds::Platform {
                base_images: builds::BaseImages(base_images),
                // A cache of one's own: a shared one would let one tenant plant files in another's build.
                cache_scope: environment.project_id.to_string(),
                extra_ca: operator.extra_ca_file.is_some().then_some(builds::CaBundle::Secret),
                build_args: operator.build_args.keys().cloned().collect(),
            },
            ..builds::Settings::default()
        })
    }

    /// The name of the image static sites are built on. It is made of the running program and named by its content, so
    /// that neither an older program nor another installation's on the same engine is taken for it.
    async fn static_base(&self) -> Result<&String, Failure> {
        const UNREADABLE: &str = "the static server could not be read";
        self.static_base
            .get_or_try_init(|| async {
                let hash = tokio::task::spawn_blocking(own_hash).await;
                let hash = hash.map_err(|e| Failure::platform(UNREADABLE, &e))?;
                let hash = hash.map_err(|e| Failure::platform(UNREADABLE, &e))?;
                Ok(format!("{STATIC_REPOSITORY}{}", &hash[..16]))
            })
            .await
    }

    pub(super) async fn run_build(
        &self,
        job: &Progress<'_>,
        prepared: &Prepared,
        order: Order<'_>,
    ) -> Result<ImageRef, Failure> {
        let operator = &self.parts.builds;
        let mut tag = format!("wharf/{}:{}", job.environment.id, job.operation.id);
        let mut section = Build::default();
        if let Some((service, build)) = order.section {
            tag = format!("{tag}-{service}");
            section = build.clone();
        }
        let context = tokio::fs::File::open(&prepared.context)
            .await
            .map_err(|e| Failure::platform("the source cannot be read", &e))?;
        let context = ReaderStream::with_capacity(context, 64 * 1024).map(|chunk: std::io::Result<Bytes>| {
            chunk.map_err(|e| EngineError::Refused(format!("the source cannot be read: {e}")))
        });
        let mut secrets = order.secrets;
        if let Some(file) = &operator.extra_ca_file {
            let bytes = tokio::fs::read(file)
                .await
                .map_err(|e| Failure::platform("the extra CA certificates cannot be read", &e))?;
            secrets.insert(CA_SECRET.to_owned(), bytes);
        }
        let request = BuildRequest {
            owner: owner(job.environment),
            operation: job.operation.id.clone(),
            context: Box::pin(context),
            dockerfile: prepared.dockerfile.clone(),
            tag: tag.clone(),
            build_args: section.args.into_iter().chain(operator.build_args.clone()).collect(),
            target: section.target,
            labels: section.labels,
            pull: section.pull,
            extra_hosts: section.extra_hosts,
            secrets,
            no_cache: order.no_cache || section.no_cache,
            memory_mib: operator.memory_mib,
            cpu_millis: operator.cpu_millis,
            disk_mib: operator.disk_mib,
            deadline_seconds: operator.deadline_seconds,
        };
        let mut events = self.parts.engine.build(request).await.map_err(|e| Failure::engine(&e))?;
        let built = follow_build(&mut events, job, &job.cancel).await;
        // Dropping the stream is what stops a build that was cancelled.
        drop(events);
        built.map(|id| ImageRef { name: tag, id })
    }

    /// Makes the image static sites are built on out of the running program, unless it is there.
    async fn ensure_static_base(&self, job: &Progress<'_>, tag: &str) -> Result<(), Failure> {
        if self.parts.engine.inspect_image(tag).await.is_ok() {
            return Ok(());
        }
        job.log.output("making the static server's base image (once per version of Wharf)").await;
        // Those of other versions go, but for what sites are still built on.
        let images = self.parts.engine.images().await.map_err(|e| Failure::engine(&e))?;
        let is_base = |name: &String| name.starts_with(STATIC_REPOSITORY);
        for image in images.iter().filter(|i| i.environment.is_none() && i.tags.iter().any(is_base)) {
            self.parts.engine.remove_image(&image.id).await.map_err(|e| Failure::engine(&e))?;
        }
        let rootfs = tokio::task::spawn_blocking(static_rootfs)
            .await
            .map_err(|e| Failure::platform("the static server's image could not be made", &e))?
            .map_err(|e| Failure::platform("the static server's image could not be made", &e))?;
        let entrypoint = vec!["/wharf".to_owned()];
        self.parts.engine.import_image(tag, rootfs, entrypoint).await.map_err(|e| Failure::engine(&e))?;
        Ok(())
    }
}

/// Passes a build's lines on until the image is there.
async fn follow_build(
    events: &mut crate::engine::EngineStream<BuildEvent>,
    job: &Progress<'_>,
    cancel: &CancellationToken,
) -> Result<String, Failure> {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = cancel.cancelled() => return Err(Failure::Cancelled),
        };
        match event {
            Some(Ok(BuildEvent::Step(text))) => job.log.step(text).await,
            Some(Ok(BuildEvent::Output(text))) => job.log.output(text).await,
            Some(Ok(BuildEvent::Built(id))) => return Ok(id),
            Some(Err(
                error @ (EngineError::BuildFailed(_) | EngineError::ImageMissing { .. } | EngineError::TimedOut { .. }),
            )) => {
                return Err(Failure::Theirs(chain(&error)));
            }
            Some(Err(error)) => return Err(Failure::engine(&error)),
            None => return Err(Failure::Platform("the build ended without an image".to_owned())),
        }
    }
}

fn disk(error: std::io::Error) -> Failure {
    Failure::platform("the source could not be unpacked", &error)
}

fn unpack_on_disk(source: &Path, limits: &archive::Limits) -> Result<PathBuf, Failure> {
    let dir = source.with_extension("");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).map_err(disk)?;
    }
    std::fs::create_dir_all(&dir).map_err(disk)?;
    let file = std::fs::File::open(source).map_err(disk)?;
    archive::unpack(std::io::BufReader::new(file), &dir, limits).map_err(|e| Failure::Theirs(chain(&e)))?;
    Ok(dir)
}

fn prepare_on_disk(
    dir: &Path,
    context: PathBuf,
    settings: &builds::Settings,
    limits: &archive::Limits,
    inline: Option<String>,
) -> Result<Prepared, Failure> {
    if let Some(text) = &inline {
        std::fs::write(dir.join(INLINE), text).map_err(disk)?;
    }
    let tree =
        SourceTree::from_dir(dir, limits, archive::IgnoreFiles::Docker).map_err(|e| Failure::Theirs(chain(&e)))?;
    if let Some(finding) = tree.findings().first() {
        return Err(Failure::Theirs(finding.to_string()));
    }
    let plan = builds::detect(&tree, settings).map_err(|e| Failure::Theirs(chain(&e)))?;
    let generated = match &plan.dockerfile {
        Some(own) => {
            let text = std::fs::read_to_string(dir.join(&own.path)).map_err(disk)?;
            builds::scope_caches(&own.path, &text, &settings.platform.cache_scope)
                .map_err(|e| Failure::Theirs(chain(&e)))?
        }
        None => Some(builds::render(&plan)),
    };
    let dockerfile = match (&plan.dockerfile, &generated) {
        (Some(own), None) => own.path.clone(),
        _ => GENERATED.to_owned(),
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&context).map_err(disk)?);
    let extra: Vec<(&str, &[u8])> = generated.iter().map(|text| (GENERATED, text.as_bytes())).collect();
    archive::pack(dir, &mut out, limits, archive::IgnoreFiles::Docker, &extra)
        .map_err(|e| Failure::Theirs(chain(&e)))?;
    out.flush().map_err(disk)?;
    Ok(Prepared { plan, context, dockerfile })
}

/// SHA-256 of the running program, in hexadecimal.
fn own_hash() -> std::io::Result<String> {
    let (mut file, mut buffer, mut hash) = (std::fs::File::open("/proc/self/exe")?, vec![0; 1 << 16], Sha256::new());
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// A root file system with nothing but this very program, which is static.
fn static_rootfs() -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    // A program on a sparse disk is written out whole: engines do not read sparse entries.
    tar.sparse(false);
    tar.append_path_with_name("/proc/self/exe", "wharf")?;
    tar.into_inner()
}

/// `Python 3.11 (Flask)`, for people.
fn describe(plan: &BuildPlan) -> String {
    let Some(provider) = plan.provider else { return "the app's own Dockerfile".to_owned() };
    let version = plan.versions.first().map(|v| format!(" {}", v.version)).unwrap_or_default();
    let framework = plan.framework.as_ref().map(|f| format!(" ({f})")).unwrap_or_default();
    format!("{provider}{version}{framework}")
}

/// Whose images and containers of an environment are.
pub fn owner(environment: &Environment) -> Owner {
    Owner {
        tenant: environment.tenant_id.clone(),
        project: environment.project_id.clone(),
        environment: environment.id.clone(),
    }
}
