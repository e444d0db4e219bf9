//! The planner's sentences. Simple English, one fact each, with figures.

use super::scene::Scene;
use crate::engine::{ContainerState, InstanceKey, Observed};
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::scheduler::health::{Health, Verdict};
use crate::scheduler::model::{Trouble, version_of};
use crate::scheduler::report::{InstanceReport, InstanceState};
use crate::stack::Service;

/// Instances named one by one in a wait; the others are counted.
const NAMED: usize = 3;

pub(super) fn name(key: &InstanceKey) -> String {
    format!("{}.{}", key.service, key.slot)
}

pub(super) fn name_and_version(key: &InstanceKey) -> String {
    format!("{} of {}", name(key), version_of(key))
}

/// `0.4 s`, `12 s`, `3 min`.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms @ 10_000..120_000 => format!("{} s", ms / 1000),
        ms => format!("{} min", ms / 60_000),
    }
}

pub(super) fn service_wait(name: &ServiceName, healthy: u32, wanted: u32, details: &[String]) -> String {
    let mut text = format!("{name}: {healthy} of {wanted} instance{} healthy", if wanted == 1 { "" } else { "s" });
    for detail in details.iter().take(NAMED) {
        text.push_str("; ");
        text.push_str(detail);
    }
    if details.len() > NAMED {
        text.push_str(&format!("; and {} more", details.len() - NAMED));
    }
    text
}

pub(super) fn starting(scene: &Scene<'_>, container: &Observed, service: &Service) -> String {
    let who = name(&container.key);
    let Some(health) = scene.facts(container).map(|f| &f.health) else { return format!("{who} is starting") };
    let detail = health.detail.as_deref().unwrap_or("is up and must stay so for a moment");
    let waited = scene.now.since_ms(health.watched_since) / 1000;
    format!("{who} {detail} ({waited} s of {} s)", service.health.start_deadline_ms / 1000)
}

/// How a run ended: `exited with code 3`, `was killed for using more than its 512 MiB of memory`.
fn end(scene: &Scene<'_>, container: &Observed) -> String {
    let ContainerState::Exited { code, oom_killed, .. } = container.state else { return "has ended".to_owned() };
    let service = scene.desired.and_then(|d| d.service_of(&container.key));
    match (oom_killed, service) {
        (true, Some(s)) => format!("was killed for using more than its {} MiB of memory", s.limits.memory_mib),
        (true, None) => "was killed for using too much memory".to_owned(),
        (false, _) => format!("exited with code {code}"),
    }
}

fn last_words(scene: &Scene<'_>, container: &Observed) -> String {
    match scene.facts(container).and_then(|f| f.last_words.as_deref()).map(str::trim) {
        Some(line) if !line.is_empty() => format!("; its last line: {line}"),
        _ => String::new(),
    }
}

pub(super) fn ended(scene: &Scene<'_>, container: &Observed, retry_at: Timestamp) -> String {
    let crashes = scene.facts(container).map_or(1, |f| f.crashes);
    let wait = retry_at.since_ms(scene.now);
    let next =
        if wait > 0 { format!("is started again in {}", span(wait)) } else { "is being started again".to_owned() };
    let how = end(scene, container);
    let looping = if crashes >= scene.policy.crash_loop {
        format!("is in a crash loop ({crashes} ends in a row): it ")
    } else {
        String::new()
    };
    format!("{} {looping}{how} and {next}{}", name(&container.key), last_words(scene, container))
}

pub(super) fn ill(scene: &Scene<'_>, container: &Observed, since: Timestamp) -> String {
    let detail = detail(scene, container).unwrap_or_else(|| "fails its checks".to_owned());
    format!("{} is out of the routes: it {detail}, for {} now", name(&container.key), span(scene.now.since_ms(since)))
}

pub(super) fn late(scene: &Scene<'_>, container: &Observed, service: &Service) -> String {
    format!("{} and is started again", never_healthy(scene, container, service))
}

fn detail(scene: &Scene<'_>, container: &Observed) -> Option<String> {
    scene.facts(container).and_then(|f| f.health.detail.clone())
}

pub(super) fn troubled(scene: &Scene<'_>, key: &InstanceKey, retry_at: Timestamp) -> String {
    let reason = scene.world.trouble.get(key).map_or("", |t| &t.reason);
    format!("{} {reason}; tried again in {}", name(key), span(retry_at.since_ms(scene.now)))
}

pub(super) fn start_failed(key: &InstanceKey, trouble: &Trouble) -> String {
    format!("{} {}", name(key), trouble.reason)
}

pub(super) fn ended_for_good(
    scene: &Scene<'_>,
    container: &Observed,
    service: &Service,
    code: i64,
    oom_killed: bool,
    at: Timestamp,
    crashes: u32,
) -> String {
    let who = name(&container.key);
    let words = last_words(scene, container);
    if oom_killed {
        let limit = service.limits.memory_mib;
        return format!("{who} was killed for using more than its {limit} MiB of memory{words}");
    }
    let times = match crashes {
        0 | 1 => String::new(),
        2 => " twice in a row".to_owned(),
        n => format!(" {n} times in a row"),
    };
    let watched = scene.facts(container).map(|f| at.since_ms(f.health.watched_since)).filter(|ms| *ms >= 100);
    let after = watched.map_or(String::new(), |ms| format!(", {} after its start", span(ms)));
    let hint = if code == 0 { "; a service must keep running" } else { "" };
    format!("{who} exited with code {code}{times}{after}{hint}{words}")
}

pub(super) fn never_healthy(scene: &Scene<'_>, container: &Observed, service: &Service) -> String {
    let detail = detail(scene, container).unwrap_or_else(|| "passed no check".to_owned());
    let limit = span(i64::from(service.health.start_deadline_ms));
    format!("{} did not become healthy within {limit}: it {detail}", name(&container.key))
}

pub(super) fn misplaced(key: &InstanceKey, health: &Health) -> String {
    format!("{} {}", name(key), health.detail.as_deref().unwrap_or("listens on a wrong address"))
}

pub(super) fn out_of_time(limit_ms: i64, waiting: &[String]) -> String {
    let shown: Vec<&str> = waiting.iter().take(NAMED).map(String::as_str).collect();
    format!("it did not become ready within {}: {}", span(limit_ms), shown.join("; "))
}

/// All instances of an environment as they are, for `ps`.
pub(super) fn instances(scene: &Scene<'_>) -> Vec<InstanceReport> {
    scene.by_key.values().chain(&scene.doubles).map(|c| instance(scene, c)).collect()
}

fn instance(scene: &Scene<'_>, container: &Observed) -> InstanceReport {
    let facts = scene.facts(container);
    let service = scene.desired.and_then(|d| d.service_of(&container.key));
    let routed = scene.world.ingress.applied.as_ref().is_some_and(|a| a.contains(&container.id));
    let in_flight = scene.world.ingress.in_flight.get(&container.id).copied().unwrap_or(0);
    let (state, since, detail) = match container.state {
        ContainerState::Created => (InstanceState::Created, None, None),
        ContainerState::Exited { finished_at, .. } => {
            let detail = format!("{}{}", end(scene, container), last_words(scene, container));
            (InstanceState::Exited, Some(finished_at), Some(detail))
        }
        ContainerState::Running { started_at } => {
            let verdict = service.and_then(|s| scene.world.verdict(container, s, scene.now));
            let state = match verdict {
                _ if facts.is_some_and(|f| f.stop_asked) => InstanceState::Stopping,
                None => InstanceState::Draining,
                Some(Verdict::Healthy { .. }) => InstanceState::Healthy,
                Some(Verdict::Starting) => InstanceState::Starting,
                Some(Verdict::Ill { .. } | Verdict::Late) => InstanceState::Ill,
            };
            (state, Some(started_at), detail_of(facts))
        }
    };
    InstanceReport {
        name: name(&container.key),
        service: container.key.service.to_string(),
        slot: container.key.slot,
        version: version_of(&container.key),
        container: container.id.clone(),
        state,
        since_ms: since.map(|t| t.0),
        address: container.address,
        routed,
        in_flight,
        crashes: facts.map_or(0, |f| f.crashes),
        detail,
    }
}

fn detail_of(facts: Option<&crate::scheduler::model::Facts>) -> Option<String> {
    facts.and_then(|f| f.health.detail.clone())
}
