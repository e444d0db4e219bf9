//! Docker as an engine, through its HTTP API on a Unix socket.
//!
//! Invariants: every object is made with the labels of [`labels`] and every call that names an object checks the
//! installation label first, so two Wharfs on one Docker never touch each other's things, nor anybody else's.
//! The client holds no connection: each call opens its own, so a restart of the daemon costs the calls that were
//! under way ([`EngineError::Unreachable`]) and nothing after. The API version is agreed on at the first answer.
//!
//! - [`convert`], [`labels`], [`listening`], [`subnets`], [`trace`]: pure translations, tested without Docker;
//! - [`raw`]: the few requests that bollard cannot make (build sessions with secrets, terminals, imports);
//! - the other files: one group of calls each.

mod attach;
mod build;
mod containers;
mod convert;
mod errors;
mod events;
mod exec;
mod files;
mod images;
mod labels;
mod listening;
mod logs;
mod networks;
mod raw;
mod session;
mod subnets;
mod trace;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bollard::Docker;

use super::{
    Attached, BuildEvent, BuildRequest, ContainerFile, Engine, EngineError, EngineFuture, EngineStream, ExecEnd,
    ImageFacts, InstanceSpec, LogChunk, LogQuery, Observed, ObservedImage, ObservedVolume, Owner, VolumeKey,
};
use crate::kernel::fail_point;
pub use labels::Installation;

/// Seconds a plain call may wait for the engine's answer; a daemon under load may take long, a dead one refuses at once.
const CALL_SECONDS: u64 = 60;

/// The engine on one Docker socket, for one installation of Wharf.
#[derive(Debug)]
pub struct DockerEngine {
    socket: PathBuf,
    installation: Installation,
    /// The client, once the API version is agreed on.
    client: ArcSwapOption<Docker>,
    /// How often this process started a container again in place; Docker itself counts only its own restarts.
    restarts: Mutex<BTreeMap<String, u32>>,
    /// The last command inside each container, as long as it is not known to have ended.
    execs: Mutex<BTreeMap<String, String>>,
    /// What every container gets before it starts.
    files: Vec<ContainerFile>,
    /// Docker before 25 allows two networks of one name; making them one at a time keeps names unique.
    network_turn: tokio::sync::Mutex<()>,
}

impl DockerEngine {
    /// Where Docker listens unless told otherwise.
    pub const DEFAULT_SOCKET: &'static str = "/var/run/docker.sock";

    /// An engine on the Docker that listens at `socket`. Does not connect yet, so it can be made before Docker runs.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>, installation: Installation) -> Self {
        Self {
            socket: socket.into(),
            installation,
            client: ArcSwapOption::empty(),
            restarts: Mutex::new(BTreeMap::new()),
            execs: Mutex::new(BTreeMap::new()),
            files: Vec::new(),
            network_turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The client with the agreed API version.
    async fn client(&self) -> Result<Arc<Docker>, EngineError> {
        if let Some(client) = self.client.load_full() {
            return Ok(client);
        }
        let client = Arc::new(self.negotiate().await?);
        self.client.store(Some(client.clone()));
        Ok(client)
    }

    /// Agrees on the API version anew at the next call, when Docker says that ours is not served any more:
    /// it was upgraded while we ran.
    fn renegotiate_after(&self, error: &EngineError) {
        if matches!(error, EngineError::Refused(words) if words.contains("client version")) {
            self.client.store(None);
        }
    }

    async fn negotiate(&self) -> Result<Docker, EngineError> {
        let path = self.socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, CALL_SECONDS, bollard::API_DEFAULT_VERSION)
            .map_err(|e| errors::engine(&e, &path))?;
        docker.negotiate_version().await.map_err(|e| errors::engine(&e, &path))
    }

    /// The same client with more time for calls that block on purpose.
    async fn patient_client(&self, extra_seconds: u64) -> Result<Docker, EngineError> {
        let client = Docker::clone(&*self.client().await?);
        Ok(client.with_timeout(Duration::from_secs(CALL_SECONDS + extra_seconds)))
    }

    async fn read_version(&self) -> Result<String, EngineError> {
        let answer = self.client().await?.version().await.map_err(|e| errors::engine(&e, "the version"))?;
        let api = answer.api_version.unwrap_or_default();
        Ok(format!("Docker {} (API {api})", answer.version.unwrap_or_default()))
    }

    /// The filter for everything of this installation.
    fn own_filter(&self) -> std::collections::HashMap<String, Vec<String>> {
        [("label".to_owned(), vec![self.installation.filter()])].into()
    }
}

/// A call that changes something in Docker.
fn changing<'a, T>(
    what: &'static str,
    call: impl Future<Output = Result<T, EngineError>> + Send + 'a,
) -> EngineFuture<'a, T> {
    Box::pin(async move {
        fail_point::reach(&format!("before {what}"));
        let result = call.await;
        fail_point::reach(&format!("after {what}"));
        result
    })
}

impl Engine for DockerEngine {
    fn version(&self) -> EngineFuture<'_, String> {
        Box::pin(self.read_version())
    }
    fn observe(&self) -> EngineFuture<'_, Vec<Observed>> {
        Box::pin(async { self.observe_containers().await.inspect_err(|e| self.renegotiate_after(e)) })
    }
    fn ensure_network<'a>(&'a self, name: &'a str, owner: &'a Owner) -> EngineFuture<'a, ()> {
        changing("a network is made", self.make_network(name, owner))
    }
    fn remove_network<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ()> {
        changing("a network is removed", self.delete_network(name))
    }
    fn networks(&self) -> EngineFuture<'_, Vec<String>> {
        Box::pin(self.list_networks())
    }
    fn volumes(&self, measured: bool) -> EngineFuture<'_, Vec<ObservedVolume>> {
        Box::pin(self.list_volumes(measured))
    }
    fn remove_volume<'a>(&'a self, volume: &'a VolumeKey) -> EngineFuture<'a, ()> {
        changing("a volume is removed", self.delete_volume(volume))
    }
    fn start<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, String> {
        changing("a container is started", self.start_container(spec))
    }
    fn restart<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        changing("a container is started again", self.restart_container(id))
    }
    fn stop<'a>(&'a self, id: &'a str, grace_seconds: u32) -> EngineFuture<'a, ()> {
        changing("a container is stopped", self.stop_container(id, grace_seconds))
    }
    fn remove<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        changing("a container is removed", self.remove_container(id))
    }
    fn wait<'a>(&'a self, id: &'a str) -> EngineFuture<'a, i64> {
        Box::pin(self.wait_for_exit(id))
    }
    fn logs<'a>(&'a self, id: &'a str, query: LogQuery) -> EngineFuture<'a, EngineStream<LogChunk>> {
        Box::pin(self.read_logs(id, query))
    }
    fn attach<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, (String, Attached)> {
        changing("a one-off container is started", self.attach_container(spec))
    }
    fn resize<'a>(&'a self, id: &'a str, columns: u16, rows: u16) -> EngineFuture<'a, ()> {
        Box::pin(self.resize_terminal(id, columns, rows))
    }
    fn exec<'a>(&'a self, id: &'a str, command: &'a [String], within: Duration) -> EngineFuture<'a, ExecEnd> {
        Box::pin(self.run_inside(id, command, within))
    }
    fn has_path<'a>(&'a self, id: &'a str, path: &'a str) -> EngineFuture<'a, bool> {
        Box::pin(self.path_is_there(id, path))
    }
    fn listening<'a>(&'a self, id: &'a str) -> EngineFuture<'a, Vec<std::net::SocketAddr>> {
        Box::pin(self.listening_sockets(id))
    }
    fn build(&self, request: BuildRequest) -> EngineFuture<'_, EngineStream<BuildEvent>> {
        changing("an image is built", self.start_build(request))
    }
    fn ensure_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts> {
        changing("an image is asked for", self.pull_if_missing(name))
    }
    fn inspect_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts> {
        Box::pin(self.image_facts(name))
    }
    fn import_image<'a>(&'a self, tag: &'a str, rootfs: Vec<u8>, entrypoint: Vec<String>) -> EngineFuture<'a, String> {
        changing("an image is imported", self.import_rootfs(tag, rootfs, entrypoint))
    }
    fn images(&self) -> EngineFuture<'_, Vec<ObservedImage>> {
        Box::pin(self.list_images())
    }
    fn remove_image<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        changing("an image is removed", self.delete_image(id))
    }
    fn prune_builds(&self) -> EngineFuture<'_, ()> {
        Box::pin(self.prune_build_cache())
    }
    fn changes(&self) -> EngineFuture<'_, EngineStream<()>> {
        Box::pin(self.change_hints())
    }
}
