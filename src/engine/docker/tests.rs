//! The conformance suite on a real Docker, and what only Docker can show: confinement, builds, restarts.
//!
//! Runs when a daemon answers. With `WHARF_TEST_DOCKER=1` a missing daemon is a failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::FutureExt;

use super::{DockerEngine, Installation, errors};
use crate::engine::conformance::{self, Program, Subject};
use crate::engine::{ContainerState, Engine, EngineError, EngineFuture, Owner};

mod builds;
mod confinement;
mod outage;
mod pure;

/// The smallest image that every machine has or can make: a shell, sleep, and perl.
const BASE: &str = "debian:bookworm-slim";

/// A Docker engine with an installation id of its own.
struct Lab {
    engine: Arc<DockerEngine>,
    image: String,
}

fn fresh_installation() -> Installation {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let text = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    text.parse().unwrap()
}

/// Runs a test on Docker and removes everything it made, also when it fails.
async fn with_docker<F: Future<Output = ()>>(test: impl FnOnce(Arc<Lab>) -> F) {
    let engine = Arc::new(DockerEngine::new(DockerEngine::DEFAULT_SOCKET, fresh_installation()));
    if let Err(e) = engine.version().await {
        assert!(std::env::var_os("WHARF_TEST_DOCKER").is_none(), "WHARF_TEST_DOCKER is set, but {e}");
        eprintln!("skipped: {e}");
        return;
    }
    let image = engine.ensure_image(BASE).await.expect("the base image of the tests").id;
    let lab = Arc::new(Lab { engine, image });
    let outcome = AssertUnwindSafe(test(lab.clone())).catch_unwind().await;
    lab.clear().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    async fn clear(&self) {
        for seen in self.engine.observe().await.unwrap() {
            self.engine.remove(&seen.id).await.unwrap();
        }
        let client = self.engine.client().await.unwrap();
        let force = || Some(RemoveContainerOptionsBuilder::new().force(true).build());
        let _ = client.remove_container(&self.foreign_name(), force()).await;
        for network in self.engine.networks().await.unwrap() {
            self.engine.remove_network(&network).await.unwrap();
        }
        for image in self.engine.images().await.unwrap() {
            self.engine.remove_image(&image.id).await.unwrap();
        }
    }

    fn foreign_name(&self) -> String {
        format!("foreign-{}", self.engine.installation.as_str())
    }

    async fn make_foreign(&self) -> Result<String, EngineError> {
        let client = self.engine.client().await?;
        let options =
            bollard::query_parameters::CreateContainerOptionsBuilder::new().name(&self.foreign_name()).build();
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(vec!["sleep".to_owned(), "600".to_owned()]),
            labels: Some([("wharf.installation".to_owned(), "somebody-else".to_owned())].into()),
            ..Default::default()
        };
        let made = client.create_container(Some(options), body).await.map_err(|e| errors::engine(&e, "foreign"))?;
        client.start_container(&made.id, None).await.map_err(|e| errors::engine(&e, "foreign"))?;
        Ok(made.id)
    }
}

impl Subject for Lab {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    fn command(&self, _: &str, program: Program) -> Vec<String> {
        let sh = |script: &str| ["sh", "-c", script].map(str::to_owned).into();
        match program {
            Program::Forever => ["sleep", "600"].map(str::to_owned).into(),
            Program::Stubborn => sh("trap '' TERM; echo armed; while :; do sleep 1; done"),
            Program::PrintsAndFails => sh("echo one; echo two; echo three >&2; exit 3"),
            Program::Ends => vec!["true".to_owned()],
            Program::EatsMemory => ["perl", "-e", "$x = 'x' x (512 * 1024 * 1024); sleep 600"].map(str::to_owned).into(),
            Program::Echoes => sh("while read line; do echo got $line; done"),
            Program::ListensOnLoopback => [
                "perl",
                "-MSocket",
                "-e",
                "socket S, AF_INET, SOCK_STREAM, 0; bind S, sockaddr_in(3000, inet_aton('127.0.0.1')) or die; listen S, 1; sleep 600",
            ]
            .map(str::to_owned)
            .into(),
        }
    }

    fn foreign_container<'a>(&'a self, _: &'a Owner) -> EngineFuture<'a, String> {
        Box::pin(self.make_foreign())
    }
}

#[tokio::test]
async fn conformance_on_docker() {
    with_docker(|lab| async move { conformance::run(&*lab).await }).await;
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_unreachable() {
    let engine = DockerEngine::new("/nonexistent/docker.sock", fresh_installation());
    for _ in 0..2 {
        let error = engine.observe().await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Unreachable(text) if text.contains("/nonexistent/docker.sock")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn start_errors_carry_their_cause() {
    with_docker(|lab| async move {
        let owner = conformance::owner();
        lab.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        let spec = conformance::spec(&*lab, &owner, "web", Program::Forever);
        let missing = crate::engine::InstanceSpec { image: format!("sha256:{}", "0".repeat(64)), ..spec.clone() };
        let error = lab.engine.start(&missing).await.unwrap_err();
        assert!(matches!(error, EngineError::ImageMissing { .. }), "{error}");
        let broken = crate::engine::InstanceSpec { command: Some(vec!["/no/such/program".to_owned()]), ..spec };
        let id = lab.engine.start(&broken).await.unwrap();
        assert_eq!(lab.engine.wait(&id).await.unwrap(), 127);
    })
    .await;
}

#[tokio::test]
async fn a_foreign_container_of_our_name_is_refused() {
    with_docker(|lab| async move {
        let owner = conformance::owner();
        let spec = conformance::spec(&*lab, &owner, "web", Program::Forever);
        let client = lab.engine.client().await.unwrap();
        let name = super::convert::container_name(&lab.engine.installation, &spec);
        let options = bollard::query_parameters::CreateContainerOptionsBuilder::new().name(&name).build();
        let body = ContainerCreateBody { image: Some(lab.image.clone()), ..Default::default() };
        let made = client.create_container(Some(options), body).await.unwrap();
        let result = lab.engine.start(&spec).await;
        client.remove_container(&made.id, None).await.unwrap();
        assert!(matches!(result, Err(EngineError::Refused(_))), "{result:?}");
    })
    .await;
}

#[tokio::test]
async fn a_container_made_just_before_a_crash_is_taken_over() {
    with_docker(|lab| async move {
        let owner = conformance::owner();
        lab.engine.ensure_network(&conformance::network_of(&owner), &owner).await.unwrap();
        let spec = conformance::spec(&*lab, &owner, "web", Program::Forever);
        let made = lab.engine.create_container(&spec, false).await.unwrap().expect("its name is free");
        assert_eq!(lab.engine.observe().await.unwrap()[0].state, ContainerState::Created);
        assert_eq!(lab.engine.start(&spec).await.unwrap(), made);
        assert!(matches!(lab.engine.observe().await.unwrap()[0].state, ContainerState::Running { .. }));
    })
    .await;
}
