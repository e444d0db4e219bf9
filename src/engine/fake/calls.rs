//! What the calls of the contract do to the fake world.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::script::{BuildScript, Call, Fault};
use super::world::{Container, Image};
use super::{FakeEngine, LOOK};
use crate::engine::{
    Attached, BuildEvent, BuildRequest, EngineError, EngineStream, ImageFacts, InstanceSpec, LogChunk, LogQuery,
    Observed, OutputStream, Owner,
};

/// Bytes that may wait in a fake terminal.
const PIPE_BYTES: usize = 64 * 1024;

impl FakeEngine {
    pub(super) async fn observe_now(&self) -> Result<Vec<Observed>, EngineError> {
        let entered = self.enter(Call::Observe).await?;
        entered.leave_list(self.present().0.observed())
    }

    pub(super) async fn start_spec(&self, spec: &InstanceSpec) -> Result<String, EngineError> {
        let entered = self.enter(Call::Start).await?;
        let (id, existed) = self.present().0.create(spec)?;
        let skip = {
            let (mut world, _) = self.present();
            let container = world.own(&id)?;
            let runs = matches!(container.state, crate::engine::ContainerState::Running { .. });
            runs || (existed && container.is_done())
        };
        if !skip {
            self.start_id(&id).await?;
        }
        entered.leave(id)
    }

    async fn start_id(&self, id: &str) -> Result<(), EngineError> {
        let takes = self.present().0.prepare_start(id)?;
        self.until(self.clock.now().plus_ms(takes)).await;
        let (mut world, now) = self.present();
        world.start(id, now)?;
        drop(world);
        self.hint();
        Ok(())
    }

    pub(super) async fn restart_id(&self, id: &str) -> Result<(), EngineError> {
        let entered = self.enter(Call::Restart).await?;
        let ended = self.present().0.own(id)?.exit_code().is_some();
        if ended {
            self.start_id(id).await?;
            self.present().0.own(id)?.restarts += 1;
        }
        entered.leave(())
    }

    pub(super) async fn stop_id(&self, id: &str, grace_seconds: u32) -> Result<(), EngineError> {
        let entered = self.enter(Call::Stop).await?;
        let stubborn = match self.present().0.own(id) {
            Ok(container) => container.script.ignores_stop && container.exit_code().is_none(),
            Err(EngineError::NotFound(_)) => return entered.leave(()),
            Err(e) => return Err(e),
        };
        if stubborn {
            self.until(self.clock.now().plus_secs(grace_seconds.into())).await;
        }
        let (mut world, now) = self.present();
        if let Ok(container) = world.own(id) {
            container.end(if stubborn { 137 } else { 143 }, now);
        }
        drop(world);
        self.hint();
        entered.leave(())
    }

    pub(super) async fn remove_id(&self, id: &str) -> Result<(), EngineError> {
        let entered = self.enter(Call::Remove).await?;
        {
            let (mut world, _) = self.present();
            match world.own(id) {
                Ok(_) => world.containers.remove(id),
                Err(EngineError::NotFound(_)) => return entered.leave(()),
                Err(e) => return Err(e),
            };
        }
        self.hint();
        entered.leave(())
    }

    pub(super) async fn wait_id(&self, id: &str) -> Result<i64, EngineError> {
        let entered = self.enter(Call::Wait).await?;
        loop {
            if let Some(code) = self.present().0.own(id)?.exit_code() {
                return entered.leave(code);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn logs_of(&self, id: &str, query: LogQuery) -> Result<EngineStream<LogChunk>, EngineError> {
        self.enter(Call::Logs).await?;
        let (first, ended) = {
            let (mut world, _) = self.present();
            let container = world.own(id)?;
            (container.output.clone(), container.exit_code().is_some())
        };
        let seen = first.len();
        let skip = query.tail.map_or(0, |n| seen.saturating_sub(n as usize));
        let not_before = query.since.unwrap_or_default();
        let head = futures_util::stream::iter(first.into_iter().skip(skip).map(Ok));
        let head = head.filter(move |c| std::future::ready(!matches!(c, Ok(c) if c.at < not_before)));
        if !query.follow || ended {
            return Ok(head.boxed());
        }
        let source = self.clone();
        let id = id.to_owned();
        let rest = futures_util::stream::unfold((source, id, seen), |(source, id, seen)| async move {
            loop {
                let next = {
                    let (mut world, _) = source.present();
                    let container = world.own(&id).ok()?;
                    match container.output.get(seen) {
                        Some(chunk) => Some(chunk.clone()),
                        None if container.exit_code().is_some() => return None,
                        None => None,
                    }
                };
                if let Some(chunk) = next {
                    return Some((Ok(chunk), (source, id, seen + 1)));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(head.chain(rest).boxed())
    }

    pub(super) async fn attach_spec(&self, spec: &InstanceSpec) -> Result<(String, Attached), EngineError> {
        let entered = self.enter(Call::Start).await?;
        let (id, existed) = self.present().0.create(spec)?;
        if existed {
            return Err(EngineError::Refused("the one-off container exists already".to_owned()));
        }
        if let Err(e) = self.start_id(&id).await {
            self.world().containers.remove(&id);
            return Err(e);
        }
        let echoes = self.present().0.own(&id)?.script.echoes;
        if !echoes {
            let follow = LogQuery { follow: true, ..LogQuery::default() };
            let lines = self.logs_of(&id, follow).await?;
            let output = lines.map(|line| line.map(|l| (l.stream, Bytes::from(l.line + "\n")))).boxed();
            return entered.leave((id, Attached { output, input: Box::pin(tokio::io::sink()) }));
        }
        let (inside, input) = tokio::io::simplex(PIPE_BYTES);
        let answers = FramedRead::new(inside, LinesCodec::new()).map(|line| match line {
            Ok(line) => Ok((OutputStream::Stdout, Bytes::from(format!("got {line}\n")))),
            Err(e) => Err(EngineError::Unreachable(e.to_string())),
        });
        let (source, ending) = (self.clone(), id.clone());
        let end = futures_util::stream::once(async move {
            let (mut world, now) = source.present();
            if let Ok(container) = world.own(&ending) {
                container.end(0, now);
            }
        });
        let output = answers.chain(end.filter_map(|()| std::future::ready(None))).boxed();
        entered.leave((id, Attached { output, input: Box::pin(input) }))
    }

    pub(super) async fn listening_of(&self, id: &str) -> Result<Vec<std::net::SocketAddr>, EngineError> {
        let entered = self.enter(Call::Listening).await?;
        let (mut world, now) = self.present();
        let container: &Container = world.own(id)?;
        if container.exit_code().is_some() {
            return Err(EngineError::NotFound(format!("the running process of the container {id}")));
        }
        entered.leave(container.listening(now))
    }

    pub(super) async fn pull(&self, name: &str) -> Result<ImageFacts, EngineError> {
        let entered = self.enter(Call::Image).await?;
        if let Some(image) = self.world().image(name) {
            return entered.leave(image.facts.clone());
        }
        let missing = |reason: &str| EngineError::ImageMissing { image: name.to_owned(), reason: reason.to_owned() };
        let offer = self.world().pulls.get(name).cloned();
        let Some((pull, facts)) = offer else { return Err(missing("the registry has no such image")) };
        self.until(self.clock.now().plus_ms(pull.takes_ms)).await;
        if let Some(reason) = pull.fails {
            return Err(missing(&reason));
        }
        let image = Image {
            facts: facts.clone(),
            tags: vec![name.to_owned()],
            own: false,
            owner: None,
            created_at: self.clock.now(),
        };
        self.world().add_image(name, image);
        entered.leave(facts)
    }

    pub(super) async fn build_image(&self, request: BuildRequest) -> Result<EngineStream<BuildEvent>, EngineError> {
        let entered = self.enter(Call::Build).await?;
        let script = self.world().builds.pop_front().unwrap_or_default();
        let source = self.clone();
        let deadline = self.clock.now().plus_secs(request.deadline_seconds.into());
        let state = (source, script, request, deadline, 0);
        let events = futures_util::stream::unfold(Some(state), |state| async move {
            let (source, script, request, deadline, step) = state?;
            let due = source.clock.now().plus_ms(script.step_takes_ms);
            if due > deadline {
                source.until(deadline).await;
                let seconds = request.deadline_seconds.into();
                return Some((Err(EngineError::TimedOut { what: "the build".to_owned(), seconds }), None));
            }
            source.until(due).await;
            match script.events.get(step).cloned() {
                Some(event) => Some((Ok(event), Some((source, script, request, deadline, step + 1)))),
                None => Some((source.finish_build(&script, request), None)),
            }
        });
        entered.leave(events.boxed())
    }

    fn finish_build(&self, script: &BuildScript, request: BuildRequest) -> Result<BuildEvent, EngineError> {
        if let Some(words) = &script.fails {
            return Err(EngineError::BuildFailed(words.clone()));
        }
        let id = self.add_own_image(&request.tag, Some(request.owner));
        Ok(BuildEvent::Built(id))
    }

    pub(super) fn add_own_image(&self, tag: &str, owner: Option<Owner>) -> String {
        let created_at = self.clock.now();
        let mut world = self.world();
        let id = world.fresh_image_id();
        let facts = ImageFacts { id: id.clone(), ..ImageFacts::default() };
        world.add_image(tag, Image { facts, tags: vec![tag.to_owned()], own: true, owner, created_at });
        id
    }

    pub(super) async fn delete_image(&self, id: &str) -> Result<(), EngineError> {
        let entered = self.enter(Call::Image).await?;
        let mut world = self.world();
        let in_use = world.containers.values().any(|c| c.spec.image == id);
        match world.images.get(id) {
            Some(image) if !image.own => {
                return Err(EngineError::Refused(format!("the image {id} is not one of this Wharf's")));
            }
            Some(_) if !in_use => drop(world.images.remove(id)),
            _ => {}
        }
        drop(world);
        entered.leave(())
    }
}

impl FakeEngine {
    pub(super) async fn add_network(&self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        let entered = self.enter(Call::Network).await?;
        self.world().networks.entry(name.to_owned()).or_insert_with(|| owner.clone());
        entered.leave(())
    }

    pub(super) async fn delete_network(&self, name: &str) -> Result<(), EngineError> {
        let entered = self.enter(Call::Network).await?;
        let (mut world, _) = self.present();
        if !world.network_in_use(name) {
            world.networks.remove(name);
        }
        drop(world);
        entered.leave(())
    }

    pub(super) async fn hints(&self) -> Result<EngineStream<()>, EngineError> {
        self.enter(Call::Changes).await?;
        let hints = BroadcastStream::new(self.hints.subscribe());
        // A listener that missed some hints gets one for all of them.
        Ok(hints.map(|_| Ok(())).boxed())
    }

    pub(super) async fn facts_of(&self, name: &str) -> Result<ImageFacts, EngineError> {
        let entered = self.enter(Call::Image).await?;
        let facts = self.world().image(name).map(|image| image.facts.clone());
        entered.leave(facts.ok_or_else(|| EngineError::NotFound(format!("the image {name}")))?)
    }

    pub(super) async fn answer_version(&self) -> Result<String, EngineError> {
        match self.world().lasting_faults.get(&Call::Observe) {
            Some(Fault::Unreachable) => Err(super::unreachable()),
            _ => Ok("fake engine".to_owned()),
        }
    }
}
