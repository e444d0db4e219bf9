//! What every engine must do, written once and run on each. A [`Subject`] is an engine with the means to make
//! containers behave; every check starts from an engine that has nothing and leaves what it likes: the caller clears.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::{
    ContainerState, Engine, EngineError, InstanceKey, InstanceSpec, LogChunk, LogQuery, Observed, OutputStream, Owner,
    Role, conformance_data as data,
};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::id::{EnvironmentId, OperationId, ProjectId, TenantId};
use crate::kernel::random::Random;
use crate::stack::Limits;
use crate::stack::model::Container;

/// How long anything may take before a check fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a container of a check does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program {
    /// Runs until it is stopped, ends at once when asked to.
    Forever,
    /// Runs until it is stopped and does not listen to polite requests.
    Stubborn,
    /// Prints `one`, `two` to stdout, `three` to stderr, then ends with 3.
    PrintsAndFails,
    /// Ends with 0 at once.
    Ends,
    /// Uses more memory than it may.
    EatsMemory,
    /// Repeats its input line by line as `got <line>`, ends with 0 at the end of input.
    Echoes,
    /// Listens on 127.0.0.1:3000.
    ListensOnLoopback,
}

/// An engine under test.
pub(super) trait Subject: Send + Sync {
    fn engine(&self) -> Arc<dyn Engine>;
    /// The image all programs run in, by content id.
    fn image(&self) -> String;
    /// The command that makes a container of this service behave so.
    fn command(&self, service: &str, program: Program) -> Vec<String>;
    /// Makes a container that is not of this installation; gives its id.
    fn foreign_container<'a>(&'a self, owner: &'a Owner) -> super::EngineFuture<'a, String>;
}

/// The owner of all that one check makes.
pub(super) fn owner() -> Owner {
    let (clock, random) = (Clock::system(), Random::system());
    Owner {
        tenant: TenantId::new(clock.now(), &random),
        project: ProjectId::new(clock.now(), &random),
        environment: EnvironmentId::new(clock.now(), &random),
    }
}

pub(super) fn network_of(owner: &Owner) -> String {
    format!("wharf-test-{}", owner.project)
}

pub(super) fn spec(subject: &dyn Subject, owner: &Owner, service: &str, program: Program) -> InstanceSpec {
    InstanceSpec {
        key: InstanceKey {
            environment: owner.environment.clone(),
            service: service.parse().unwrap(),
            revision: 7,
            generation: 2,
            slot: 1,
        },
        owner: owner.clone(),
        role: Role::Instance,
        image: subject.image(),
        entrypoint: Some(vec![]),
        command: Some(subject.command(service, program)),
        environment: BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]),
        limits: Limits { cpu_millis: 500, memory_mib: 64, pids: 64 },
        container: Container::default(),
        mounts: Vec::new(),
        files: Vec::new(),
        stop_grace_seconds: 5,
        network: network_of(owner),
        aliases: vec![service.to_owned()],
        hostname: format!("{service}-1"),
        tty: false,
        operation: None,
    }
}

pub(super) fn task(subject: &dyn Subject, owner: &Owner, service: &str, program: Program) -> InstanceSpec {
    let operation = OperationId::new(Clock::system().now(), &Random::system());
    InstanceSpec { role: Role::Task, operation: Some(operation), ..spec(subject, owner, service, program) }
}

/// All checks, in one run on one engine.
pub(super) async fn run(subject: &dyn Subject) {
    let engine = subject.engine();
    assert!(!engine.version().await.unwrap().is_empty());
    for (name, check) in checks() {
        eprintln!("conformance: {name}");
        let owner = owner();
        engine.ensure_network(&network_of(&owner), &owner).await.unwrap();
        tokio::time::timeout(PATIENCE, check(subject, owner)).await.unwrap_or_else(|_| panic!("{name} took too long"));
    }
}

type Check = for<'a> fn(&'a dyn Subject, Owner) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn checks() -> Vec<(&'static str, Check)> {
    vec![
        ("start, observe, stop, remove", |s, o| Box::pin(life_of_an_instance(s, o))),
        ("a stubborn process is killed", |s, o| Box::pin(stubborn_process_is_killed(s, o))),
        ("a crash between create and start", |s, o| Box::pin(restart_in_place(s, o))),
        ("exit codes and waiting", |s, o| Box::pin(exit_codes_and_wait(s, o))),
        ("a task runs once", |s, o| Box::pin(task_runs_once(s, o))),
        ("out of memory", |s, o| Box::pin(out_of_memory(s, o))),
        ("logs", |s, o| Box::pin(logs(s, o))),
        ("logs that follow", |s, o| Box::pin(logs_follow(s, o))),
        ("attach", |s, o| Box::pin(attach(s, o))),
        ("listening sockets", |s, o| Box::pin(listening(s, o))),
        ("networks", |s, o| Box::pin(networks(s, o))),
        ("volumes", |s, o| Box::pin(data::volumes(s, o))),
        ("commands inside", |s, o| Box::pin(data::exec(s, o))),
        ("paths", |s, o| Box::pin(data::paths(s, o))),
        ("images", |s, o| Box::pin(images(s, o))),
        ("foreign containers", |s, o| Box::pin(foreign(s, o))),
        ("change hints", |s, o| Box::pin(changes(s, o))),
        ("what does not exist", |s, o| Box::pin(nothing_there(s, o))),
    ]
}

async fn of_owner(engine: &dyn Engine, owner: &Owner) -> Vec<Observed> {
    engine.observe().await.unwrap().into_iter().filter(|o| o.owner == *owner).collect()
}

/// Polls until the container is in a state that satisfies the condition.
async fn eventually(engine: &dyn Engine, id: &str, condition: impl Fn(&ContainerState) -> bool) -> Observed {
    let mut last = None;
    let polled = tokio::time::timeout(PATIENCE, async {
        loop {
            last = engine.observe().await.unwrap().into_iter().find(|o| o.id == id);
            if let Some(found) = last.as_ref().filter(|o| condition(&o.state)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    polled.unwrap_or_else(|_| panic!("the state did not come; last seen: {last:?}"))
}

fn exited(state: &ContainerState) -> bool {
    matches!(state, ContainerState::Exited { .. })
}

async fn life_of_an_instance(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let spec = spec(subject, &owner, "web", Program::Forever);
    let id = engine.start(&spec).await.unwrap();
    assert_eq!(engine.start(&spec).await.unwrap(), id, "starting what runs gives the same container");
    let seen = of_owner(&*engine, &owner).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    let one = &seen[0];
    assert_eq!((&one.id, &one.key, one.role, &one.operation), (&id, &spec.key, Role::Instance, &None));
    assert_eq!((one.image.as_str(), one.restarts), (spec.image.as_str(), 0));
    let ContainerState::Running { started_at } = one.state else { panic!("{one:?}") };
    assert!(started_at > Timestamp(0));
    assert!(one.address.is_some_and(|a| a.is_ipv4()), "{one:?}");
    engine.stop(&id, 5).await.unwrap();
    let stopped = eventually(&*engine, &id, exited).await;
    assert_eq!(stopped.address, None);
    engine.stop(&id, 5).await.unwrap();
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    engine.stop(&id, 5).await.unwrap();
    assert_eq!(of_owner(&*engine, &owner).await, []);
}

async fn stubborn_process_is_killed(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = engine.start(&spec(subject, &owner, "stubborn", Program::Stubborn)).await.unwrap();
    // Before it says so, a polite signal still ends it.
    while read_logs(&*engine, &id, LogQuery::default()).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.stop(&id, 1).await.unwrap();
    let seen = eventually(&*engine, &id, exited).await;
    assert!(matches!(seen.state, ContainerState::Exited { code: 137, oom_killed: false, .. }), "{seen:?}");
}

async fn restart_in_place(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let spec = spec(subject, &owner, "again", Program::Forever);
    let id = engine.start(&spec).await.unwrap();
    engine.stop(&id, 1).await.unwrap();
    engine.restart(&id).await.unwrap();
    let seen = eventually(&*engine, &id, |s| matches!(s, ContainerState::Running { .. })).await;
    assert_eq!(seen.restarts, 1);
    engine.restart(&id).await.unwrap();
    assert_eq!(of_owner(&*engine, &owner).await[0].restarts, 1, "what runs is not started again");
    engine.stop(&id, 1).await.unwrap();
    assert_eq!(engine.start(&spec).await.unwrap(), id, "a stopped instance of the same key is started, not doubled");
    eventually(&*engine, &id, |s| matches!(s, ContainerState::Running { .. })).await;
}

async fn exit_codes_and_wait(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let failing = engine.start(&spec(subject, &owner, "fails", Program::PrintsAndFails)).await.unwrap();
    assert_eq!(engine.wait(&failing).await.unwrap(), 3);
    assert_eq!(engine.wait(&failing).await.unwrap(), 3, "waiting for what has ended gives its code");
    let seen = eventually(&*engine, &failing, exited).await;
    let ContainerState::Exited { code, oom_killed, finished_at } = seen.state else { panic!("{seen:?}") };
    assert_eq!((code, oom_killed), (3, false));
    assert!(finished_at > Timestamp(0));
    let ending = engine.start(&spec(subject, &owner, "ends", Program::Ends)).await.unwrap();
    assert_eq!(engine.wait(&ending).await.unwrap(), 0);
}

async fn task_runs_once(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let spec = task(subject, &owner, "release", Program::PrintsAndFails);
    let id = engine.start(&spec).await.unwrap();
    assert_eq!(engine.wait(&id).await.unwrap(), 3);
    assert_eq!(engine.start(&spec).await.unwrap(), id);
    assert_eq!(read_logs(&*engine, &id, LogQuery::default()).await.len(), 3, "it did not run a second time");
    let seen = of_owner(&*engine, &owner).await;
    assert_eq!((seen[0].role, &seen[0].operation), (Role::Task, &spec.operation));
    let other = task(subject, &owner, "release", Program::Ends);
    assert_ne!(engine.start(&other).await.unwrap(), id, "another operation has a task of its own");
}

async fn out_of_memory(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = engine.start(&spec(subject, &owner, "hungry", Program::EatsMemory)).await.unwrap();
    let seen = eventually(&*engine, &id, exited).await;
    assert!(matches!(seen.state, ContainerState::Exited { code: 137, oom_killed: true, .. }), "{seen:?}");
}

async fn read_logs(engine: &dyn Engine, id: &str, query: LogQuery) -> Vec<LogChunk> {
    engine.logs(id, query).await.unwrap().map(Result::unwrap).collect().await
}

async fn logs(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = engine.start(&spec(subject, &owner, "prints", Program::PrintsAndFails)).await.unwrap();
    engine.wait(&id).await.unwrap();
    let all = read_logs(&*engine, &id, LogQuery::default()).await;
    let mut texts: Vec<_> = all.iter().map(|c| (c.line.as_str(), c.stream)).collect();
    texts.sort_unstable_by_key(|(line, _)| *line);
    use OutputStream::{Stderr, Stdout};
    assert_eq!(texts, [("one", Stdout), ("three", Stderr), ("two", Stdout)]);
    let tail = read_logs(&*engine, &id, LogQuery { tail: Some(1), ..Default::default() }).await;
    assert_eq!(tail, all[2..]);
    // The two streams are written down independently, so the times need not be in order.
    let newest = all.iter().map(|c| c.at).max().unwrap();
    let since = LogQuery { since: Some(newest.plus_ms(1)), ..Default::default() };
    assert_eq!(read_logs(&*engine, &id, since).await, []);
    let oldest = all.iter().map(|c| c.at).min().unwrap();
    let since = LogQuery { since: Some(oldest), ..Default::default() };
    assert_eq!(read_logs(&*engine, &id, since).await.len(), 3);
}

async fn logs_follow(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = engine.start(&spec(subject, &owner, "prints", Program::PrintsAndFails)).await.unwrap();
    let followed = read_logs(&*engine, &id, LogQuery { follow: true, ..Default::default() }).await;
    assert_eq!(followed.len(), 3, "following ends with the container: {followed:?}");
}

async fn attach(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let (id, mut attached) = engine.attach(&task(subject, &owner, "console", Program::Echoes)).await.unwrap();
    attached.input.write_all(b"hello\nworld\n").await.unwrap();
    attached.input.shutdown().await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = attached.output.next().await {
        let (stream, bytes): (OutputStream, Bytes) = chunk.unwrap();
        assert_eq!(stream, OutputStream::Stdout);
        text.extend_from_slice(&bytes);
    }
    assert_eq!(String::from_utf8(text).unwrap(), "got hello\ngot world\n");
    assert_eq!(engine.wait(&id).await.unwrap(), 0);
    let terminal = InstanceSpec { tty: true, ..task(subject, &owner, "console", Program::Echoes) };
    let (id, mut attached) = engine.attach(&terminal).await.unwrap();
    engine.resize(&id, 120, 40).await.unwrap();
    attached.input.write_all(b"tty\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("got tty") {
        let (_, bytes) = attached.output.next().await.expect("output goes on").unwrap();
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    engine.remove(&id).await.unwrap();
}

async fn listening(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = engine.start(&spec(subject, &owner, "loopback", Program::ListensOnLoopback)).await.unwrap();
    let wanted = "127.0.0.1:3000".parse().unwrap();
    while !engine.listening(&id).await.unwrap().contains(&wanted) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.stop(&id, 1).await.unwrap();
    assert!(matches!(engine.listening(&id).await, Err(EngineError::NotFound(_))));
}

async fn networks(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let name = network_of(&owner);
    engine.ensure_network(&name, &owner).await.unwrap();
    assert_eq!(engine.networks().await.unwrap().iter().filter(|n| **n == name).count(), 1);
    let id = engine.start(&spec(subject, &owner, "web", Program::Forever)).await.unwrap();
    engine.remove_network(&name).await.unwrap();
    assert!(engine.networks().await.unwrap().contains(&name), "a network in use stays");
    engine.remove(&id).await.unwrap();
    engine.remove_network(&name).await.unwrap();
    engine.remove_network(&name).await.unwrap();
    assert!(!engine.networks().await.unwrap().contains(&name));
    let orphan = engine.start(&spec(subject, &owner, "web", Program::Forever)).await;
    assert!(matches!(orphan, Err(EngineError::StartFailed(_))), "{orphan:?}");
}

async fn images(subject: &dyn Subject, _: Owner) {
    let engine = subject.engine();
    let facts = engine.inspect_image(&subject.image()).await.unwrap();
    assert_eq!(facts.id, subject.image());
    assert!(matches!(engine.inspect_image("wharf-test/none:1").await, Err(EngineError::NotFound(_))));
    let missing = engine.ensure_image(&format!("sha256:{}", "0".repeat(64))).await;
    assert!(matches!(missing, Err(EngineError::ImageMissing { .. })), "{missing:?}");
}

async fn foreign(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let id = subject.foreign_container(&owner).await.unwrap();
    assert!(engine.observe().await.unwrap().iter().all(|o| o.id != id));
    let refused =
        |result: Result<(), EngineError>| assert!(matches!(result, Err(EngineError::Refused(_))), "{result:?}");
    refused(engine.stop(&id, 1).await);
    refused(engine.remove(&id).await);
    refused(engine.restart(&id).await);
    refused(engine.wait(&id).await.map(|_| ()));
    refused(engine.logs(&id, LogQuery::default()).await.map(|_| ()));
    refused(engine.listening(&id).await.map(|_| ()));
}

async fn changes(subject: &dyn Subject, owner: Owner) {
    let engine = subject.engine();
    let mut hints = engine.changes().await.unwrap();
    let first = async {
        // The subscription begins at a moment of its own; something must change after it.
        loop {
            let id = engine.start(&spec(subject, &owner, "hinted", Program::Forever)).await.unwrap();
            engine.remove(&id).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        hint = hints.next() => hint.expect("a hint").unwrap(),
        () = first => {}
    }
}

async fn nothing_there(subject: &dyn Subject, _: Owner) {
    let engine = subject.engine();
    let not_found =
        |result: Result<(), EngineError>| assert!(matches!(result, Err(EngineError::NotFound(_))), "{result:?}");
    let id = "f".repeat(64);
    not_found(engine.restart(&id).await);
    not_found(engine.wait(&id).await.map(|_| ()));
    not_found(engine.logs(&id, LogQuery::default()).await.map(|_| ()));
    not_found(engine.resize(&id, 80, 24).await);
    not_found(engine.listening(&id).await.map(|_| ()));
    engine.remove_image(&format!("sha256:{}", "0".repeat(64))).await.unwrap();
}
