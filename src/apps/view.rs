//! From the platform's own values to those the API and the portal show. Pure.

use super::{
    AppState, InstanceView, OperationLine, OperationView, PortView, RevisionView, RolloutServiceView, RolloutView,
    ServiceView,
};
use crate::kernel::clock::Timestamp;
use crate::operations::Operation;
use crate::operations::model::Line;
use crate::releases::Stored;
use crate::scheduler::report::{EnvironmentReport, InstanceReport, InstanceState, RolloutService, ServiceReport};
use crate::stack::ServiceKind;
use crate::stack::diff::diff;
use crate::stack::lifecycle::Life;
use crate::tenancy::model::{Environment, PublicPort};

/// Healthy and wanted instances of what serves.
pub(super) fn totals(report: Option<&EnvironmentReport>) -> (u32, u32) {
    let Some(report) = report else { return (0, 0) };
    report
        .services
        .iter()
        .filter(|s| s.serving || report.serving.is_none())
        .fold((0, 0), |(healthy, wanted), s| (healthy + s.healthy.min(s.wanted), wanted + s.wanted))
}

/// A port of the machine.
pub(super) fn port(port: &PublicPort, domain: &str) -> PortView {
    PortView {
        service: port.service.to_string(),
        transport: port.transport.as_str().to_owned(),
        port: port.port,
        address: format!("{domain}:{}", port.published),
    }
}

/// The state of an app at a glance.
pub(super) fn state(environment: &Environment, report: Option<&EnvironmentReport>, changing: bool) -> AppState {
    if changing {
        return AppState::Deploying;
    }
    if environment.stopped {
        return AppState::Stopped;
    }
    if environment.serving_revision.is_none() {
        return AppState::Empty;
    }
    match totals(report) {
        (healthy, wanted) if healthy >= wanted => AppState::Running,
        // After a restart of the control plane nothing is known to be healthy yet, and the routes go on as they were.
        (0, _) if report.is_some_and(|r| r.instances.iter().any(|i| i.routed)) => AppState::Degraded,
        (0, _) => AppState::Down,
        _ => AppState::Degraded,
    }
}

/// The services of what serves, then those of what is coming up.
pub(super) fn services(report: &EnvironmentReport) -> Vec<ServiceView> {
    let mut names: Vec<&str> = report.services.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let main = report.services.iter().find(|s| s.name == name && s.serving);
            let any = main.or_else(|| report.services.iter().find(|s| s.name == name));
            let prefix = format!("{name}.");
            let about = |w: &&String| {
                w.starts_with(&prefix) || w.starts_with(&format!("{name}:")) || w.starts_with(&format!("{name} "))
            };
            ServiceView {
                name: name.to_owned(),
                kind: any.map_or(ServiceKind::Worker, |s| s.kind).as_str().to_owned(),
                wanted: any.map_or(0, |s| s.wanted),
                healthy: any.map_or(0, |s| s.healthy),
                state: any.map_or(String::new(), |s| s.state.as_str().to_owned()),
                cause: life(any).map_or(String::new(), |l| l.cause.cause.clone()),
                actor: life(any).map_or(String::new(), |l| l.cause.actor.clone()),
                since: life(any).map(|l| l.since.rfc3339()),
                deadline_at: life(any).and_then(|l| l.cause.deadline).map(Timestamp::rfc3339),
                waiting_for: report.waits.iter().filter(about).cloned().collect(),
                instances: report.instances.iter().filter(|i| i.service == name).map(instance).collect(),
            }
        })
        .collect()
}

fn life(service: Option<&ServiceReport>) -> Option<&Life> {
    service?.life.as_ref()
}

/// The release that is taking over.
pub(super) fn rollout(report: &EnvironmentReport) -> Option<RolloutView> {
    let found = report.rollout.as_ref()?;
    let service = |s: &RolloutService| RolloutServiceView {
        name: s.name.clone(),
        strategy: s.strategy.to_owned(),
        step: s.step,
        steps: s.steps,
        percent: s.percent,
    };
    Some(RolloutView {
        revision: found.version.revision,
        actor: found.cause.actor.clone(),
        cause: found.cause.cause.clone(),
        since: found.since.rfc3339(),
        deadline_at: found.cause.deadline.map(Timestamp::rfc3339),
        paused_by: found.paused_by.clone(),
        withdrawn: found.withdrawn.clone(),
        services: found.services.iter().map(service).collect(),
        waiting_for: report.waits.clone(),
    })
}

fn instance(i: &InstanceReport) -> InstanceView {
    let state = match i.state {
        InstanceState::Created => "provision",
        InstanceState::Starting => "ready",
        InstanceState::Healthy => "run",
        InstanceState::Ill => "ill",
        InstanceState::Draining => "draining",
        InstanceState::Stopping => "stopping",
        InstanceState::Exited => "exited",
    };
    let runs = !matches!(i.state, InstanceState::Created | InstanceState::Exited);
    InstanceView {
        name: i.name.clone(),
        revision: i.version.revision,
        state: state.to_owned(),
        detail: i.detail.clone(),
        started_at: i.since_ms.filter(|_| runs).map(|ms| Timestamp(ms).rfc3339()),
        restarts: i.crashes,
    }
}

/// An operation.
pub(super) fn operation(o: &Operation) -> OperationView {
    OperationView {
        id: o.id.to_string(),
        kind: o.kind.as_str().to_owned(),
        state: o.state.as_str().to_owned(),
        phase: o.phase.clone(),
        actor: o.actor.clone(),
        cause: o.cause.clone(),
        revision: o.revision,
        summary: o.summary.clone(),
        created_at: o.created_at.rfc3339(),
        finished_at: o.finished_at.map(Timestamp::rfc3339),
        deadline_at: o.deadline_at.rfc3339(),
    }
}

/// A line of an operation.
pub(super) fn line(l: &Line) -> OperationLine {
    OperationLine { seq: l.seq, at: l.at.rfc3339(), kind: l.kind.as_str().to_owned(), line: l.line.clone() }
}

/// Releases, newest first, each with what it changed against the one before it.
pub(super) fn revisions(newest_first: &[Stored], serving: Option<i64>) -> Vec<RevisionView> {
    newest_first
        .iter()
        .enumerate()
        .map(|(i, stored)| {
            let r = &stored.revision;
            let mut changes = Vec::new();
            if let Some(before) = newest_first.get(i + 1) {
                changes.extend(
                    diff(&before.revision.stack, &r.stack).into_iter().map(|c| format!("{} {}", c.subject, c.text)),
                );
                if before.revision.config_version != r.config_version {
                    changes.push(format!("configuration {} → {}", before.revision.config_version, r.config_version));
                }
            }
            RevisionView {
                number: r.number,
                hash: r.hash.clone(),
                source_commit: r.source_commit.clone(),
                author: r.author.clone(),
                message: r.message.clone(),
                config_version: r.config_version,
                created_at: r.created_at.rfc3339(),
                serving: serving == Some(r.number),
                failed_reason: stored.failed_reason.clone(),
                changes,
            }
        })
        .collect()
}
