//! Containers: seeing, starting, stopping, removing.

use std::sync::PoisonError;

use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::labels::{self, Identity};
use super::{DockerEngine, convert, errors, listening};
use crate::engine::{EngineError, InstanceSpec, Observed, Role};
use crate::kernel::fail_point;

/// Containers inspected at the same time by one look.
const INSPECTS_AT_ONCE: usize = 8;

impl DockerEngine {
    pub(super) async fn observe_containers(&self) -> Result<Vec<Observed>, EngineError> {
        let client = self.client().await?;
        let options = ListContainersOptionsBuilder::new().all(true).filters(&self.own_filter()).build();
        let list = client.list_containers(Some(options)).await.map_err(|e| errors::engine(&e, "the containers"))?;
        let ids = list.into_iter().filter_map(|c| c.id);
        let client = &client;
        let mut looks = futures_util::stream::iter(ids)
            .map(|id| async move {
                let result = client.inspect_container(&id, None).await;
                (id, result)
            })
            .buffer_unordered(INSPECTS_AT_ONCE);
        let mut seen = Vec::new();
        while let Some((id, result)) = looks.next().await {
            match result {
                Ok(inspect) => match convert::observed(&inspect, self.restarts_of(&id)) {
                    Some(observed) => seen.push(observed),
                    None => {
                        tracing::warn!(container.id = %id, "a container carries our installation label but no whole identity; it is left alone")
                    }
                },
                // Removed between the list and the look.
                Err(e) if errors::status(&e) == Some(404) => {}
                Err(e) => return Err(errors::engine(&e, &id)),
            }
        }
        seen.sort_by(|a, b| (&a.key, a.role, &a.id).cmp(&(&b.key, b.role, &b.id)));
        Ok(seen)
    }

    /// Looks at a container and refuses when it is not of this installation.
    pub(super) async fn inspect_own(&self, id: &str) -> Result<ContainerInspectResponse, EngineError> {
        let inspect =
            self.client().await?.inspect_container(id, None).await.map_err(|e| errors::engine(&e, &container(id)))?;
        let labels = inspect.config.as_ref().and_then(|c| c.labels.as_ref());
        if !self.installation.owns(labels) {
            return Err(EngineError::Refused(format!(
                "{} is not one of this Wharf's and is left alone",
                container(id)
            )));
        }
        Ok(inspect)
    }

    pub(super) async fn start_container(&self, spec: &InstanceSpec) -> Result<String, EngineError> {
        let spec = &*self.complete(spec);
        let (id, existed) = match self.create_container(spec, false).await? {
            Some(id) => (id, false),
            None => (self.adopt(spec).await?, true),
        };
        // A task runs once: one that has already ended is not run a second time after a crash of ours.
        if existed && spec.role == Role::Task && self.has_ended(&id).await? {
            return Ok(id);
        }
        fail_point::reach("between a container's creation and its start");
        self.furnish(&id, spec).await?;
        self.start_by_id(&id).await?;
        Ok(id)
    }

    /// Creates the container; `None` when its name is taken.
    pub(super) async fn create_container(
        &self,
        spec: &InstanceSpec,
        attached: bool,
    ) -> Result<Option<String>, EngineError> {
        let name = convert::container_name(&self.installation, spec);
        self.make_volumes(spec).await?;
        let mut options = CreateContainerOptionsBuilder::new().name(&name);
        if let Some(platform) = &spec.container.platform {
            options = options.platform(platform);
        }
        let options = options.build();
        let body = convert::container_body(&self.installation, spec, attached);
        match self.client().await?.create_container(Some(options), body).await {
            Ok(made) => Ok(Some(made.id)),
            Err(e) if errors::status(&e) == Some(409) => Ok(None),
            Err(Error::DockerResponseServerError { status_code: 404, message }) if message.contains("image") => {
                Err(EngineError::ImageMissing {
                    image: spec.image.clone(),
                    reason: "it is not on this machine".to_owned(),
                })
            }
            Err(e) => Err(errors::start_failed(&e, &name)),
        }
    }

    /// Takes over the container that already has the name, when it is the same one.
    async fn adopt(&self, spec: &InstanceSpec) -> Result<String, EngineError> {
        let name = convert::container_name(&self.installation, spec);
        let inspect = self.inspect_own(&name).await?;
        let found = inspect.config.as_ref().and_then(|c| c.labels.as_ref()).and_then(labels::parse);
        if found.as_ref() != Some(&Identity::of(spec)) {
            return Err(EngineError::Refused(format!("the container name {name} is taken by another one")));
        }
        inspect.id.ok_or(EngineError::NotFound(name))
    }

    async fn has_ended(&self, id: &str) -> Result<bool, EngineError> {
        let state = self.inspect_own(id).await?.state.unwrap_or_default();
        Ok(matches!(convert::container_state(&state), crate::engine::ContainerState::Exited { .. }))
    }

    /// Starts it; one that runs already is no error.
    pub(super) async fn start_by_id(&self, id: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        client.start_container(id, None).await.map_err(|e| errors::start_failed(&e, &container(id)))
    }

    pub(super) async fn restart_container(&self, id: &str) -> Result<(), EngineError> {
        let inspect = self.inspect_own(id).await?;
        if inspect.state.and_then(|s| s.running).unwrap_or_default() {
            return Ok(());
        }
        self.start_by_id(id).await?;
        let full_id = inspect.id.unwrap_or_else(|| id.to_owned());
        *self.restarts.lock().unwrap_or_else(PoisonError::into_inner).entry(full_id).or_default() += 1;
        Ok(())
    }

    fn restarts_of(&self, id: &str) -> u32 {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or_default()
    }

    pub(super) async fn stop_container(&self, id: &str, grace_seconds: u32) -> Result<(), EngineError> {
        if gone(self.inspect_own(id).await)?.is_none() {
            return Ok(());
        }
        let options = StopContainerOptionsBuilder::new().t(i32::try_from(grace_seconds).unwrap_or(i32::MAX)).build();
        let client = self.patient_client(u64::from(grace_seconds)).await?;
        let result = client.stop_container(id, Some(options)).await;
        gone(result.map_err(|e| errors::engine(&e, &container(id)))).map(|_| ())
    }

    pub(super) async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let Some(inspect) = gone(self.inspect_own(id).await)? else { return Ok(()) };
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.client().await?.remove_container(id, Some(options)).await {
            Ok(()) => {}
            Err(e) if errors::status(&e) == Some(404) => {}
            // Somebody is removing it at this moment, which is what we want.
            Err(Error::DockerResponseServerError { status_code: 409, message }) if message.contains("in progress") => {}
            Err(e) => return Err(errors::engine(&e, &container(id))),
        }
        if let Some(full_id) = inspect.id {
            self.restarts.lock().unwrap_or_else(PoisonError::into_inner).remove(&full_id);
            self.forget_exec(&full_id);
        }
        Ok(())
    }

    pub(super) async fn wait_for_exit(&self, id: &str) -> Result<i64, EngineError> {
        self.inspect_own(id).await?;
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut answers = self.client().await?.wait_container(id, Some(options));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { error, code })) if error.is_empty() => Ok(code),
            Some(Err(e)) => Err(errors::engine(&e, &container(id))),
            None => Err(EngineError::Unreachable("the connection was cut while waiting".to_owned())),
        }
    }

    pub(super) async fn listening_sockets(&self, id: &str) -> Result<Vec<std::net::SocketAddr>, EngineError> {
        let pid = self.pid(id).await?;
        let sockets = listening::read(pid).await?;
        // The process could have ended and its number been given away while we read.
        if self.pid(id).await? != pid {
            return Err(EngineError::NotFound(format!("the running process of {}", container(id))));
        }
        Ok(sockets)
    }

    async fn pid(&self, id: &str) -> Result<i64, EngineError> {
        let state = self.inspect_own(id).await?.state.unwrap_or_default();
        match state.pid {
            Some(pid) if pid > 0 => Ok(pid),
            _ => Err(EngineError::NotFound(format!("the running process of {}", container(id)))),
        }
    }
}

fn container(id: &str) -> String {
    format!("the container {}", if id.len() == 64 { &id[..12] } else { id })
}

/// What does not exist needs no stopping and no removing.
fn gone<T>(result: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::NotFound(_)) => Ok(None),
        Err(e) => Err(e),
    }
}
