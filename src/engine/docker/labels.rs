//! Labels: how an object in Docker says whose it is. Pure, both ways.

use std::collections::HashMap;
use std::str::FromStr;

use crate::engine::{InstanceKey, InstanceSpec, Owner, Role, VolumeKey, VolumeMount};
use crate::kernel::id::{EnvironmentId, OperationId};

pub(super) const INSTALLATION: &str = "wharf.installation";
const TENANT: &str = "wharf.tenant";
const PROJECT: &str = "wharf.project";
pub(super) const ENVIRONMENT: &str = "wharf.environment";
const OWNER: &str = "wharf.owner";
const VOLUME: &str = "wharf.volume";
const SERVICE: &str = "wharf.service";
const REVISION: &str = "wharf.revision";
const GENERATION: &str = "wharf.generation";
const SLOT: &str = "wharf.slot";
const ROLE: &str = "wharf.role";
const OPERATION: &str = "wharf.operation";

/// The id of one installation of Wharf; several may share one Docker and never see each other's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation(String);

impl Installation {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `key=value`, as the engine's filters want it.
    pub(super) fn filter(&self) -> String {
        format!("{INSTALLATION}={}", self.0)
    }

    /// Whether an object with these labels belongs to this installation.
    pub(super) fn owns(&self, labels: Option<&HashMap<String, String>>) -> bool {
        labels.and_then(|l| l.get(INSTALLATION)).is_some_and(|v| *v == self.0)
    }
}

impl FromStr for Installation {
    type Err = String;

    /// 1 to 32 lower-case letters, digits and hyphens, starting with a letter or digit.
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > 32 || text.starts_with('-') || !text.bytes().all(allowed) {
            return Err(format!(
                "`{text}` is not an installation id: use 1 to 32 lower-case letters, digits and hyphens"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Labels of an object that belongs to an environment (image, network).
pub(super) fn of_owner(installation: &Installation, owner: &Owner) -> HashMap<String, String> {
    let whole = format!("{}/{}/{}", owner.tenant, owner.project, owner.environment);
    [
        (INSTALLATION, installation.0.clone()),
        (TENANT, owner.tenant.to_string()),
        (PROJECT, owner.project.to_string()),
        (ENVIRONMENT, owner.environment.to_string()),
        (OWNER, whole),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Labels of a container.
pub(super) fn of_instance(installation: &Installation, spec: &InstanceSpec) -> HashMap<String, String> {
    // The tenant's own first: nobody takes the platform's place.
    let mut labels: HashMap<String, String> = spec.container.labels.clone().into_iter().collect();
    labels.extend(of_owner(installation, &spec.owner));
    let mut set = |key: &str, value: String| labels.insert(key.to_owned(), value);
    set(SERVICE, spec.key.service.to_string());
    set(REVISION, spec.key.revision.to_string());
    set(GENERATION, spec.key.generation.to_string());
    set(SLOT, spec.key.slot.to_string());
    set(ROLE, role_text(spec.role).to_owned());
    if let Some(operation) = &spec.operation {
        set(OPERATION, operation.to_string());
    }
    labels
}

/// Labels of a volume.
pub(super) fn of_volume(installation: &Installation, owner: &Owner, mount: &VolumeMount) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = mount.labels.clone().into_iter().collect();
    labels.extend(of_owner(installation, owner));
    labels.insert(VOLUME.to_owned(), mount.volume.name.to_string());
    labels
}

/// What the labels of a volume say; `None` when one is missing or malformed.
pub(super) fn parse_volume(labels: &HashMap<String, String>) -> Option<(Owner, VolumeKey)> {
    fn field<T: FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
        labels.get(key)?.parse().ok()
    }
    let environment: EnvironmentId = field(labels, ENVIRONMENT)?;
    let owner =
        Owner { tenant: field(labels, TENANT)?, project: field(labels, PROJECT)?, environment: environment.clone() };
    Some((owner, VolumeKey { environment, name: field(labels, VOLUME)? }))
}

/// What the labels of a container say; `None` when one is missing or malformed.
pub(super) fn parse(labels: &HashMap<String, String>) -> Option<Identity> {
    fn field<T: FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
        labels.get(key)?.parse().ok()
    }
    let environment: EnvironmentId = field(labels, ENVIRONMENT)?;
    Some(Identity {
        owner: Owner {
            tenant: field(labels, TENANT)?,
            project: field(labels, PROJECT)?,
            environment: environment.clone(),
        },
        key: InstanceKey {
            environment,
            service: field(labels, SERVICE)?,
            revision: field(labels, REVISION)?,
            generation: field(labels, GENERATION)?,
            slot: field(labels, SLOT)?,
        },
        role: match labels.get(ROLE)?.as_str() {
            "instance" => Role::Instance,
            "task" => Role::Task,
            _ => return None,
        },
        operation: match labels.get(OPERATION) {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        },
    })
}

/// Who a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) owner: Owner,
    pub(super) key: InstanceKey,
    pub(super) role: Role,
    pub(super) operation: Option<OperationId>,
}

impl Identity {
    pub(super) fn of(spec: &InstanceSpec) -> Self {
        Self { owner: spec.owner.clone(), key: spec.key.clone(), role: spec.role, operation: spec.operation.clone() }
    }
}

pub(super) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Instance => "instance",
        Role::Task => "task",
    }
}
