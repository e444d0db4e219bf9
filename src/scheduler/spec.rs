//! From a wanted instance to the specification of its container. Pure: the engine is told everything, and chooses nothing.

use std::collections::BTreeMap;

use super::model::network_name;
use crate::engine::{InstanceKey, InstanceSpec, Owner, Role};
use crate::kernel::id::OperationId;
use crate::stack::{Service, ServiceKind};
use crate::tenancy::model::Environment;
use crate::tenancy::store::config;

/// The slot of one-off containers: they stand in no replica set.
const TASK_SLOT: u32 = 0;

/// The environment an instance gets: what the platform gives to all, then the service's own, then the app's
/// configuration; last what the platform promises, which nothing may replace, because routes depend on it.
#[must_use]
pub fn variables(
    everybody: &BTreeMap<String, String>,
    service: &Service,
    configuration: &config::Values,
    environment: &Environment,
    key: &InstanceKey,
) -> BTreeMap<String, String> {
    let mut all = everybody.clone();
    all.extend(service.environment.clone());
    // The engine is told the values; specifications are never logged.
    all.extend(configuration.iter().map(|(name, value)| (name.clone(), value.expose().clone())));
    if service.kind == ServiceKind::Web
        && let Some(port) = service.port
    {
        all.insert("PORT".to_owned(), port.to_string());
    }
    let instance = if key.slot == TASK_SLOT { "run".to_owned() } else { key.slot.to_string() };
    for (name, value) in [
        ("WHARF_APP", environment.project.to_string()),
        ("WHARF_ENV", environment.slug.to_string()),
        ("WHARF_REVISION", key.revision.to_string()),
        ("WHARF_SERVICE", key.service.to_string()),
        ("WHARF_INSTANCE", format!("{}.{instance}", key.service)),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

/// The container of one instance.
#[must_use]
pub fn instance(key: &InstanceKey, owner: &Owner, service: &Service, environment: BTreeMap<String, String>) -> InstanceSpec {
    InstanceSpec {
        key: key.clone(),
        owner: owner.clone(),
        role: Role::Instance,
        image: service.image.id.clone(),
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        environment,
        limits: service.limits.clone(),
        stop_grace_seconds: service.stop_grace_seconds,
        network: network_name(&key.environment),
        aliases: vec![key.service.to_string()],
        hostname: format!("{}-{}", key.service, key.slot),
        tty: false,
        operation: None,
    }
}

/// A container that runs one command in the image and environment of a service, to its end.
#[must_use]
pub fn task(
    owner: &Owner,
    key: InstanceKey,
    service: &Service,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    operation: &OperationId,
) -> InstanceSpec {
    InstanceSpec {
        hostname: format!("{}-run", key.service),
        role: Role::Task,
        // The image's entry point would take the command as its arguments.
        entrypoint: Some(command),
        command: Some(Vec::new()),
        // Nobody calls it by the service's name.
        aliases: Vec::new(),
        operation: Some(operation.clone()),
        ..instance(&key, owner, service, environment)
    }
}

/// The key of a one-off container of a release.
#[must_use]
pub fn task_key(owner: &Owner, service: &crate::kernel::name::ServiceName, revision: i64) -> InstanceKey {
    InstanceKey {
        environment: owner.environment.clone(),
        service: service.clone(),
        revision,
        generation: 0,
        slot: TASK_SLOT,
    }
}

