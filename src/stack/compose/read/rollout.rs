//! `x-wharf.rollout`.

use super::traffic::is_token;
use crate::stack::compose::fields::Fields;
use crate::stack::compose::{keys, units};
use crate::stack::model::{Amount, Analysis, FailureAction, Pause, Rollout, Step, Strategy, Targeting, UpdateOrder};

/// Longest a step, a deadline or the keeping warm may be, in seconds.
const LONGEST: u32 = 7 * 86_400;
/// Steps a canary may have.
const MOST_STEPS: usize = 32;

/// Puts what is said over what `deploy.update_config` said.
pub(super) fn read(f: &Fields<'_>, rollout: &mut Rollout) {
    use Strategy::{BlueGreen, Canary, Recreate, Rolling};
    if let Some(n) = f.choice("strategy", &["rolling", "blue-green", "canary", "recreate"]) {
        rollout.strategy = [Rolling, BlueGreen, Canary, Recreate][n];
    }
    if let Some(n) = f.choice("order", &["start-first", "stop-first"]) {
        rollout.order = [UpdateOrder::StartFirst, UpdateOrder::StopFirst][n];
    }
    rollout.max_surge = f.read("max_surge", amount).or(rollout.max_surge);
    rollout.max_unavailable = f.read("max_unavailable", amount).or(rollout.max_unavailable);
    rollout.delay_seconds = f.seconds("delay", LONGEST).unwrap_or(rollout.delay_seconds);
    rollout.min_healthy_seconds = f.seconds("min_healthy", LONGEST).or(rollout.min_healthy_seconds);
    rollout.keep_warm_seconds = f.seconds("keep_warm", LONGEST);
    if let Some(n) = f.choice("on_failure", &["rollback", "pause"]) {
        rollout.on_failure = [FailureAction::Rollback, FailureAction::Pause][n];
    }
    if let Some(seconds) = f.seconds("deadline", LONGEST) {
        rollout.deadline_seconds = seconds.max(10);
    }
    steps(f, rollout);
    rollout.targeting = f.open_at("target", &keys::X_TARGETING).and_then(|t| targeting(&t));
    rollout.analysis = f.open_at("analysis", &keys::X_ANALYSIS).map(|a| analysis(&a));
    let canary_only = [("steps", !rollout.steps.is_empty()), ("target", rollout.targeting.is_some())];
    for (key, said) in canary_only {
        if said && rollout.strategy != Strategy::Canary {
            let at = f.get(key).map_or(f.at, |n| n.at);
            f.bad(at, &format!("`{key}` is for canaries only"), "say `strategy: canary`");
        }
    }
    if rollout.strategy == Strategy::Canary && rollout.steps.is_empty() && f.get("steps").is_none() {
        // A share that shows much and risks little, and a time in which errors come to light.
        let pause = |seconds| Pause { seconds: Some(seconds), ..Pause::default() };
        rollout.steps = vec![Step { weight: 10, pause: pause(120) }, Step { weight: 50, pause: pause(120) }];
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    let wrong = || format!("`{text}` is neither a number nor a share; write for example `1` or `25%`");
    match text.strip_suffix('%') {
        Some(share) => share.trim().parse().ok().filter(|p| *p <= 100).map(Amount::Percent).ok_or_else(wrong),
        None => text.parse().ok().filter(|n| *n <= super::deploy::MOST_REPLICAS).map(Amount::Count).ok_or_else(wrong),
    }
}

fn steps(f: &Fields<'_>, rollout: &mut Rollout) {
    let mut last = 0;
    for node in f.list("steps").iter().take(MOST_STEPS) {
        let Some(s) = Fields::open(node, &keys::X_STEP, f.sink) else { continue };
        let Some(weight) = s.percent("weight", 100).and_then(|w| u8::try_from(w).ok()) else {
            if s.get("weight").is_none() {
                s.missing("weight", "10");
            }
            continue;
        };
        if weight < last {
            f.bad(node.at, "a step has less weight than the one before", "let the weights grow");
        }
        last = weight;
        let pause = s.open_at("pause", &keys::X_PAUSE).map_or_else(Pause::default, |p| Pause {
            seconds: p.seconds("time", LONGEST),
            requests: p.int("requests", 1, 100_000_000),
            manual: p.bool("manual").unwrap_or(false),
        });
        rollout.steps.push(Step { weight, pause });
    }
}

fn targeting(f: &Fields<'_>) -> Option<Targeting> {
    let value = f.text("value");
    let (name, at, header) = match (f.word("header"), f.word("cookie")) {
        (Some((name, at)), None) => (name, at, true),
        (None, Some((name, at))) => (name, at, false),
        _ => {
            f.bad(f.at, "name one of `header` and `cookie`", "write for example `{header: x-canary}`");
            return None;
        }
    };
    if !is_token(&name) {
        f.bad(at, &format!("`{}` is not a name", name.escape_debug()), "use letters, digits and hyphens");
        return None;
    }
    Some(if header {
        Targeting::Header { name: name.to_ascii_lowercase(), value }
    } else {
        Targeting::Cookie { name, value }
    })
}

fn analysis(f: &Fields<'_>) -> Analysis {
    let default = Analysis::default();
    let permille = |most: u64| {
        move |t: &str| {
            let n = units::thousandths(t.trim_end_matches('%').trim_end())? / 100;
            if n <= most { Ok(n) } else { Err(format!("`{t}` is too much")) }
        }
    };
    let to_u32 = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let latency = f.read("latency", permille(100_000)).map(to_u32);
    if latency.is_some_and(|l| l < 1_000) {
        let at = f.get("latency").map_or(f.at, |n| n.at);
        f.bad(at, "`latency` below 100% would ask the new version to be faster", "write for example `150%`");
    }
    Analysis {
        error_rate_permille: f
            .read("error_rate", permille(1_000))
            .and_then(|n| u16::try_from(n).ok())
            .unwrap_or(default.error_rate_permille),
        latency_permille: latency.unwrap_or(default.latency_permille),
        min_requests: f.int("min_requests", 1, 100_000_000).unwrap_or(default.min_requests),
        window_seconds: f.seconds("window", 86_400).unwrap_or(default.window_seconds).max(1),
        failures: f.int("failures", 1, 100).unwrap_or(default.failures),
    }
}
