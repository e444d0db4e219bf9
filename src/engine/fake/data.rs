//! Volumes of a fake world, and commands inside its containers.

use super::world::World;
use crate::engine::{ContainerState, EngineError, ExecEnd, ObservedVolume, VolumeKey};

impl World {
    pub(super) fn observed_volumes(&self) -> Vec<ObservedVolume> {
        let one = |(volume, owner): (&VolumeKey, &crate::engine::Owner)| ObservedVolume {
            volume: volume.clone(),
            owner: owner.clone(),
            created_at: None,
            size_bytes: Some(0),
            in_use: Some(self.has_volume(volume)),
        };
        self.volumes.iter().map(one).collect()
    }

    fn has_volume(&self, volume: &VolumeKey) -> bool {
        self.containers.values().any(|c| c.spec.mounts.iter().any(|m| m.volume == *volume))
    }

    pub(super) fn remove_volume(&mut self, volume: &VolumeKey) -> Result<(), EngineError> {
        if self.has_volume(volume) {
            return Err(EngineError::Refused(format!("the volume {} is in use", volume.name)));
        }
        self.volumes.remove(volume);
        Ok(())
    }

    /// Has the files it was given, and all that could be in its volumes.
    pub(super) fn has_path(&mut self, id: &str, path: &str) -> Result<bool, EngineError> {
        let spec = &self.own(id)?.spec;
        let below = |target: &str| path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'));
        Ok(spec.files.iter().any(|f| f.path == path) || spec.mounts.iter().any(|m| below(&m.target)))
    }

    /// Knows `true`, `false` and `sleep`, which never ends; every other program is missing.
    pub(super) fn exec(&mut self, id: &str, command: &[String]) -> Result<ExecEnd, EngineError> {
        if !matches!(self.own(id)?.state, ContainerState::Running { .. }) {
            self.hanging.remove(id);
            return Err(EngineError::NotFound(format!("the running process of the container {id}")));
        }
        if self.hanging.contains(id) {
            return Ok(ExecEnd::StillRunning);
        }
        let (code, said) = match command.first().map(String::as_str) {
            Some("true") => (0, ""),
            Some("false") => (1, "it is false"),
            Some("sleep") => {
                self.hanging.insert(id.to_owned());
                return Ok(ExecEnd::StillRunning);
            }
            _ => (127, "not found"),
        };
        Ok(ExecEnd::Exited { code, last_line: said.to_owned() })
    }
}
