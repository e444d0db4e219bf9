//! A daemon that goes away and comes back, seen through a socket that we can cut.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{DockerEngine, Lab, with_docker};
use crate::engine::conformance::{self, Program};
use crate::engine::{Engine, EngineError};

/// Passes every connection on to Docker; dropping it cuts them all.
fn pass_on(path: &Path) -> AbortOnDropHandle<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut outer, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut inner = UnixStream::connect(DockerEngine::DEFAULT_SOCKET).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    }))
}

fn unreachable<T>(result: Result<T, EngineError>) {
    let error = result.err().expect("an error");
    assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn calls_fail_while_it_is_away_and_work_again_after() {
    with_docker(|lab| async move { outage(&lab).await }).await;
}

async fn outage(lab: &Arc<Lab>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let engine = DockerEngine::new(&path, lab.engine.installation.clone());
    unreachable(engine.observe().await);
    let daemon = pass_on(&path);
    let owner = conformance::owner();
    engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
    let id = engine.start(&conformance::spec(&**lab, &owner, "web", Program::Forever)).await.unwrap();
    let mut hints = engine.changes().await.unwrap();
    let cut = async {
        // The waiting calls below are polled first; Docker has their requests once it answers this one.
        engine.observe().await.unwrap();
        tokio::task::yield_now().await;
        drop(daemon);
    };
    let (waited, hint, ()) = tokio::join!(engine.wait(&id), hints.next(), cut);
    unreachable(waited);
    unreachable(hint.expect("the cut is told"));
    unreachable(engine.observe().await);
    unreachable(engine.stop(&id, 1).await);
    let _daemon = pass_on(&path);
    assert_eq!(engine.observe().await.unwrap().len(), 1);
    let mut hints = engine.changes().await.unwrap();
    let change = async {
        loop {
            engine.stop(&id, 1).await.unwrap();
            engine.restart(&id).await.unwrap();
        }
    };
    tokio::select! {
        hint = tokio::time::timeout(Duration::from_secs(20), hints.next()) => hint.expect("in time").expect("a hint").unwrap(),
        () = change => {}
    }
}
