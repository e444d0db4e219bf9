//! Where containers run. [`Engine`] is the thin edge between the planner's decisions and the world:
//! it makes no choices, it does what one action says and tells what it sees.
//!
//! Invariants: every object made carries Wharf's labels and nothing without them is ever touched; every call is
//! idempotent (starting what runs, stopping what is gone: both succeed); container specifications are emitted
//! from scratch out of closed types, with the security defaults on.
//!
//! To add one more engine: implement [`Engine`] in a file of its own and run `conformance.rs` on it.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod conformance_data;
pub mod docker;
pub mod fake;
pub mod spec;

pub use spec::*;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future, so that the trait can be used as an object.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// A container engine. All calls are idempotent and bounded in time.
pub trait Engine: Send + Sync {
    /// Version of the engine, for people; an error when it does not answer.
    fn version(&self) -> EngineFuture<'_, String>;
    /// All containers with Wharf's labels of this installation, in a stable order.
    fn observe(&self) -> EngineFuture<'_, Vec<Observed>>;
    /// Makes the project's network if it is not there.
    fn ensure_network<'a>(&'a self, name: &'a str, owner: &'a Owner) -> EngineFuture<'a, ()>;
    /// Removes the network if it is there and nothing uses it.
    fn remove_network<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ()>;
    /// All networks of this installation.
    fn networks(&self) -> EngineFuture<'_, Vec<String>>;
    /// All volumes of this installation, in a stable order. `measured` asks for their sizes, which may take long.
    fn volumes(&self, measured: bool) -> EngineFuture<'_, Vec<ObservedVolume>>;
    /// Removes a volume with all that is in it, if it is there. One that a container has is refused.
    fn remove_volume<'a>(&'a self, volume: &'a VolumeKey) -> EngineFuture<'a, ()>;
    /// Creates the container (and its volumes) if it is not there, and starts it if it does not run; gives the engine's id.
    fn start<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, String>;
    /// Starts a container again that has exited.
    fn restart<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()>;
    /// Stops it politely, then by force after the grace period; returns when it has ended.
    fn stop<'a>(&'a self, id: &'a str, grace_seconds: u32) -> EngineFuture<'a, ()>;
    /// Removes it, by force if it runs.
    fn remove<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()>;
    /// Waits until it ends; gives its exit code.
    fn wait<'a>(&'a self, id: &'a str) -> EngineFuture<'a, i64>;
    /// Its output.
    fn logs<'a>(&'a self, id: &'a str, query: LogQuery) -> EngineFuture<'a, EngineStream<LogChunk>>;
    /// Creates and starts a one-off container and attaches to its terminal or pipes.
    fn attach<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, (String, Attached)>;
    /// Tells the terminal's size.
    fn resize<'a>(&'a self, id: &'a str, columns: u16, rows: u16) -> EngineFuture<'a, ()>;
    /// Runs a command inside a running container, as its user and in its environment. While an earlier one of the same
    /// container still runs, none is begun and [`ExecEnd::StillRunning`] is the answer.
    fn exec<'a>(&'a self, id: &'a str, command: &'a [String], within: Duration) -> EngineFuture<'a, ExecEnd>;
    /// Whether there is a file or folder of this absolute path in a container, running or not.
    fn has_path<'a>(&'a self, id: &'a str, path: &'a str) -> EngineFuture<'a, bool>;
    /// The TCP sockets it listens on, as `address:port` seen inside its network namespace.
    fn listening<'a>(&'a self, id: &'a str) -> EngineFuture<'a, Vec<std::net::SocketAddr>>;
    /// Builds an image; the stream ends after [`BuildEvent::Built`] or with an error. Dropping it stops the build.
    fn build(&self, request: BuildRequest) -> EngineFuture<'_, EngineStream<BuildEvent>>;
    /// Pulls an image unless it is there already; gives what it says about itself.
    fn ensure_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts>;
    /// What a local image says about itself, by name or content id.
    fn inspect_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts>;
    /// Loads an image from a tar of its root file system and gives it a name (used for the static server's base).
    fn import_image<'a>(&'a self, tag: &'a str, rootfs: Vec<u8>, entrypoint: Vec<String>) -> EngineFuture<'a, String>;
    /// All images with Wharf's labels of this installation.
    fn images(&self) -> EngineFuture<'_, Vec<ObservedImage>>;
    /// Removes an image of Wharf's by content id; one that is in use stays, and that is no error.
    fn remove_image<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()>;
    /// Removes leftovers of builds that were cut off.
    fn prune_builds(&self) -> EngineFuture<'_, ()>;
    /// A stream that yields whenever something about Wharf's containers changes; a hint only, never data.
    fn changes(&self) -> EngineFuture<'_, EngineStream<()>>;
}
