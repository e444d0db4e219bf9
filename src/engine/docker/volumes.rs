//! Volumes: the data of an environment. Made before the first container that has one; nothing here removes one unless
//! it is named.

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::ListVolumesOptionsBuilder;
use http::Method;
use serde::Deserialize;

use super::{DockerEngine, convert, errors, labels, raw};
use crate::engine::{EngineError, InstanceSpec, ObservedVolume, VolumeKey, VolumeMount};
use crate::kernel::clock::Timestamp;

/// The first API version that can mount one folder of a volume; older ones would mount all of it without a word.
const SUBPATH_SINCE: (usize, usize) = (1, 45);

/// What Docker says about the disk: the list stands at the top up to API 1.51, in a section of its own after.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Usage {
    volumes: Option<Vec<Used>>,
    volume_usage: Section,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Section {
    items: Option<Vec<Used>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Used {
    name: String,
    usage_data: Option<UsageData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UsageData {
    size: i64,
    ref_count: i64,
}

impl DockerEngine {
    /// Makes the volumes of a container that are not there yet.
    pub(super) async fn make_volumes(&self, spec: &InstanceSpec) -> Result<(), EngineError> {
        for mount in &spec.mounts {
            self.check_subpath(mount).await?;
            let name = convert::volume_name(&mount.volume);
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                driver: Some("local".to_owned()),
                labels: Some(labels::of_volume(&self.installation, &spec.owner, mount)),
                ..Default::default()
            };
            // Making one that is there gives the one that is there.
            let made = self.client().await?.create_volume(request).await.map_err(|e| errors::engine(&e, &name))?;
            if !self.installation.owns(Some(&made.labels)) {
                return Err(EngineError::StartFailed(format!("the volume name {name} is taken by another one")));
            }
        }
        Ok(())
    }

    async fn check_subpath(&self, mount: &VolumeMount) -> Result<(), EngineError> {
        let version = self.client().await?.client_version();
        if mount.subpath.is_none() || (version.major_version, version.minor_version) >= SUBPATH_SINCE {
            return Ok(());
        }
        Err(EngineError::StartFailed(format!(
            "the volume `{}` has a `subpath`, which Docker knows since version 26; upgrade Docker, or mount the whole volume",
            mount.volume.name
        )))
    }

    pub(super) async fn list_volumes(&self, measured: bool) -> Result<Vec<ObservedVolume>, EngineError> {
        let options = ListVolumesOptionsBuilder::new().filters(&self.own_filter()).build();
        let list = self.client().await?.list_volumes(Some(options)).await;
        let list = list.map_err(|e| errors::engine(&e, "the volumes"))?.volumes.unwrap_or_default();
        let used = if measured && !list.is_empty() { self.usage().await? } else { Vec::new() };
        let mut seen: Vec<ObservedVolume> = list.iter().filter_map(|volume| observed(volume, &used)).collect();
        seen.sort_by(|a, b| a.volume.cmp(&b.volume));
        Ok(seen)
    }

    async fn usage(&self) -> Result<Vec<Used>, EngineError> {
        // Other kinds cost more time, and engines before 23 do not know how to leave them out.
        let query = vec![("type", "volume".to_owned())];
        let call = self.call(Method::GET, "/system/df", query).await?;
        let answer = call.answer(raw::empty()).await?.whole().await?;
        let usage: Usage =
            serde_json::from_slice(&answer).map_err(|e| EngineError::Refused(format!("unreadable disk usage: {e}")))?;
        Ok(usage.volumes.or(usage.volume_usage.items).unwrap_or_default())
    }

    pub(super) async fn delete_volume(&self, volume: &VolumeKey) -> Result<(), EngineError> {
        let name = convert::volume_name(volume);
        let client = self.client().await?;
        match client.inspect_volume(&name).await {
            Ok(found) if self.installation.owns(Some(&found.labels)) => {}
            Ok(_) => return Err(EngineError::Refused(format!("the volume {name} is not one of this Wharf's"))),
            Err(e) if errors::status(&e) == Some(404) => return Ok(()),
            Err(e) => return Err(errors::engine(&e, &name)),
        }
        let options = None::<bollard::query_parameters::RemoveVolumeOptions>;
        match client.remove_volume(&name, options).await {
            Ok(()) => Ok(()),
            Err(e) if errors::status(&e) == Some(404) => Ok(()),
            Err(e) => Err(errors::engine(&e, &name)),
        }
    }
}

fn observed(volume: &Volume, used: &[Used]) -> Option<ObservedVolume> {
    let (owner, key) = labels::parse_volume(&volume.labels)?;
    let data = used.iter().find(|u| u.name == volume.name).and_then(|u| u.usage_data.as_ref());
    Some(ObservedVolume {
        volume: key,
        owner,
        created_at: volume.created_at.map(|at| Timestamp(at.unix_timestamp() * 1000)),
        size_bytes: data.and_then(|d| u64::try_from(d.size).ok()),
        in_use: data.filter(|d| d.ref_count >= 0).map(|d| d.ref_count > 0),
    })
}
