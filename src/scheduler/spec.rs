//! From a wanted instance to the specification of its container. Pure: the engine is told everything, and chooses nothing.

use std::collections::BTreeMap;

use super::model::network_name;
use crate::engine::{ContainerFile, InstanceKey, InstanceSpec, Owner, Role, VolumeKey, VolumeMount};
use crate::kernel::id::OperationId;
use crate::kernel::name::{ServiceName, VariableName};
use crate::kernel::secret::Secret;
use crate::stack::model::{FileMode, FileMount, FileSource, Mount, Origin, ResourceName};
use crate::stack::{Service, ServiceKind, Stack};
use crate::tenancy::model::Environment;
use crate::tenancy::store::{config, secrets};

/// The slot of one-off containers: they stand in no replica set.
const TASK_SLOT: u32 = 0;
/// Permissions of a file when nothing else is said.
const FILE_MODE: u32 = 0o444;

/// What of an environment a container is made from: the stack of a release, and its values, opened.
pub(super) struct Source<'a> {
    pub owner: &'a Owner,
    pub environment: &'a Environment,
    pub stack: &'a Stack,
    /// What the platform gives to all.
    pub everybody: &'a BTreeMap<String, String>,
    pub configuration: &'a config::Values,
    /// The secrets the service needs, by the name the stack has for them.
    pub secrets: &'a secrets::Opened,
}

impl Source<'_> {
    /// The environment an instance gets: what the platform gives to all, then the service's own, then the app's
    /// configuration; last what the platform promises, which nothing may replace, because routes depend on it.
    ///
    /// The services of a manifest get of the configuration only what they name, as with Compose: a password of the
    /// database is nothing for the web server beside it.
    fn variables(&self, service: &Service, key: &InstanceKey) -> Result<BTreeMap<String, String>, String> {
        let mut all = self.everybody.clone();
        all.extend(service.environment.clone());
        // The engine is told the values; specifications are never logged.
        let declared = self.stack.origin == Origin::Manifest;
        if !declared {
            all.extend(self.configuration.iter().map(|(name, value)| (name.clone(), value.expose().clone())));
        }
        for (name, reference) in &service.secret_environment {
            let text = String::from_utf8(self.secret(&reference.name)?.expose().clone()).map_err(|_| {
                format!("the secret `{}` is no text, so `{}` cannot have it", reference.name, name.as_str())
            })?;
            all.insert(name.as_str().to_owned(), text);
        }
        if service.kind == ServiceKind::Web
            && let Some(port) = service.port
            && !(declared && all.contains_key("PORT"))
        {
            all.insert("PORT".to_owned(), port.to_string());
        }
        let instance = if key.slot == TASK_SLOT { "run".to_owned() } else { key.slot.to_string() };
        for (name, value) in [
            ("WHARF_APP", self.environment.project.to_string()),
            ("WHARF_ENV", self.environment.slug.to_string()),
            ("WHARF_REVISION", key.revision.to_string()),
            ("WHARF_SERVICE", key.service.to_string()),
            ("WHARF_INSTANCE", format!("{}.{instance}", key.service)),
        ] {
            all.insert(name.to_owned(), value);
        }
        Ok(all)
    }

    fn secret(&self, name: &ResourceName) -> Result<&Secret<Vec<u8>>, String> {
        let missing = || format!("the secret `{name}` has no value; set it with: wharf secrets set {name}");
        self.secrets.get(name).ok_or_else(missing)
    }

    /// The configs and secrets of a service as files.
    fn files(&self, service: &Service) -> Result<Vec<ContainerFile>, String> {
        let one = |file: &FileMount| {
            let content = match &file.source {
                FileSource::Config(name) => {
                    let config = self.stack.configs.get(name).ok_or_else(|| format!("there is no config `{name}`"))?;
                    Secret::new(config.content.clone().into_bytes())
                }
                FileSource::Secret(name) => {
                    let reference =
                        self.stack.secrets.get(name).ok_or_else(|| format!("there is no secret `{name}`"))?;
                    self.secret(&reference.name)?.clone()
                }
            };
            let (uid, gid) = (file.uid.unwrap_or_default(), file.gid.unwrap_or_default());
            let mode = file.mode.map_or(FILE_MODE, FileMode::bits);
            Ok(ContainerFile { path: file.target.clone(), content, uid, gid, mode })
        };
        service.files.iter().map(one).collect()
    }

    fn mounts(&self, service: &Service) -> Vec<VolumeMount> {
        let one = |mount: &Mount| VolumeMount {
            volume: VolumeKey { environment: self.environment.id.clone(), name: mount.volume.clone() },
            labels: self.stack.volumes.get(&mount.volume).map(|v| v.labels.clone()).unwrap_or_default(),
            target: mount.target.clone(),
            read_only: mount.read_only,
            subpath: mount.subpath.clone(),
            no_copy: mount.no_copy,
            shared_folder: None,
        };
        service.mounts.iter().map(one).collect()
    }

    /// The container of one instance.
    ///
    /// # Errors
    /// What it needs and does not have, in a sentence.
    pub(super) fn instance(&self, key: &InstanceKey, service: &Service) -> Result<InstanceSpec, String> {
        let value = |name: &VariableName| self.configuration.get(name.as_str()).map(|v| v.expose().clone());
        let service = &service.fill(&value).map_err(|name| missing_variable(name.as_str()))?;
        let hostname = service.container.hostname.clone().unwrap_or_else(|| format!("{}-{}", key.service, key.slot));
        Ok(InstanceSpec {
            key: key.clone(),
            owner: self.owner.clone(),
            role: Role::Instance,
            image: service.image.id.clone(),
            entrypoint: service.entrypoint.clone(),
            command: service.command.clone(),
            environment: self.variables(service, key)?,
            limits: service.limits.clone(),
            container: service.container.clone(),
            mounts: self.mounts(service),
            files: self.files(service)?,
            stop_grace_seconds: service.stop_grace_seconds,
            network: network_name(&key.environment),
            aliases: aliases(&key.service, service),
            hostname,
            tty: service.container.tty,
            operation: None,
        })
    }

    /// A container that runs one command in the image and environment of a service, to its end; the service's own one
    /// when none is said.
    ///
    /// # Errors
    /// What it needs and does not have, in a sentence.
    pub(super) fn task(
        &self,
        key: InstanceKey,
        service: &Service,
        command: Option<Vec<String>>,
        operation: &OperationId,
    ) -> Result<InstanceSpec, String> {
        let instance = self.instance(&key, service)?;
        let (entrypoint, command) = match command {
            // The image's entry point would take the command as its arguments.
            Some(command) => (Some(command), Some(Vec::new())),
            None => (instance.entrypoint.clone(), instance.command.clone()),
        };
        Ok(InstanceSpec {
            hostname: format!("{}-run", key.service),
            role: Role::Task,
            entrypoint,
            command,
            // Nobody calls it by the service's name.
            aliases: Vec::new(),
            tty: false,
            operation: Some(operation.clone()),
            ..instance
        })
    }
}

fn missing_variable(name: &str) -> String {
    format!("the variable `{name}` has no value; set it with: wharf config set {name}=…")
}

/// The names by which other services of the environment reach this one: its own, the same below `internal`, and those
/// the manifest gives it. They lead to its instances from their start on: Docker's name server knows no health.
fn aliases(name: &ServiceName, service: &Service) -> Vec<String> {
    let mut all = vec![name.to_string(), format!("{name}.internal")];
    let of_networks = service.networks.values().flat_map(|attachment| &attachment.aliases);
    for alias in service.aliases.iter().chain(of_networks) {
        if !all.contains(alias) {
            all.push(alias.clone());
        }
    }
    all
}

/// The key of a one-off container of a release; the serial tells those of one operation from each other.
#[must_use]
pub(super) fn task_key(owner: &Owner, service: &ServiceName, revision: i64, serial: u32) -> InstanceKey {
    InstanceKey {
        environment: owner.environment.clone(),
        service: service.clone(),
        revision,
        generation: 0,
        slot: serial,
    }
}
