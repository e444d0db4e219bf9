//! The planner's sentences. Simple English, one fact each, with figures.

use super::scene::{Scene, Seat};
use crate::engine::{ContainerState, InstanceKey};
use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;
use crate::releases::rollout::Pause;
use crate::scheduler::health::{Health, Verdict};
use crate::scheduler::model::{Trouble, Version, verdict, version_of};
use crate::scheduler::pressure::{Short, Yield};
use crate::scheduler::report::{InstanceReport, InstanceState};
use crate::stack::Service;
use crate::stack::model::DependencyCondition;

/// Instances named one by one in a wait; the others are counted.
pub(super) const NAMED: usize = 3;

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

pub(super) fn starting(scene: &Scene<'_>, seat: Seat<'_>, service: &Service) -> String {
    let who = name(&seat.key);
    let Some(health) = seat.facts.map(|f| &f.health) else { return format!("{who} is starting") };
    let detail = health.detail.as_deref().unwrap_or("is up and must stay so for a moment");
    let waited = scene.now.since_ms(health.watched_since) / 1000;
    format!("{who} {detail} ({waited} s of {} s)", service.health.start_deadline_ms / 1000)
}

/// How a run ended: `exited with code 3`, `was killed for using more than its 512 MiB of memory`.
fn end(scene: &Scene<'_>, seat: Seat<'_>) -> String {
    let ContainerState::Exited { code, oom_killed, .. } = seat.state else { return "has ended".to_owned() };
    let service = scene.desired.and_then(|d| d.service_of(&seat.key));
    match (oom_killed, service) {
        (true, Some(s)) => format!("was killed for using more than its {} MiB of memory", s.limits.memory_mib),
        (true, None) => "was killed for using too much memory".to_owned(),
        (false, _) => format!("exited with code {code}"),
    }
}

fn last_words(seat: Seat<'_>) -> String {
    match seat.facts.and_then(|f| f.last_words.as_deref()).map(str::trim) {
        Some(line) if !line.is_empty() => format!("; its last line: {line}"),
        _ => String::new(),
    }
}

pub(super) fn ended(scene: &Scene<'_>, seat: Seat<'_>, retry_at: Timestamp) -> String {
    let crashes = seat.crashes();
    let wait = retry_at.since_ms(scene.now);
    let next =
        if wait > 0 { format!("is started again in {}", span(wait)) } else { "is being started again".to_owned() };
    let how = end(scene, seat);
    let looping = if crashes >= scene.policy.crash_loop {
        format!("is in a crash loop ({crashes} ends in a row): it ")
    } else {
        String::new()
    };
    format!("{} {looping}{how} and {next}{}", name(&seat.key), last_words(seat))
}

pub(super) fn ill(scene: &Scene<'_>, seat: Seat<'_>, since: Timestamp) -> String {
    let detail = detail(seat).unwrap_or_else(|| "fails its checks".to_owned());
    format!("{} is out of the routes: it {detail}, for {} now", name(&seat.key), span(scene.now.since_ms(since)))
}

pub(super) fn late(seat: Seat<'_>, service: &Service) -> String {
    format!("{} and is started again", never_healthy(seat, service))
}

fn detail(seat: Seat<'_>) -> Option<String> {
    seat.facts.and_then(|f| f.health.detail.clone())
}

pub(super) fn troubled(scene: &Scene<'_>, key: &InstanceKey, retry_at: Timestamp) -> String {
    let reason = scene.world.trouble.get(key).map_or("", |t| &t.reason);
    format!("{} {reason}; tried again in {}", name(key), span(retry_at.since_ms(scene.now)))
}

pub(super) fn start_failed(key: &InstanceKey, trouble: &Trouble) -> String {
    format!("{} {}", name(key), trouble.reason)
}

pub(super) fn ended_for_good(seat: Seat<'_>, service: &Service, code: i64, oom_killed: bool, at: Timestamp) -> String {
    let who = name(&seat.key);
    let words = last_words(seat);
    if oom_killed {
        let limit = service.limits.memory_mib;
        return format!("{who} was killed for using more than its {limit} MiB of memory{words}");
    }
    let times = match seat.crashes() {
        0 | 1 => String::new(),
        2 => " twice in a row".to_owned(),
        n => format!(" {n} times in a row"),
    };
    let watched = seat.facts.map(|f| at.since_ms(f.health.watched_since)).filter(|ms| *ms >= 100);
    let after = watched.map_or(String::new(), |ms| format!(", {} after its start", span(ms)));
    let hint = if code == 0 { "; a service must keep running" } else { "" };
    format!("{who} exited with code {code}{times}{after}{hint}{words}")
}

pub(super) fn never_healthy(seat: Seat<'_>, service: &Service) -> String {
    let detail = detail(seat).unwrap_or_else(|| "passed no check".to_owned());
    let limit = span(i64::from(service.health.start_deadline_ms));
    format!("{} did not become healthy within {limit}: it {detail}", name(&seat.key))
}

pub(super) fn misplaced(key: &InstanceKey, health: &Health) -> String {
    format!("{} {}", name(key), health.detail.as_deref().unwrap_or("listens on a wrong address"))
}

pub(super) fn out_of_time(limit_ms: i64, waiting: &[String]) -> String {
    let shown: Vec<&str> = waiting.iter().take(NAMED).map(String::as_str).collect();
    format!("it did not become ready within {}: {}", span(limit_ms), shown.join("; "))
}

pub(super) fn waits_for(on: &ServiceName, condition: DependencyCondition) -> String {
    let what = match condition {
        DependencyCondition::Started => "to be started",
        DependencyCondition::Healthy => "to be healthy",
        DependencyCondition::Completed => "to run to its end",
    };
    format!("waits for {on} {what}")
}

pub(super) fn waits_for_turn(name: &ServiceName) -> String {
    format!("{name} runs in one version only, and is changed when the services that do not need it are ready")
}

pub(super) fn step(name: &ServiceName, version: Version, index: u32, of: usize, percent: u8) -> String {
    format!("{name}: step {} of {of}, {version} has {percent} % of the requests", index + 1)
}

pub(super) fn worse(name: &ServiceName, version: Version, percent: u8, text: &str) -> String {
    format!("{name} of {version}, with {percent} % of the requests, {text}")
}

pub(super) fn paused(version: Version, pause: &Pause) -> String {
    format!("the rollout of {version} was paused by {}; wharf rollout resume lets it go on", pause.by)
}

pub(super) fn paused_too_long(pause: &Pause, patience_ms: i64) -> String {
    format!("{} paused it, and nobody let it go on within {}", pause.by, span(patience_ms))
}

pub(super) fn held(version: Version, reason: &str) -> String {
    format!("{version} fails and is held, as its manifest says: {reason}; decide with wharf rollout resume or abort")
}

pub(super) fn not_again(scene: &Scene<'_>, seat: Seat<'_>) -> String {
    let (who, how) = (name(&seat.key), end(scene, seat));
    format!("{who} {how} and is not started again, as its restart policy says{}", last_words(seat))
}

pub(super) fn given_up(scene: &Scene<'_>, seat: Seat<'_>, restarts: u32) -> String {
    let (who, how, service) = (name(&seat.key), end(scene, seat), &seat.key.service);
    let words = last_words(seat);
    format!(
        "{who} was restarted {restarts} times in a row and {how} again{words}; it is left as it is until somebody has looked at it: wharf retry {service}"
    )
}

pub(super) fn yields(name: &ServiceName, left: Yield) -> String {
    let Yield { wanted, left, short } = left;
    let what = match short {
        Short::Memory { free_mib, total_mib } => format!("memory ({free_mib} of {total_mib} MiB are free)"),
        Short::Cpu { busy_percent } => format!("processor time ({busy_percent} % are in use)"),
    };
    format!(
        "{name}: {left} of {wanted} instances run, because the machine is short of {what} and other services matter more"
    )
}

/// All instances of an environment as they are, for `ps`.
pub(super) fn instances(scene: &Scene<'_>) -> Vec<InstanceReport> {
    let mut all = Vec::new();
    for set in &scene.sets {
        let found = scene.desired.and_then(|d| d.service(set.service, set.version));
        all.extend(set.seats.iter().map(|seat| instance(scene, *seat, found)));
    }
    let service_of = |seat: &Seat<'_>| scene.desired.and_then(|d| d.service_of(&seat.key));
    all.extend(scene.doubles.iter().map(|seat| instance(scene, *seat, service_of(seat))));
    all
}

fn instance(scene: &Scene<'_>, seat: Seat<'_>, service: Option<&Service>) -> InstanceReport {
    let in_flight = match scene.world.ingress.in_flight.is_empty() {
        true => 0,
        false => scene.world.ingress.in_flight.get(&seat.id).copied().unwrap_or(0),
    };
    let (state, since, detail) = match seat.state {
        ContainerState::Created => (InstanceState::Created, None, None),
        ContainerState::Exited { finished_at, .. } => {
            let detail = format!("{}{}", end(scene, seat), last_words(seat));
            (InstanceState::Exited, Some(finished_at), Some(detail))
        }
        ContainerState::Running { started_at } => {
            let verdict = service.zip(seat.facts).and_then(|(s, facts)| verdict(seat.container, facts, s, scene.now));
            let state = match verdict {
                _ if seat.facts.is_some_and(|f| f.stop_asked) => InstanceState::Stopping,
                None => InstanceState::Draining,
                Some(Verdict::Healthy { .. }) => InstanceState::Healthy,
                Some(Verdict::Starting) => InstanceState::Starting,
                Some(Verdict::Ill { .. } | Verdict::Late) => InstanceState::Ill,
            };
            (state, Some(started_at), detail(seat))
        }
    };
    InstanceReport {
        name: name(&seat.key),
        service: seat.key.service.to_string(),
        slot: seat.key.slot,
        version: version_of(&seat.key),
        container: seat.id.clone(),
        state,
        since_ms: since.map(|t| t.0),
        address: seat.address,
        routed: seat.routed,
        in_flight,
        crashes: seat.facts.map_or(0, |f| f.crashes),
        detail,
    }
}
