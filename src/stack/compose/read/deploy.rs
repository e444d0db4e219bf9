//! `deploy` and the older keys beside it: replicas, resources, restart, update, placement.

use super::{Cx, Draft};
use crate::stack::compose::fields::Fields;
use crate::stack::compose::finding::Finding;
use crate::stack::compose::{keys, units};
use crate::stack::model::{
    Amount, FailureAction, Limits, Placement, RestartCondition, RestartPolicy, Rollout, UpdateOrder,
};

/// Instances one service may have.
pub(super) const MOST_REPLICAS: u32 = 1_000;
/// The bounds of what one instance may be given. The tenant's quota is narrower.
const MOST_CPU_MILLIS: u64 = 256_000;
const LEAST_CPU_MILLIS: u64 = 10;
const MOST_MEMORY_MIB: u32 = 1_048_576;
const LEAST_MEMORY_MIB: u32 = 6;
const MOST_PIDS: u32 = 65_536;

pub(super) fn read(f: &Fields<'_>, cx: &Cx<'_>, draft: &mut Draft) {
    if let Some(n) = f.int("scale", 0, MOST_REPLICAS) {
        draft.service.replicas = n;
        draft.said.replicas = f.get("scale").map(|n| n.at);
    }
    limits(f, "cpus", "mem_limit", "pids_limit", &mut draft.service.limits);
    if let Some(mib) = f.read("mem_reservation", units::mib) {
        draft.service.reservation.memory_mib = mib;
    }
    restart(f, draft);
    let Some(deploy) = f.open_at("deploy", &keys::DEPLOY) else { return };
    if let Some(n) = deploy.int("replicas", 0, MOST_REPLICAS) {
        draft.service.replicas = n;
        draft.said.replicas = deploy.get("replicas").map(|n| n.at);
    }
    draft.said.job_mode = deploy.choice("mode", &["replicated", "replicated-job"]) == Some(1);
    draft.service.container.labels.extend(super::container::labels(&deploy, cx));
    if let Some(resources) = deploy.open_at("resources", &keys::RESOURCES) {
        if let Some(l) = resources.open_at("limits", &keys::LIMITS) {
            limits(&l, "cpus", "memory", "pids", &mut draft.service.limits);
        }
        if let Some(r) = resources.open_at("reservations", &keys::RESERVATIONS) {
            let reservation = &mut draft.service.reservation;
            reservation.cpu_millis = r.read("cpus", millis).unwrap_or(reservation.cpu_millis);
            reservation.memory_mib = r.read("memory", units::mib).unwrap_or(reservation.memory_mib);
        }
    }
    if let Some(policy) = deploy.open_at("restart_policy", &keys::RESTART_POLICY) {
        draft.service.restart = restart_policy(&policy);
    }
    if let Some(update) = deploy.open_at("update_config", &keys::UPDATE) {
        draft.service.rollout = update_config(&update);
    }
    if let Some(placement) = deploy.open_at("placement", &keys::PLACEMENT) {
        draft.service.placement = self::placement(&placement);
    }
    let (limits, reserved) = (&draft.service.limits, draft.service.reservation);
    if reserved.memory_mib > limits.memory_mib || reserved.cpu_millis > limits.cpu_millis {
        let at = deploy.get("resources").map_or(deploy.at, |n| n.at);
        let message = format!(
            "more is set aside ({} MiB, {} cores) than one instance may use ({} MiB, {} cores)",
            reserved.memory_mib,
            f64::from(reserved.cpu_millis) / 1000.0,
            limits.memory_mib,
            f64::from(limits.cpu_millis) / 1000.0
        );
        cx.sink.add(Finding::error("bad-value", at, message).help("raise `limits`, or lower `reservations`"));
    }
}

fn limits(f: &Fields<'_>, cpus: &str, memory: &str, pids: &str, limits: &mut Limits) {
    if let Some(n) = f.read(cpus, millis) {
        limits.cpu_millis = n;
    }
    let bounded = |t: &str| match units::mib(t)? {
        n if (LEAST_MEMORY_MIB..=MOST_MEMORY_MIB).contains(&n) => Ok(n),
        _ => Err(format!("`{t}` is not possible; at least {LEAST_MEMORY_MIB}m, at most 1t")),
    };
    if let Some(n) = f.read(memory, bounded) {
        limits.memory_mib = n;
    }
    // -1 and 0 mean "no limit" to Compose; there is always one here.
    let unlimited = f.word(pids).is_some_and(|(t, _)| matches!(t.as_str(), "-1" | "0"));
    if !unlimited && let Some(n) = f.int(pids, 1, MOST_PIDS) {
        limits.pids = n;
    }
}

fn millis(text: &str) -> Result<u32, String> {
    let n = units::thousandths(text)?;
    match u32::try_from(n) {
        Ok(n) if (LEAST_CPU_MILLIS..=MOST_CPU_MILLIS).contains(&u64::from(n)) => Ok(n),
        _ => Err(format!("`{text}` is not possible; at least 0.01 cores, at most 256")),
    }
}

fn restart(f: &Fields<'_>, draft: &mut Draft) {
    let read = |t: &str| {
        let (word, attempts) = t.split_once(':').map_or((t, None), |(w, n)| (w, Some(n)));
        let condition = match word {
            "no" | "false" => RestartCondition::Never,
            "always" | "unless-stopped" | "true" => RestartCondition::Always,
            "on-failure" => RestartCondition::OnFailure,
            _ => return Err(format!("`{t}` is not possible; choose `no`, `always`, `unless-stopped` or `on-failure`")),
        };
        let max_attempts = attempts.map(|n| n.parse().map_err(|_| format!("`{n}` is not a number"))).transpose()?;
        Ok(RestartPolicy { condition, max_attempts, ..RestartPolicy::default() })
    };
    if let Some(policy) = f.read("restart", read) {
        if policy.condition == RestartCondition::Always {
            let at = f.get("restart").map_or(f.at, |n| n.at);
            let finding = Finding::note("no-effect", at, "every service is kept running");
            f.sink.add(finding.help("an instance that ends is replaced, with a growing wait between tries"));
        }
        draft.service.restart = policy;
    }
}

fn restart_policy(f: &Fields<'_>) -> RestartPolicy {
    let condition = match f.choice("condition", &["none", "on-failure", "any"]) {
        Some(0) => RestartCondition::Never,
        Some(1) => RestartCondition::OnFailure,
        _ => RestartCondition::Always,
    };
    RestartPolicy {
        condition,
        max_attempts: f.int("max_attempts", 0, 1_000),
        delay_seconds: f.seconds("delay", 3_600),
        window_seconds: f.seconds("window", 86_400),
    }
}

fn update_config(f: &Fields<'_>) -> Rollout {
    let mut rollout = Rollout::default();
    if f.choice("order", &["start-first", "stop-first"]) == Some(1) {
        rollout.order = UpdateOrder::StopFirst;
    }
    if let Some(n) = f.int("parallelism", 0, MOST_REPLICAS) {
        let amount = if n == 0 { Amount::Percent(100) } else { Amount::Count(n) };
        match rollout.order {
            UpdateOrder::StartFirst => rollout.max_surge = Some(amount),
            UpdateOrder::StopFirst => rollout.max_unavailable = Some(amount),
        }
    }
    rollout.delay_seconds = f.seconds("delay", 3_600).unwrap_or(0);
    rollout.min_healthy_seconds = f.seconds("monitor", 3_600);
    if let Some((word, at)) = f.word("failure_action") {
        match word.as_str() {
            "rollback" => {}
            "pause" => rollout.on_failure = FailureAction::Pause,
            "continue" => {
                let message = "`continue` is refused: a version that fails never takes over";
                f.sink.add(Finding::error("refused", at, message).help("choose `rollback` or `pause`"));
            }
            _ => f.bad(at, &format!("`{word}` is not possible"), "choose `rollback` or `pause`"),
        }
    }
    rollout
}

fn placement(f: &Fields<'_>) -> Placement {
    let mut placement =
        Placement { max_per_node: f.int("max_replicas_per_node", 1, MOST_REPLICAS), ..Placement::default() };
    for (text, at) in f.texts("constraints") {
        match constraint(&text) {
            Some(c) => placement.constraints.push(c),
            None => f.bad(
                at,
                &format!("`{text}` is not a constraint"),
                "write `node.labels.NAME == value`, or `node.hostname`, `node.role`, `node.platform.os`, `node.platform.arch`",
            ),
        }
    }
    for node in f.list("preferences") {
        if let Some((text, at)) = Fields::open(node, &keys::PREFERENCE, f.sink).and_then(|p| p.word("spread")) {
            if is_property(&text) {
                placement.spread.push(text);
            } else {
                f.bad(at, &format!("`{text}` is not a property of a node"), "write for example `node.labels.zone`");
            }
        }
    }
    placement
}

fn is_property(text: &str) -> bool {
    matches!(text, "node.id" | "node.hostname" | "node.role" | "node.platform.os" | "node.platform.arch")
        || text.strip_prefix("node.labels.").is_some_and(|l| !l.is_empty() && !l.contains(char::is_whitespace))
}

/// A constraint in canonical spacing.
fn constraint(text: &str) -> Option<String> {
    let (property, operator, value) = text
        .split_once("==")
        .map(|(p, v)| (p, "==", v))
        .or_else(|| text.split_once("!=").map(|(p, v)| (p, "!=", v)))?;
    let (property, value) = (property.trim(), value.trim());
    (is_property(property) && !value.is_empty()).then(|| format!("{property} {operator} {value}"))
}
