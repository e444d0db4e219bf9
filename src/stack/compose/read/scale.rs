//! `x-wharf.scale`.

use super::deploy::MOST_REPLICAS;
use super::run::schedule;
use crate::stack::compose::fields::Fields;
use crate::stack::compose::{keys, units};
use crate::stack::model::{Metric, Scale, ScaleSchedule};

const MANY: u32 = 1_000_000;

pub(super) fn read(f: &Fields<'_>) -> Option<Scale> {
    let min = f.int("min", 0, MOST_REPLICAS).unwrap_or(1);
    if f.get("max").is_none() {
        f.missing("max", "5");
    }
    let max = f.int("max", 1, MOST_REPLICAS)?;
    if min > max {
        let at = f.get("min").map_or(f.at, |n| n.at);
        f.bad(at, &format!("`min` is {min} and `max` is {max}"), "let `min` be at most `max`");
        return None;
    }
    let mut scale = Scale {
        min,
        max,
        metrics: f.open_at("target", &keys::X_TARGET).map(|t| metrics(&t)).unwrap_or_default(),
        schedule: Vec::new(),
        cooldown_seconds: f.seconds("cooldown", 86_400),
        idle_seconds: f.seconds("idle", 7 * 86_400),
    };
    for node in f.list("schedule") {
        let Some(s) = Fields::open(node, &keys::X_SCALE_SCHEDULE, f.sink) else { continue };
        if s.get("at").is_none() {
            s.missing("at", "'0 8 * * 1-5'");
        }
        let Some(at) = schedule(&s, "at", "zone") else { continue };
        let bounds = (s.int("min", 0, MOST_REPLICAS).unwrap_or(min), s.int("max", 1, MOST_REPLICAS));
        let (min, max) = (bounds.0, bounds.1.unwrap_or(max.max(bounds.0)));
        if min > max {
            s.bad(s.at, &format!("`min` is {min} and `max` is {max}"), "let `min` be at most `max`");
            continue;
        }
        scale.schedule.push(ScaleSchedule { at, min, max, note: s.text("note").unwrap_or_default() });
    }
    Some(scale)
}

fn metrics(f: &Fields<'_>) -> Vec<Metric> {
    let query = f.open_at("query", &keys::X_QUERY).and_then(|q| {
        for (key, example) in [("query", "queue_length"), ("per_instance", "10")] {
            if q.get(key).is_none() {
                q.missing(key, example);
            }
        }
        let per = |t: &str| units::thousandths(t).and_then(|n| if n > 0 { Ok(n) } else { Err("it is 0".to_owned()) });
        Some(Metric::Query { query: q.text("query")?, target_permille: q.read("per_instance", per)? })
    });
    [
        f.int("concurrency", 1, MANY).map(Metric::Concurrency),
        f.int("rps", 1, MANY).map(Metric::RequestsPerSecond),
        f.millis("latency", 3_600).filter(|ms| *ms > 0).map(Metric::LatencyMs),
        f.percent("cpu", 100).map(|p| Metric::CpuPercent(p.max(1))),
        f.percent("memory", 100).map(|p| Metric::MemoryPercent(p.max(1))),
        query,
    ]
    .into_iter()
    .flatten()
    .collect()
}
