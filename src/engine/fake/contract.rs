//! [`Engine`] on the fake world: the names of the contract, and the calls too small for a method of their own.

use super::FakeEngine;
use super::script::Call;
use crate::engine::{
    Attached, BuildEvent, BuildRequest, Engine, EngineFuture, EngineStream, ExecEnd, ImageFacts, InstanceSpec,
    LogChunk, LogQuery, Observed, ObservedImage, ObservedVolume, Owner, VolumeKey,
};

impl Engine for FakeEngine {
    fn version(&self) -> EngineFuture<'_, String> {
        Box::pin(self.answer_version())
    }
    fn observe(&self) -> EngineFuture<'_, Vec<Observed>> {
        Box::pin(self.observe_now())
    }
    fn ensure_network<'a>(&'a self, name: &'a str, owner: &'a Owner) -> EngineFuture<'a, ()> {
        Box::pin(self.add_network(name, owner))
    }
    fn remove_network<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ()> {
        Box::pin(self.delete_network(name))
    }
    fn networks(&self) -> EngineFuture<'_, Vec<String>> {
        Box::pin(async {
            let entered = self.enter(Call::Network).await?;
            entered.leave_list(self.world().networks.keys().cloned().collect())
        })
    }
    fn volumes(&self, _measured: bool) -> EngineFuture<'_, Vec<ObservedVolume>> {
        Box::pin(async {
            let entered = self.enter(Call::Volume).await?;
            entered.leave_list(self.world().observed_volumes())
        })
    }
    fn remove_volume<'a>(&'a self, volume: &'a VolumeKey) -> EngineFuture<'a, ()> {
        Box::pin(async {
            let entered = self.enter(Call::Volume).await?;
            self.world().remove_volume(volume)?;
            entered.leave(())
        })
    }
    fn start<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, String> {
        Box::pin(self.start_spec(spec))
    }
    fn restart<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        Box::pin(self.restart_id(id))
    }
    fn stop<'a>(&'a self, id: &'a str, grace_seconds: u32) -> EngineFuture<'a, ()> {
        Box::pin(self.stop_id(id, grace_seconds))
    }
    fn remove<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        Box::pin(self.remove_id(id))
    }
    fn wait<'a>(&'a self, id: &'a str) -> EngineFuture<'a, i64> {
        Box::pin(self.wait_id(id))
    }
    fn logs<'a>(&'a self, id: &'a str, query: LogQuery) -> EngineFuture<'a, EngineStream<LogChunk>> {
        Box::pin(self.logs_of(id, query))
    }
    fn attach<'a>(&'a self, spec: &'a InstanceSpec) -> EngineFuture<'a, (String, Attached)> {
        Box::pin(self.attach_spec(spec))
    }
    fn resize<'a>(&'a self, id: &'a str, _columns: u16, _rows: u16) -> EngineFuture<'a, ()> {
        Box::pin(async { self.world().own(id).map(|_| ()) })
    }
    fn exec<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        _within: std::time::Duration,
    ) -> EngineFuture<'a, ExecEnd> {
        Box::pin(async {
            let entered = self.enter(Call::Exec).await?;
            let end = self.present().0.exec(id, command)?;
            entered.leave(end)
        })
    }
    fn has_path<'a>(&'a self, id: &'a str, path: &'a str) -> EngineFuture<'a, bool> {
        Box::pin(async {
            let entered = self.enter(Call::Exec).await?;
            let found = self.present().0.has_path(id, path)?;
            entered.leave(found)
        })
    }
    fn listening<'a>(&'a self, id: &'a str) -> EngineFuture<'a, Vec<std::net::SocketAddr>> {
        Box::pin(self.listening_of(id))
    }
    fn build(&self, request: BuildRequest) -> EngineFuture<'_, EngineStream<BuildEvent>> {
        Box::pin(self.build_image(request))
    }
    fn ensure_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts> {
        Box::pin(self.pull(name))
    }
    fn inspect_image<'a>(&'a self, name: &'a str) -> EngineFuture<'a, ImageFacts> {
        Box::pin(self.facts_of(name))
    }
    fn import_image<'a>(&'a self, tag: &'a str, _: Vec<u8>, _: Vec<String>) -> EngineFuture<'a, String> {
        Box::pin(async {
            let entered = self.enter(Call::Image).await?;
            entered.leave(self.add_own_image(tag, None))
        })
    }
    fn images(&self) -> EngineFuture<'_, Vec<ObservedImage>> {
        Box::pin(async {
            let entered = self.enter(Call::Image).await?;
            entered.leave_list(self.world().observed_images())
        })
    }
    fn remove_image<'a>(&'a self, id: &'a str) -> EngineFuture<'a, ()> {
        Box::pin(self.delete_image(id))
    }
    fn prune_builds(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.enter(Call::Build).await.map(|_| ()) })
    }
    fn changes(&self) -> EngineFuture<'_, EngineStream<()>> {
        Box::pin(self.hints())
    }
}
