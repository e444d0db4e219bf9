//! What differs between two versions of one service.

use super::Aspect::{
    Command, Container, Dependencies, Environment, Files, Health, Image, Job, Network, Policy, Release, Resources,
    Routes, Scale, Service as Kind, Volumes,
};
use super::{Aspect, Effect, names, short};
use crate::stack::model::{ImageRef, ResourceName, Route, RouteHost, Service};

type Found = (Aspect, Effect, String);

/// The differences of a service; `content` says whether a config or secret is another one.
pub(super) fn changes(old: &Service, new: &Service, content: &dyn Fn(&ResourceName) -> bool) -> Vec<Found> {
    let mut out = Vec::new();
    what_runs(old, new, &mut out);
    where_reached(old, new, &mut out);
    what_data(old, new, content, &mut out);
    how_treated(old, new, &mut out);
    out
}

fn note(out: &mut Vec<Found>, differs: bool, aspect: Aspect, effect: Effect, text: impl Into<String>) {
    if differs {
        out.push((aspect, effect, text.into()));
    }
}

fn what_runs(old: &Service, new: &Service, out: &mut Vec<Found>) {
    let kinds = format!("kind {} → {}", old.kind.as_str(), new.kind.as_str());
    note(out, old.kind != new.kind, Kind, Effect::Restart, kinds);
    if old.image.id != new.image.id || (old.image.id.is_empty() && old.image.name != new.image.name) {
        note(out, true, Image, Effect::Restart, format!("image {} → {}", image(&old.image), image(&new.image)));
    }
    note(out, old.build != new.build, Image, Effect::None, "build changes");
    let command = old.entrypoint != new.entrypoint || old.command != new.command;
    note(out, command, Command, Effect::Restart, "command changes");
    for name in names(old.environment.keys(), new.environment.keys()) {
        let (before, after) = (old.environment.get(name), new.environment.get(name));
        let verb = if after.is_none() { "is removed" } else { "changes" };
        note(out, before != after, Environment, Effect::Restart, format!("environment {name} {verb}"));
    }
    for name in names(old.secret_environment.keys(), new.secret_environment.keys()) {
        let (before, after) = (old.secret_environment.get(name), new.secret_environment.get(name));
        let verb = if after.is_none() { "is removed" } else { "changes" };
        let text = format!("environment {} (a secret) {verb}", name.as_str());
        note(out, before != after, Environment, Effect::Restart, text);
    }
    note(out, old.container != new.container, Container, Effect::Restart, "container settings change");
    let grace = format!("stop grace {} s → {} s", old.stop_grace_seconds, new.stop_grace_seconds);
    note(out, old.stop_grace_seconds != new.stop_grace_seconds, Policy, Effect::Restart, grace);
}

fn where_reached(old: &Service, new: &Service, out: &mut Vec<Found>) {
    let ports = format!("port {} → {}", port(old.port), port(new.port));
    note(out, old.port != new.port, Network, Effect::Restart, ports);
    for route in new.routes.iter().filter(|r| !old.routes.contains(r)) {
        note(out, true, Routes, Effect::Reroute, format!("route {} is added", words(route)));
    }
    for route in old.routes.iter().filter(|r| !new.routes.contains(r)) {
        note(out, true, Routes, Effect::Reroute, format!("route {} is removed", words(route)));
    }
    note(out, old.exposures != new.exposures, Routes, Effect::Reroute, "exposed ports change");
    let names = old.aliases != new.aliases || old.networks != new.networks;
    note(out, names, Network, Effect::Restart, "networks and names change");
}

fn what_data(old: &Service, new: &Service, content: &dyn Fn(&ResourceName) -> bool, out: &mut Vec<Found>) {
    for mount in new.mounts.iter().filter(|m| !old.mounts.contains(m)) {
        let access = if mount.read_only { ", read-only" } else { "" };
        let text = format!("volume {} at {}{access}", mount.volume, mount.target);
        note(out, true, Volumes, Effect::Restart, text);
    }
    for mount in old.mounts.iter().filter(|m| !new.mounts.iter().any(|n| n.target == m.target)) {
        note(
            out,
            true,
            Volumes,
            Effect::Restart,
            format!("volume {} is not at {} any more", mount.volume, mount.target),
        );
    }
    for file in &new.files {
        let (crate::stack::model::FileSource::Config(name) | crate::stack::model::FileSource::Secret(name)) =
            &file.source;
        let differs = !old.files.contains(file) || content(name);
        note(out, differs, Files, Effect::Restart, format!("file {} changes", file.target));
    }
    for file in old.files.iter().filter(|f| !new.files.iter().any(|n| n.target == f.target)) {
        note(out, true, Files, Effect::Restart, format!("file {} is removed", file.target));
    }
}

fn how_treated(old: &Service, new: &Service, out: &mut Vec<Found>) {
    note(out, old.health != new.health, Health, Effect::Restart, "health check changes");
    let replicas = format!("replicas {} → {}", old.replicas, new.replicas);
    note(out, old.replicas != new.replicas, Scale, Effect::Rescale, replicas);
    if old.scale != new.scale {
        let bounds = |s: &Service| s.scale.as_ref().map_or("none".to_owned(), |s| format!("{}-{}", s.min, s.max));
        let (before, after) = (bounds(old), bounds(new));
        let text =
            if before == after { "scaling targets change".to_owned() } else { format!("scaling {before} → {after}") };
        note(out, true, Scale, Effect::None, text);
    }
    if old.limits != new.limits {
        let (a, b) = (&old.limits, &new.limits);
        let mut parts = Vec::new();
        let mut part = |differs: bool, text: String| {
            if differs {
                parts.push(text);
            }
        };
        part(a.memory_mib != b.memory_mib, format!("memory {} → {} MiB", a.memory_mib, b.memory_mib));
        part(a.cpu_millis != b.cpu_millis, format!("processor {} → {} millicores", a.cpu_millis, b.cpu_millis));
        part(a.pids != b.pids, format!("processes {} → {}", a.pids, b.pids));
        note(out, true, Resources, Effect::Restart, format!("limits change: {}", parts.join(", ")));
    }
    note(out, old.reservation != new.reservation, Resources, Effect::Restart, "reservation changes");
    note(out, old.placement != new.placement, Resources, Effect::Restart, "placement changes");
    note(out, old.depends_on != new.depends_on, Dependencies, Effect::None, "dependencies change");
    let care = format!("care {:?} → {:?}", old.care, new.care).to_lowercase();
    note(out, old.care != new.care, Policy, Effect::None, care);
    let criticality = format!("criticality {} → {}", old.criticality.as_str(), new.criticality.as_str());
    note(out, old.criticality != new.criticality, Policy, Effect::None, criticality);
    note(out, old.restart != new.restart, Policy, Effect::None, "restart policy changes");
    note(out, old.rollout != new.rollout, Policy, Effect::None, "rollout policy changes");
    note(out, old.slo != new.slo, Policy, Effect::None, "objectives change");
    note(out, old.traffic != new.traffic, Policy, Effect::Reroute, "traffic limits change");
    note(out, old.resilience != new.resilience, Policy, Effect::Reroute, "resilience changes");
    note(out, old.backup != new.backup, Policy, Effect::None, "backup changes");
    note(out, old.job != new.job, Job, Effect::None, "job settings change");
    if old.release != new.release {
        let text = match &new.release {
            None => "release command is removed".to_owned(),
            Some(r) => format!("release command is `{}`", r.command.join(" ")),
        };
        note(out, true, Release, Effect::None, text);
    }
}

/// The content where it is known, the name where it is not.
fn image(image: &ImageRef) -> String {
    if image.is_pinned() { short(&image.id).to_owned() } else { image.name.clone() }
}

fn port(port: Option<u16>) -> String {
    port.map_or_else(|| "none".to_owned(), |p| p.to_string())
}

fn words(route: &Route) -> String {
    let host = match &route.host {
        RouteHost::Environment => "(all domains)".to_owned(),
        RouteHost::Service => "(own domain)".to_owned(),
        RouteHost::Domain(host) => host.to_string(),
    };
    format!("{host}{} to port {}", route.path, route.port)
}
