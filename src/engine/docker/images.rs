//! Images: pulled, imported, listed, removed.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use futures_util::StreamExt;
use http::Method;

use super::{DockerEngine, errors, labels, raw};
use crate::engine::{EngineError, ImageFacts, ObservedImage};
use crate::kernel::clock::Timestamp;

/// A pull may take this long in all, …
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);
/// … and this long without a sign of life. Docker itself gives up on an unreachable registry after about 20 s.
const PULL_SILENCE: Duration = Duration::from_secs(90);
/// Build cache the engine may keep, in bytes; the oldest goes first.
const BUILD_CACHE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

impl DockerEngine {
    pub(super) async fn image_facts(&self, name: &str) -> Result<ImageFacts, EngineError> {
        let inspect = self.client().await?.inspect_image(name).await;
        Ok(facts(inspect.map_err(|e| errors::engine(&e, &format!("the image {name}")))?))
    }

    pub(super) async fn pull_if_missing(&self, name: &str) -> Result<ImageFacts, EngineError> {
        match self.image_facts(name).await {
            Err(EngineError::NotFound(_)) => {}
            other => return other,
        }
        let missing = |reason: String| EngineError::ImageMissing { image: name.to_owned(), reason };
        let Some(reference) = pull_reference(name) else {
            return Err(missing("it is a content id and not on this machine; only names can be pulled".to_owned()));
        };
        match tokio::time::timeout(PULL_LIMIT, self.pull(&reference)).await {
            Ok(Ok(())) => self.image_facts(name).await,
            Ok(Err(EngineError::Refused(message))) => Err(missing(errors::explain_pull(&message))),
            Ok(Err(EngineError::NotFound(_))) => {
                Err(missing("the registry has no such image, or it is private".to_owned()))
            }
            Ok(Err(e)) => Err(e),
            Err(_) => Err(EngineError::TimedOut { what: format!("pulling {name}"), seconds: PULL_LIMIT.as_secs() }),
        }
    }

    async fn pull(&self, reference: &str) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        let client = self.patient_client(PULL_SILENCE.as_secs()).await?;
        let mut progress = client.create_image(Some(options), None, None).boxed();
        loop {
            match tokio::time::timeout(PULL_SILENCE, progress.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(step))) => {
                    if let Some(message) = step.error_detail.and_then(|d| d.message) {
                        return Err(EngineError::Refused(message));
                    }
                }
                Ok(Some(Err(e))) => return Err(errors::engine(&e, reference)),
                Err(_) => {
                    let what = format!("waiting for the registry of {reference}");
                    return Err(EngineError::TimedOut { what, seconds: PULL_SILENCE.as_secs() });
                }
            }
        }
    }

    pub(super) async fn import_rootfs(
        &self,
        tag: &str,
        rootfs: Vec<u8>,
        entrypoint: Vec<String>,
    ) -> Result<String, EngineError> {
        let entrypoint = serde_json::to_string(&entrypoint).map_err(|e| EngineError::Refused(e.to_string()))?;
        let (repo, version) = tag.rsplit_once(':').unwrap_or((tag, "latest"));
        let query = vec![
            ("fromSrc", "-".to_owned()),
            ("repo", repo.to_owned()),
            ("tag", version.to_owned()),
            ("changes", format!("ENTRYPOINT {entrypoint}")),
            ("changes", format!("LABEL {}", self.installation.filter())),
        ];
        let mut call = self.call(Method::POST, "/images/create", query).await?;
        call.headers = vec![("content-type", "application/x-tar".to_owned())];
        call.answer(raw::full(rootfs.into())).await?.finish().await.map_err(EngineError::Refused)?;
        Ok(self.image_facts(tag).await?.id)
    }

    pub(super) async fn list_images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        let options = ListImagesOptionsBuilder::new().filters(&self.own_filter()).build();
        let list = self.client().await?.list_images(Some(options)).await;
        let list = list.map_err(|e| errors::engine(&e, "the images"))?;
        let mut images: Vec<ObservedImage> = list
            .into_iter()
            .map(|image| ObservedImage {
                id: image.id,
                tags: image.repo_tags.into_iter().filter(|t| t != "<none>:<none>").collect(),
                environment: image.labels.get(labels::ENVIRONMENT).and_then(|text| text.parse().ok()),
                created_at: Timestamp(image.created.saturating_mul(1000)),
                size_bytes: u64::try_from(image.size).unwrap_or_default(),
            })
            .collect();
        images.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(images)
    }

    pub(super) async fn delete_image(&self, id: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        let inspect = match client.inspect_image(id).await {
            Ok(inspect) => inspect,
            Err(e) if errors::status(&e) == Some(404) => return Ok(()),
            Err(e) => return Err(errors::engine(&e, id)),
        };
        if !self.installation.owns(inspect.config.as_ref().and_then(|c| c.labels.as_ref())) {
            return Err(EngineError::Refused(format!("the image {id} is not one of this Wharf's and is left alone")));
        }
        if self.image_in_use(id).await? {
            return Ok(());
        }
        // An image with several names can only be removed name by name.
        let names = inspect.repo_tags.unwrap_or_default();
        for name in names.iter().map(String::as_str).chain([id]) {
            match client.remove_image(name, None::<RemoveImageOptions>, None).await {
                Ok(_) => {}
                // Gone with its last name, or taken into use at this moment.
                Err(e) if matches!(errors::status(&e), Some(404 | 409)) => {}
                Err(e) => return Err(errors::engine(&e, name)),
            }
        }
        Ok(())
    }

    async fn image_in_use(&self, id: &str) -> Result<bool, EngineError> {
        let filters: std::collections::HashMap<_, _> = [("ancestor".to_owned(), vec![id.to_owned()])].into();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let users = self.client().await?.list_containers(Some(options)).await;
        Ok(!users.map_err(|e| errors::engine(&e, "the containers"))?.is_empty())
    }

    pub(super) async fn prune_build_cache(&self) -> Result<(), EngineError> {
        // Older engines know `keep-storage`, newer ones `reserved-space`; each ignores the other.
        let bytes = BUILD_CACHE_BYTES.to_string();
        let query = vec![("keep-storage", bytes.clone()), ("reserved-space", bytes)];
        let call = self.call(Method::POST, "/build/prune", query).await?;
        call.answer(raw::empty()).await?.finish().await.map_err(EngineError::Unreachable)
    }
}

fn facts(inspect: ImageInspect) -> ImageFacts {
    let config = inspect.config.unwrap_or_default();
    let mut exposed_ports: Vec<u16> =
        config.exposed_ports.unwrap_or_default().iter().filter_map(|p| tcp_port(p)).collect();
    exposed_ports.sort_unstable();
    let environment = config.env.unwrap_or_default();
    let pairs = environment.iter().filter_map(|entry| entry.split_once('='));
    // `NONE` switches off a check that a base image had.
    let check = config.healthcheck.and_then(|h| h.test).unwrap_or_default();
    ImageFacts {
        id: inspect.id.unwrap_or_default(),
        exposed_ports,
        environment: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>(),
        user: config.user.unwrap_or_default(),
        healthcheck: check.first().is_some_and(|kind| kind != "NONE"),
    }
}

/// The port of `8080/tcp` or `8080`; other protocols do not count.
fn tcp_port(text: &str) -> Option<u16> {
    match text.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// What to ask the registry for; `None` for content ids. Without a tag Docker would pull every tag there is.
fn pull_reference(name: &str) -> Option<String> {
    let is_id = name.starts_with("sha256:") || (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_id {
        return None;
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    let complete = last.contains(':') || last.contains('@');
    Some(if complete { name.to_owned() } else { format!("{name}:latest") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_one_tag() {
        let check = |name: &str, expected: Option<&str>| assert_eq!(pull_reference(name).as_deref(), expected);
        check("nginx", Some("nginx:latest"));
        check("host:5000/nginx", Some("host:5000/nginx:latest"));
        check("nginx:1.27", Some("nginx:1.27"));
        check("a/b@sha256:00", Some("a/b@sha256:00"));
        check("sha256:00", None);
        check(&"a".repeat(64), None);
    }

    #[test]
    fn reads_tcp_ports_only() {
        assert_eq!(["80/tcp", "53/udp", "8080", "x/tcp"].map(tcp_port), [Some(80), None, Some(8080), None]);
    }
}
