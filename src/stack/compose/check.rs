//! What is wrong between things that are right by themselves.

use super::finding::{Finding, Place, Sink};
use super::read::Draft;
use crate::kernel::name::ServiceName;
use crate::stack::graph;
use crate::stack::model::{DependencyCondition, JobStart, Protocol, RouteProtocol, ServiceKind, Stack, Strategy};

/// Looks at each service, then at all of them together.
pub(super) fn check(stack: &Stack, drafts: &[(ServiceName, Draft)], sink: &Sink) {
    for (name, draft) in drafts {
        one_writer(name, draft, sink);
        runs(name, draft, sink);
        reachable(name, draft, sink);
        completes(draft, stack, sink);
        same_name(name, draft, stack, sink);
    }
    names(drafts, sink);
    networks(stack, drafts, sink);
    circles(stack, drafts, sink);
    criticality(stack, drafts, sink);
}

fn place(drafts: &[(ServiceName, Draft)], name: &ServiceName) -> Place {
    drafts.iter().find(|(n, _)| n == name).map_or_else(Place::default, |(_, d)| d.key_at)
}

/// Where one service says that it depends on another.
fn arrow(drafts: &[(ServiceName, Draft)], from: &ServiceName, to: &ServiceName) -> Place {
    let found = drafts.iter().find(|(n, _)| n == from).and_then(|(_, d)| d.needs_at.get(to));
    found.copied().unwrap_or_else(|| place(drafts, from))
}

fn one_writer(name: &ServiceName, draft: &Draft, sink: &Sink) {
    let service = &draft.service;
    if service.may_overlap() || !service.kind.is_standing() {
        return;
    }
    let why = if service.mounts.iter().any(|m| !m.read_only) { "writes to a volume" } else { "keeps state" };
    let alone = format!("`{name}` {why}, and two instances at the same time would destroy the data");
    let help = "run one instance, or keep the data in a database and mount the volume with `read_only: true`";
    if service.replicas > 1
        && let Some(at) = draft.said.replicas
    {
        sink.add(
            Finding::error("two-writers", at, format!("{alone}: it cannot have {} replicas", service.replicas))
                .help(help),
        );
    }
    if service.scale.as_ref().is_some_and(|s| s.max > 1)
        && let Some(at) = draft.said.scale_at
    {
        sink.add(Finding::error("two-writers", at, format!("{alone}: it cannot scale out")).help(help));
    }
    if matches!(service.rollout.strategy, Strategy::BlueGreen | Strategy::Canary)
        && let Some(at) = draft.said.rollout_at
    {
        let message =
            format!("{alone}: a {} rollout needs old and new side by side", service.rollout.strategy.as_str());
        sink.add(
            Finding::error("two-writers", at, message)
                .help("leave `strategy` out: the old one stops before the new one starts"),
        );
    }
}

fn runs(name: &ServiceName, draft: &Draft, sink: &Sink) {
    let service = &draft.service;
    let error =
        |message: String, help: &str| sink.add(Finding::error("contradiction", draft.key_at, message).help(help));
    if service.kind.is_standing() && service.job.is_some() {
        error(
            format!("`{name}` is a {} service and runs to its end, both at once", service.kind.as_str()),
            "leave `kind` out, or take `job` and `schedule` away",
        );
    }
    let scheduled = service.job.as_ref().is_some_and(|j| j.start == JobStart::Schedule && j.schedule.is_some());
    if service.kind == ServiceKind::Cron && !scheduled {
        error(format!("`{name}` is a cron service without a schedule"), "say `x-wharf: {schedule: '0 3 * * *'}`");
    }
    if service.kind == ServiceKind::Job && service.job.as_ref().is_some_and(|j| j.schedule.is_some()) {
        error(format!("`{name}` is a job with a schedule"), "say `kind: cron`, or leave `kind` out");
    }
    if !service.kind.is_standing() && (service.scale.is_some() || !service.routes.is_empty()) {
        error(
            format!("`{name}` runs to its end: it has no instances to scale or to route to"),
            "take `scale` and `routes` away",
        );
    }
    if let (Some(scale), Some(at)) = (&service.scale, draft.said.scale_at)
        && scale.min == 0
        && service.kind == ServiceKind::Worker
    {
        let message = format!("`{name}` cannot scale to zero: nobody calls it, so nothing would wake it");
        sink.add(Finding::error("contradiction", at, message).help("say `min: 1`"));
    }
    if service.rollout.strategy == Strategy::Canary
        && service.kind != ServiceKind::Web
        && let Some(at) = draft.said.rollout_at
    {
        let message = format!("a canary of `{name}` is not possible: it gets no requests that could be shared out");
        sink.add(Finding::error("contradiction", at, message).help("use `rolling`"));
    }
}

/// A job and a workflow are called by their names, so there is one of each.
fn same_name(name: &ServiceName, draft: &Draft, stack: &Stack, sink: &Sink) {
    if draft.service.job.is_some() && stack.workflows.keys().any(|w| w.as_str() == name.as_str()) {
        let message = format!("`{name}` is the name of a job and of a workflow");
        sink.add(Finding::error("contradiction", draft.key_at, message).help("give one of them another name"));
    }
}

fn reachable(name: &ServiceName, draft: &Draft, sink: &Sink) {
    let service = &draft.service;
    let asks = matches!(service.health.protocol, Protocol::Http | Protocol::Tcp);
    if draft.said.health && asks && service.port.is_none() && service.health.port.is_none() {
        let message = format!("the health check of `{name}` asks on a port, and none is known");
        sink.add(Finding::error("missing-key", draft.key_at, message).help("say `x-wharf: {port: …}`"));
    }
    if service.routes.iter().any(|r| r.protocol == RouteProtocol::Https) {
        let message = format!("`{name}` speaks HTTPS by itself, and the ingress speaks plain HTTP to services");
        let help = "name its port for plain HTTP; HTTPS ends at the ingress, with a certificate it gets by itself";
        sink.add(Finding::error("refused", draft.key_at, message).help(help));
    }
}

fn completes(draft: &Draft, stack: &Stack, sink: &Sink) {
    for (on, dependency) in &draft.service.depends_on {
        let Some(other) = stack.services.get(on) else { continue };
        let at = draft.needs_at.get(on).copied().unwrap_or(draft.key_at);
        if dependency.condition == DependencyCondition::Completed && other.kind.is_standing() {
            let message = format!("`{on}` is a {} service: it never runs to its end", other.kind.as_str());
            sink.add(Finding::error("contradiction", at, message).help("wait for `service_healthy`, or make it a job"));
        }
        let unstarted =
            other.kind == ServiceKind::Cron || other.job.as_ref().is_some_and(|j| j.start == JobStart::Manual);
        if unstarted {
            let message = format!("`{on}` is not started by a deploy, so nobody can wait for it");
            sink.add(
                Finding::error("contradiction", at, message)
                    .help("take the dependency away, or let it start with each release"),
            );
        }
    }
}

/// A further name must not be another service's.
fn names(drafts: &[(ServiceName, Draft)], sink: &Sink) {
    for (name, draft) in drafts {
        let of_networks = draft.service.networks.values().flat_map(|a| &a.aliases);
        for alias in draft.service.aliases.iter().chain(of_networks) {
            if drafts.iter().any(|(other, _)| other != name && other.as_str() == alias) {
                let message = format!("`{name}` has the further name `{alias}`, which is another service's");
                sink.add(
                    Finding::warning("other-meaning", draft.key_at, message)
                        .help("callers of that name would reach either; rename one"),
                );
            }
        }
    }
}

/// All services of an environment share one network. Whoever wants some kept apart is told that they are not.
fn networks(stack: &Stack, drafts: &[(ServiceName, Draft)], sink: &Sink) {
    let pairs = drafts
        .iter()
        .enumerate()
        .flat_map(|(i, (a, draft))| drafts[i + 1..].iter().map(move |(b, _)| (a, b, draft.key_at)));
    // With a network that is not there, nobody knows who shares what.
    if sink.has_errors() {
        return;
    }
    if let Some((a, b, at)) = pairs.into_iter().find(|(a, b, _)| !stack.may_talk(a, b)) {
        let message = format!("`{a}` and `{b}` share no network, and can reach each other all the same");
        let help = "all services of an environment are in one network; what must be kept apart belongs into two apps";
        sink.add(Finding::warning("other-meaning", at, message).help(help));
    }
}

fn circles(stack: &Stack, drafts: &[(ServiceName, Draft)], sink: &Sink) {
    for circle in graph::cycles(stack) {
        let next = |i: usize| &circle[(i + 1) % circle.len()];
        let steps: Vec<String> = circle
            .iter()
            .enumerate()
            .map(|(i, name)| format!("{name} (line {})", arrow(drafts, name, next(i)).line))
            .chain([circle[0].to_string()])
            .collect();
        let message = format!("services wait for each other, so none can start: {}", steps.join(" → "));
        let finding = Finding::error("cycle", arrow(drafts, &circle[0], next(0)), message);
        sink.add(finding.help("take one of these dependencies away; a service can also wait by trying again"));
    }
}

fn criticality(stack: &Stack, drafts: &[(ServiceName, Draft)], sink: &Sink) {
    for weak in graph::weak_dependencies(stack) {
        let message = format!(
            "`{}` is {} and depends on `{}`, which is only {}",
            weak.service,
            weak.criticality.as_str(),
            weak.on,
            weak.on_criticality.as_str()
        );
        let help = format!(
            "under pressure `{}` yields first and takes `{}` with it: raise its criticality",
            weak.on, weak.service
        );
        sink.add(Finding::warning("criticality", arrow(drafts, &weak.service, &weak.on), message).help(help));
    }
}
