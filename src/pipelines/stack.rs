//! From a build plan, or a bare image, to a stack. Pure.

use std::collections::BTreeMap;

use crate::builds::{BuildPlan, CommandLine, HealthKind};
use crate::engine::ImageFacts;
use crate::kernel::name::ServiceName;
use crate::stack::model::ReleaseCommand;
use crate::stack::{HealthCheck, ImageRef, Service, ServiceKind, Stack};

/// Seconds between the polite and the forceful stop, as on Heroku.
const STOP_GRACE_SECONDS: u32 = 30;
/// Seconds a release command may run.
const RELEASE_DEADLINE_SECONDS: u32 = 600;
/// The port an app is told to listen on when nothing else is said.
pub(super) const DEFAULT_PORT: u16 = 8080;

/// The stack a build gives.
///
/// # Errors
/// A process or check that cannot be taken as it stands, in a sentence for the person who pushed it.
pub(super) fn from_plan(plan: &BuildPlan, image: &ImageRef, facts: &ImageFacts) -> Result<Stack, String> {
    let port = if plan.dockerfile.is_some() { dockerfile_port(plan, facts) } else { plan.port };
    let mut services = BTreeMap::new();
    for (name, command) in &plan.processes {
        let service: ServiceName = name.parse().map_err(|e| format!("Procfile: {e}"))?;
        let kind = if name == "web" { ServiceKind::Web } else { ServiceKind::Worker };
        services.insert(service, service_of(plan, kind, image, Some(command), port, name));
    }
    if services.is_empty() {
        services.insert(ServiceName::web(), service_of(plan, ServiceKind::Web, image, None, port, "web"));
    }
    let release = plan.release.as_ref().map(|command| {
        let service = if services.contains_key(&ServiceName::web()) {
            ServiceName::web()
        } else {
            services.keys().next().cloned().unwrap_or_else(ServiceName::web)
        };
        ReleaseCommand { service, command: argv(command), deadline_seconds: RELEASE_DEADLINE_SECONDS }
    });
    Ok(Stack { services, release, ..Stack::default() })
}

/// The stack a bare image gives: one web service.
pub(super) fn from_image(image: &ImageRef, facts: &ImageFacts) -> Stack {
    let port = port_of(facts, None);
    let service = Service {
        environment: [("PORT".to_owned(), port.to_string())].into(),
        port: Some(port),
        stop_grace_seconds: STOP_GRACE_SECONDS,
        ..Service::new(ServiceKind::Web, image.clone())
    };
    Stack { services: [(ServiceName::web(), service)].into(), ..Stack::default() }
}

fn dockerfile_port(plan: &BuildPlan, facts: &ImageFacts) -> u16 {
    port_of(facts, plan.dockerfile.as_ref().and_then(|d| d.port_env))
}

/// What the image itself says wins: its `PORT`, then the one port it exposes.
fn port_of(facts: &ImageFacts, said: Option<u16>) -> u16 {
    let own = facts.environment.get("PORT").and_then(|p| p.parse().ok());
    own.or(said).or_else(|| facts.exposed_ports.first().copied()).unwrap_or(DEFAULT_PORT)
}

fn service_of(
    plan: &BuildPlan,
    kind: ServiceKind,
    image: &ImageRef,
    command: Option<&CommandLine>,
    port: u16,
    name: &str,
) -> Service {
    let mut environment = BTreeMap::new();
    if kind == ServiceKind::Web {
        environment.insert("PORT".to_owned(), port.to_string());
    }
    let replicas = plan.app.formation.get(name).and_then(|f| f.quantity).unwrap_or(1);
    // The image starts its web process by itself; saying it again would only hide the image's entry point.
    let command = if kind == ServiceKind::Web && plan.dockerfile.is_none() { None } else { command.map(argv) };
    Service {
        command,
        environment,
        port: (kind == ServiceKind::Web).then_some(port),
        health: health_of(plan, kind, name),
        replicas,
        stop_grace_seconds: STOP_GRACE_SECONDS,
        ..Service::new(kind, image.clone())
    }
}

fn health_of(plan: &BuildPlan, kind: ServiceKind, name: &str) -> HealthCheck {
    let checks = plan.app.healthchecks.get(name).map(Vec::as_slice).unwrap_or_default();
    let check = checks.iter().find(|c| c.kind == HealthKind::Startup).or_else(|| checks.first());
    let Some(check) = check else { return HealthCheck::default_for(kind) };
    let mut health = match (&check.path, kind) {
        (Some(path), ServiceKind::Web) => HealthCheck::http(path),
        _ => HealthCheck::default_for(kind),
    };
    if let Some(timeout) = check.timeout {
        health.timeout_ms = timeout.clamp(1, 60) * 1000;
    }
    if let Some(attempts) = check.attempts {
        health.failures = attempts.clamp(1, 20);
        let wait = check.wait.unwrap_or(5).clamp(1, 60);
        let allowed = attempts.saturating_mul(wait + check.timeout.unwrap_or(5)) + check.initial_delay.unwrap_or(0);
        health.start_deadline_ms = allowed.clamp(10, 600) * 1000;
    }
    health
}

/// The argument vector of a command line; what needs a shell gets the container's own, not the platform's.
fn argv(command: &CommandLine) -> Vec<String> {
    command.argv.clone()
}
