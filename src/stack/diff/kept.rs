//! Which services can go on in the instances they have when a stack takes another one's place. Pure.

use std::collections::BTreeSet;

use crate::kernel::name::ServiceName;
use crate::stack::model::{ConfigFile, FileMount, FileSource, Origin, SecretRef, Service, Stack};

/// Whether the instances of a service can go on: their containers would be made in the same way. `changed` names what
/// has another value in the new configuration.
///
/// Only what is known to concern no container is set aside; a field that nobody thought of here means a restart.
#[must_use]
pub fn goes_on(old: &Stack, new: &Stack, name: &ServiceName, changed: &BTreeSet<String>) -> bool {
    let (Some(before), Some(after)) = (old.services.get(name), new.services.get(name)) else { return false };
    after.kind.is_standing()
        && old.origin == new.origin
        && treated_as(before, after) == *after
        && contents(old, before) == contents(new, after)
        && read(new, after, changed).next().is_none()
}

/// A service that is only treated as another one: routed, scaled, judged, saved; its containers are its own.
fn treated_as(service: &Service, other: &Service) -> Service {
    Service {
        replicas: other.replicas,
        scale: other.scale.clone(),
        ports: other.ports.clone(),
        routes: other.routes.clone(),
        exposures: other.exposures.clone(),
        depends_on: other.depends_on.clone(),
        criticality: other.criticality,
        care: other.care,
        restart: other.restart,
        rollout: other.rollout.clone(),
        slo: other.slo.clone(),
        traffic: other.traffic.clone(),
        resilience: other.resilience.clone(),
        backup: other.backup.clone(),
        job: other.job.clone(),
        release: other.release.clone(),
        // What was built differently and came out the same is the same.
        build: other.build.clone(),
        ..service.clone()
    }
}

/// What is in the files of a service: configs by their text, secrets by their version.
fn contents<'a>(stack: &'a Stack, service: &Service) -> Vec<(Option<&'a ConfigFile>, Option<&'a SecretRef>)> {
    let of = |file: &FileMount| match &file.source {
        FileSource::Config(name) => (stack.configs.get(name), None),
        FileSource::Secret(name) => (None, stack.secrets.get(name)),
    };
    service.files.iter().map(of).collect()
}

/// Those of these variables of the configuration that a service gets.
pub(super) fn read<'a>(
    stack: &'a Stack,
    service: &'a Service,
    names: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a String> {
    let gets = move |name: &str| match stack.origin {
        Origin::App => true,
        // A secret without a version is a variable of the configuration.
        Origin::Manifest => {
            service.references.iter().any(|r| r.as_str() == name)
                || stack.secrets_of(service).any(|s| s.version.is_none() && s.name.as_str() == name)
        }
    };
    names.iter().filter(move |name| gets(name))
}
