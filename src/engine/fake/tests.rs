//! The conformance suite on the fake engine, and its scripts and faults.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use super::{BuildScript, Call, End, FakeEngine, Fault, Listens, Pull, Script};
use crate::engine::conformance::{self, Program, Subject};
use crate::engine::{
    BuildEvent, BuildRequest, ContainerState, Engine, EngineError, EngineFuture, ImageFacts, InstanceSpec, LogQuery,
    OutputStream, Owner,
};
use crate::kernel::clock::{Clock, Timestamp};

struct Lab {
    engine: Arc<FakeEngine>,
    clock: Clock,
    image: String,
}

impl Lab {
    fn new() -> Self {
        let clock = Clock::fake(Timestamp(1_000_000));
        let engine = Arc::new(FakeEngine::new(clock.clone()));
        let image = engine.add_image("app:1", ImageFacts::default());
        Self { engine, clock, image }
    }

    /// A service that is up and running on a network of its own.
    async fn ready(&self) -> InstanceSpec {
        let owner = conformance::owner();
        self.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        InstanceSpec { command: None, ..conformance::spec(self, &owner, "web", Program::Forever) }
    }

    async fn state(&self) -> ContainerState {
        self.engine.observe().await.unwrap()[0].state.clone()
    }
}

impl Subject for Lab {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    fn command(&self, service: &str, program: Program) -> Vec<String> {
        let good = Script::default();
        let script = match program {
            Program::Forever => good,
            Program::Stubborn => Script { ignores_stop: true, ..good }.printing(0, OutputStream::Stdout, "armed"),
            Program::PrintsAndFails => Script::exits(30, 3)
                .printing(5, OutputStream::Stdout, "one")
                .printing(10, OutputStream::Stdout, "two")
                .printing(15, OutputStream::Stderr, "three"),
            Program::Ends => Script::exits(0, 0),
            Program::EatsMemory => Script::runs_out_of_memory(20),
            Program::Echoes => Script { echoes: true, ..good },
            Program::ListensOnLoopback => {
                let address = "127.0.0.1:3000".parse().unwrap();
                Script { listens: Listens::At { after_ms: 20, address }, ..good }
            }
        };
        self.engine.script(service, [script]);
        vec![format!("{program:?}")]
    }

    fn foreign_container<'a>(&'a self, owner: &'a Owner) -> EngineFuture<'a, String> {
        Box::pin(async { Ok(self.engine.add_foreign(&conformance::spec(self, owner, "foreign", Program::Forever))) })
    }
}

#[tokio::test]
async fn conformance_of_the_fake() {
    let lab = Lab::new();
    let clock = lab.clock.clone();
    let _time_goes_on = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            clock.advance_ms(10);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }));
    conformance::run(&lab).await;
}

#[tokio::test]
async fn it_moves_only_with_its_clock() {
    let lab = Lab::new();
    lab.engine.script("web", [Script::exits(3_000, 7)]);
    let spec = lab.ready().await;
    lab.engine.script("web", [Script::exits(3_000, 7)]);
    lab.engine.start(&spec).await.unwrap();
    lab.clock.advance_ms(2_999);
    assert!(matches!(lab.state().await, ContainerState::Running { .. }));
    lab.clock.advance_ms(60_000);
    let expected = ContainerState::Exited { code: 7, oom_killed: false, finished_at: Timestamp(1_003_000) };
    assert_eq!(lab.state().await, expected, "it ended when it was due, not when it was looked at");
}

#[tokio::test]
async fn scripts_follow_each_other_and_the_last_one_stays() {
    let lab = Lab::new();
    let spec = lab.ready().await;
    lab.engine.script("web", [Script::start_fails("no luck"), Script::never_listens()]);
    assert!(matches!(lab.engine.start(&spec).await, Err(EngineError::StartFailed(w)) if w == "no luck"));
    for _ in 0..2 {
        let id = lab.engine.start(&spec).await.unwrap();
        assert_eq!(lab.engine.listening(&id).await.unwrap(), []);
        lab.engine.remove(&id).await.unwrap();
    }
}

#[tokio::test]
async fn it_can_lie() {
    let lab = Lab::new();
    let spec = lab.ready().await;
    let end = End { after_ms: 10, code: 1, oom_killed: false };
    lab.engine.script("web", [Script { ends: Some(end), lies: true, ..Script::default() }]);
    let id = lab.engine.start(&spec).await.unwrap();
    lab.clock.advance_ms(10);
    assert!(matches!(lab.state().await, ContainerState::Running { .. }));
    assert_eq!(lab.engine.wait(&id).await.unwrap(), 1);
}

#[tokio::test]
async fn faults_hit_the_calls_they_are_put_on() {
    let lab = Lab::new();
    let spec = lab.ready().await;
    lab.engine.fail_next(Call::Start, Fault::Unreachable);
    lab.engine.fail_next(Call::Start, Fault::AnswerLost);
    assert!(matches!(lab.engine.start(&spec).await, Err(EngineError::Unreachable(_))));
    assert_eq!(lab.engine.count(), 0);
    assert!(matches!(lab.engine.start(&spec).await, Err(EngineError::Unreachable(_))));
    assert_eq!(lab.engine.count(), 1, "the work was done, only the answer was lost");
    lab.engine.start(&spec).await.unwrap();
    assert_eq!(lab.engine.count(), 1);
    lab.engine.fail_always(Call::Observe, Fault::Empty);
    assert_eq!(lab.engine.observe().await.unwrap(), []);
    assert_eq!(lab.engine.observe().await.unwrap(), []);
    lab.engine.heal();
    assert_eq!(lab.engine.observe().await.unwrap().len(), 1);
    lab.engine.fail_next(Call::Stop, Fault::Refused("error 500".to_owned()));
    assert!(matches!(lab.engine.stop("x", 1).await, Err(EngineError::Refused(_))));
}

#[tokio::test]
async fn a_slow_pull_takes_its_time() {
    let lab = Lab::new();
    let facts = ImageFacts { exposed_ports: vec![80], ..ImageFacts::default() };
    lab.engine.add_remote_image("far:1", facts.clone(), Pull { takes_ms: 5_000, fails: None });
    lab.engine.add_remote_image("broken:1", facts, Pull { takes_ms: 0, fails: Some("no route".to_owned()) });
    let mut pull = lab.engine.ensure_image("far:1");
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut pull).await.is_err());
    lab.clock.advance_ms(5_000);
    assert_eq!(pull.await.unwrap().exposed_ports, [80]);
    assert!(matches!(lab.engine.ensure_image("broken:1").await, Err(EngineError::ImageMissing { .. })));
    assert!(matches!(lab.engine.ensure_image("none:1").await, Err(EngineError::ImageMissing { .. })));
}

fn build_request() -> BuildRequest {
    BuildRequest {
        owner: conformance::owner(),
        operation: crate::kernel::id::OperationId::new(Timestamp(1), &crate::kernel::random::Random::seeded(1)),
        context: futures_util::stream::empty().boxed(),
        dockerfile: "Dockerfile".to_owned(),
        tag: "built:1".to_owned(),
        build_args: Default::default(),
        target: None,
        labels: Default::default(),
        pull: false,
        extra_hosts: Vec::new(),
        secrets: Default::default(),
        no_cache: false,
        memory_mib: 1,
        cpu_millis: 1,
        disk_mib: 1,
        deadline_seconds: 60,
    }
}

#[tokio::test]
async fn builds_go_as_scripted() {
    let lab = Lab::new();
    let output = BuildEvent::Output("hello".to_owned());
    let failing = BuildScript { events: vec![output.clone()], step_takes_ms: 0, fails: Some("exit 1".to_owned()) };
    let endless = BuildScript { events: vec![output.clone()], step_takes_ms: 61_000, fails: None };
    lab.engine.script_builds([failing, endless]);
    let events: Vec<_> = lab.engine.build(build_request()).await.unwrap().collect().await;
    assert!(matches!(&events[..], [Ok(o), Err(EngineError::BuildFailed(_))] if *o == output), "{events:?}");
    let mut late = lab.engine.build(build_request()).await.unwrap();
    lab.clock.advance_ms(60_000);
    assert!(matches!(late.next().await, Some(Err(EngineError::TimedOut { seconds: 60, .. }))));
    let events: Vec<_> = lab.engine.build(build_request()).await.unwrap().map(Result::unwrap).collect().await;
    let Some(BuildEvent::Built(id)) = events.last() else { panic!("{events:?}") };
    assert_eq!(lab.engine.images().await.unwrap()[0].id, *id);
    assert!(lab.engine.inspect_image("built:1").await.is_ok());
}

#[tokio::test]
async fn logs_keep_to_tail_and_time() {
    let lab = Lab::new();
    let spec = lab.ready().await;
    let script = (0..3).fold(Script::default(), |s, i| s.printing(i * 100, OutputStream::Stdout, &format!("line {i}")));
    lab.engine.script("web", [script]);
    let id = lab.engine.start(&spec).await.unwrap();
    lab.clock.advance_ms(150);
    let lines =
        |query| async { lab.engine.logs(&id, query).await.unwrap().map(|l| l.unwrap().line).collect::<Vec<_>>().await };
    assert_eq!(lines(LogQuery::default()).await, ["line 0", "line 1"]);
    assert_eq!(lines(LogQuery { tail: Some(1), ..Default::default() }).await, ["line 1"]);
    assert_eq!(lines(LogQuery { since: Some(Timestamp(1_000_050)), ..Default::default() }).await, ["line 1"]);
}
