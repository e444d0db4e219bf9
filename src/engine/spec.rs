//! What an engine is asked for, and what it answers: plain values.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use thiserror::Error;

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, ProjectId, TenantId};
use crate::kernel::name::ServiceName;
use crate::kernel::secret::Secret;
use crate::stack::Limits;
use crate::stack::model::{Container, ExtraHost, ResourceName};

/// Whose a container, network, volume or image is; carried as labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub tenant: TenantId,
    pub project: ProjectId,
    pub environment: EnvironmentId,
}

/// What a container is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Keeps running and serves.
    Instance,
    /// Runs once to its end: the release command or a one-off command.
    Task,
}

/// The name of one instance: `<service>.<slot>` of a revision, and how often it was replaced.
/// It is the identity the planner works with, and the container's name is derived from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceKey {
    pub environment: EnvironmentId,
    pub service: ServiceName,
    /// The revision number it runs.
    pub revision: i64,
    /// Bumped by a restart on request, so that the old instances are replaced by new ones.
    pub generation: i64,
    /// 1-based place within the replica set.
    pub slot: u32,
}

/// A volume: it belongs to an environment and outlives its containers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeKey {
    pub environment: EnvironmentId,
    pub name: ResourceName,
}

/// A volume inside a container. It is made before the container when it is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    pub volume: VolumeKey,
    /// The tenant's own labels of the volume, should it have to be made.
    pub labels: BTreeMap<String, String>,
    /// An absolute path without `..`.
    pub target: String,
    pub read_only: bool,
    /// Only this folder of it; a relative path without `..`.
    pub subpath: Option<String>,
    /// Whether an empty volume stays empty, instead of being filled with what the image has there.
    pub no_copy: bool,
    /// A folder in it that is made before the start, and in which every user may write, as in `/tmp`.
    pub shared_folder: Option<String>,
}

/// A file put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFile {
    /// An absolute path without `..`.
    pub path: String,
    pub content: Secret<Vec<u8>>,
    pub uid: u32,
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// One volume of Wharf's, as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    pub volume: VolumeKey,
    pub owner: Owner,
    pub created_at: Option<Timestamp>,
    /// What is in it; `None` when the engine does not say.
    pub size_bytes: Option<u64>,
    /// Whether a container, running or not, has it.
    pub in_use: Option<bool>,
}

/// How a command inside a running container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEnd {
    /// With this code, and the last line it printed.
    Exited { code: i64, last_line: String },
    /// Not within its time. It goes on by itself: engines cannot stop it.
    StillRunning,
}

/// Everything needed to create one container; the engine makes no choices of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    pub key: InstanceKey,
    pub owner: Owner,
    pub role: Role,
    /// The engine's content id of the image (`sha256:…`).
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    /// The full environment, secrets included; never logged.
    pub environment: BTreeMap<String, String>,
    pub limits: Limits,
    /// What else it is told; its closed type holds only what is safe for neighbours.
    pub container: Container,
    pub mounts: Vec<VolumeMount>,
    /// Configs and secrets as files; never logged.
    pub files: Vec<ContainerFile>,
    pub stop_grace_seconds: u32,
    /// The network it joins, made before by [`Engine::ensure_network`].
    pub network: String,
    /// Names by which other services of the same network reach it.
    pub aliases: Vec<String>,
    /// Host name inside the container.
    pub hostname: String,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// The operation it was made for, for [`Role::Task`].
    pub operation: Option<OperationId>,
}

/// What state the engine says a container is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started yet.
    Created,
    /// Its process runs.
    Running { started_at: Timestamp },
    /// Its process has ended.
    Exited { code: i64, oom_killed: bool, finished_at: Timestamp },
}

impl ContainerState {
    /// Why it ended, in plain words; `None` while it has not.
    #[must_use]
    pub fn exit_reason(&self) -> Option<String> {
        let Self::Exited { code, oom_killed, .. } = self else { return None };
        Some(match (code, oom_killed) {
            (_, true) => "it used more memory than its limit allows and was killed (exit code 137)".to_owned(),
            (0, _) => "it ended by itself without an error (exit code 0)".to_owned(),
            (126, _) => "its command cannot be executed: the file is not a program, or not executable (exit code 126)"
                .to_owned(),
            (127, _) => "its command was not found in the image (exit code 127)".to_owned(),
            (137, _) => "it was killed (exit code 137)".to_owned(),
            (139, _) => "it crashed with a memory access error (exit code 139)".to_owned(),
            (143, _) => "it was told to stop (exit code 143)".to_owned(),
            (code, _) => format!("it ended with exit code {code}"),
        })
    }
}

/// One container of Wharf's, as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The engine's own id of the container.
    pub id: String,
    pub key: InstanceKey,
    pub owner: Owner,
    pub role: Role,
    pub state: ContainerState,
    /// How often the engine's record says it was started again by us in place.
    pub restarts: u32,
    /// Its address on the project's network, while it runs.
    pub address: Option<IpAddr>,
    /// The engine's content id of the image it runs.
    pub image: String,
    pub operation: Option<OperationId>,
}

/// Why an engine could not do what it was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The engine does not answer.
    #[error("the container engine does not answer: {0}")]
    Unreachable(String),
    /// The image is not there and cannot be had.
    #[error("the image `{image}` cannot be had: {reason}")]
    ImageMissing { image: String, reason: String },
    /// The container could not be started, in the engine's words.
    #[error("the container could not be started: {0}")]
    StartFailed(String),
    /// What was named does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The build ended with an error, in the builder's words.
    #[error("the build failed: {0}")]
    BuildFailed(String),
    /// It took longer than it may.
    #[error("{what} took longer than {seconds} s and was stopped")]
    TimedOut { what: String, seconds: u64 },
    /// Anything else the engine said.
    #[error("the container engine refused: {0}")]
    Refused(String),
}

/// Which of a process's two streams a line or chunk belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// One piece of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    pub at: Timestamp,
    pub stream: OutputStream,
    /// One line, without its line end.
    pub line: String,
}

/// Which part of a container's log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// At most so many of the last lines first.
    pub tail: Option<u32>,
    /// Go on with new lines until the container ends.
    pub follow: bool,
}

/// A stream of values that may fail on the way.
pub type EngineStream<T> = Pin<Box<dyn Stream<Item = Result<T, EngineError>> + Send>>;

/// A build from a Dockerfile.
pub struct BuildRequest {
    pub owner: Owner,
    pub operation: OperationId,
    /// The build context as a tar stream.
    pub context: EngineStream<Bytes>,
    /// The Dockerfile's path within the context.
    pub dockerfile: String,
    /// The name the image gets.
    pub tag: String,
    pub build_args: BTreeMap<String, String>,
    /// The stage to build; `None` for the last one.
    pub target: Option<String>,
    /// The tenant's own labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Whether the registry is asked for newer base images.
    pub pull: bool,
    /// Names the build may use for addresses.
    pub extra_hosts: Vec<ExtraHost>,
    /// Files mounted into RUN steps that ask for them by id (`wharf-ca`), never part of the image.
    pub secrets: BTreeMap<String, Vec<u8>>,
    pub no_cache: bool,
    pub memory_mib: u32,
    pub cpu_millis: u32,
    /// What its steps may write, in MiB.
    pub disk_mib: u32,
    pub deadline_seconds: u32,
}

/// What a build tells on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step begins: its name as the Dockerfile has it.
    Step(String),
    /// A line a step printed.
    Output(String),
    /// The image is there: its content id.
    Built(String),
}

/// The two ends of an attached terminal or pipe.
pub struct Attached {
    pub output: EngineStream<(OutputStream, Bytes)>,
    pub input: Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
}

/// One image of Wharf's making, as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedImage {
    pub id: String,
    pub tags: Vec<String>,
    pub environment: Option<EnvironmentId>,
    pub created_at: Timestamp,
    pub size_bytes: u64,
}

/// What an image says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    pub id: String,
    /// TCP ports it exposes, in order.
    pub exposed_ports: Vec<u16>,
    pub environment: BTreeMap<String, String>,
    pub user: String,
    pub healthcheck: bool,
}
