//! `slo`, `limits` and `resilience`.

use crate::stack::compose::fields::Fields;
use crate::stack::compose::{keys, units};
use crate::stack::model::{
    Breaker, LatencyObjective, OutlierEjection, RateKey, RateLimit, Resilience, Retries, Service, Slo, Traffic,
};

/// Days an error budget is counted over unless said otherwise.
const WINDOW_DAYS: u16 = 30;
/// Longest time-out of the ingress, in seconds.
const LONGEST_TIMEOUT: u32 = 86_400;
const MANY: u32 = 1_000_000;

pub(super) fn read(x: &Fields<'_>, service: &mut Service) {
    if let Some(f) = x.open_at("slo", &keys::X_SLO) {
        service.slo = slo(&f);
    }
    if let Some(f) = x.open_at("limits", &keys::X_LIMITS) {
        service.traffic = limits(&f);
    }
    if let Some(f) = x.open_at("resilience", &keys::X_RESILIENCE) {
        service.resilience = resilience(&f);
    }
}

fn slo(f: &Fields<'_>) -> Option<Slo> {
    let Some(availability) = f.read("availability", units::share) else {
        if f.get("availability").is_none() {
            f.missing("availability", "99.9%");
        }
        return None;
    };
    let latency = f.open_at("latency", &keys::X_LATENCY).and_then(|l| {
        let share = l.read("share", units::share).unwrap_or(95_000);
        if l.get("within").is_none() {
            l.missing("within", "300ms");
        }
        Some(LatencyObjective { share, ms: l.millis("within", 3_600)? })
    });
    let days = |t: &str| {
        let days = units::duration_ms(t)? / 86_400_000;
        u16::try_from(days).ok().filter(|d| (1..=90).contains(d)).ok_or_else(|| format!("`{t}` is not 1 to 90 days"))
    };
    Some(Slo { availability, latency, window_days: f.read("window", days).unwrap_or(WINDOW_DAYS) })
}

fn limits(f: &Fields<'_>) -> Traffic {
    let timeouts = f.open_at("timeouts", &keys::X_TIMEOUTS);
    let timeout = |key: &str| timeouts.as_ref().and_then(|t| t.millis(key, LONGEST_TIMEOUT)).filter(|ms| *ms > 0);
    Traffic {
        rate: rate(f),
        concurrency: f.int("concurrency", 1, MANY),
        body_bytes: f.read("body", units::bytes),
        connect_timeout_ms: timeout("connect"),
        request_timeout_ms: timeout("request"),
        idle_timeout_ms: timeout("idle"),
    }
}

/// `100/s`, `5/m`, `1000/h`, or a mapping.
fn rate(f: &Fields<'_>) -> Option<RateLimit> {
    let node = f.get("rate")?;
    if node.scalar().is_some() {
        return f.read("rate", |t| {
            let wrong = || format!("`{t}` is not a rate; write for example `100/s` or `5/m`");
            let (requests, unit) = t.split_once('/').ok_or_else(wrong)?;
            let per_seconds = match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                _ => return Err(wrong()),
            };
            let requests = requests.trim().parse().ok().filter(|n| (1..=MANY).contains(n)).ok_or_else(wrong)?;
            Ok(RateLimit { requests, per_seconds, burst: None, key: RateKey::default() })
        });
    }
    let r = f.open_at("rate", &keys::X_RATE)?;
    if r.get("requests").is_none() {
        r.missing("requests", "100");
    }
    let key = |t: &str| match t.split_once(':') {
        None if t == "address" => Ok(RateKey::Address),
        None if t == "route" => Ok(RateKey::Route),
        Some(("header", name)) if is_token(name.trim()) => Ok(RateKey::Header(name.trim().to_ascii_lowercase())),
        _ => Err(format!("`{t}` is not possible; choose `address`, `route` or `header:NAME`")),
    };
    Some(RateLimit {
        requests: r.int("requests", 1, MANY)?,
        per_seconds: r.seconds("per", 86_400).unwrap_or(1).max(1),
        burst: r.int("burst", 1, MANY),
        key: r.read("key", key).unwrap_or_default(),
    })
}

/// Whether a text can be the name of a header or cookie.
pub(super) fn is_token(text: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(sound)
}

fn resilience(f: &Fields<'_>) -> Resilience {
    Resilience {
        retries: f.open_at("retries", &keys::X_RETRIES).map(|r| Retries {
            attempts: r.int("attempts", 1, 10).unwrap_or(2),
            budget_percent: r.percent("budget", 100).unwrap_or(20),
            try_timeout_ms: r.millis("try_timeout", LONGEST_TIMEOUT).filter(|ms| *ms > 0),
        }),
        breaker: f.open_at("breaker", &keys::X_BREAKER).map(|b| Breaker {
            error_percent: b.percent("errors", 100).unwrap_or(50).max(1),
            min_requests: b.int("min_requests", 1, MANY).unwrap_or(20),
            window_seconds: b.seconds("window", 3_600).unwrap_or(10).max(1),
            open_seconds: b.seconds("open", 3_600).unwrap_or(5).max(1),
        }),
        outlier: f.open_at("outlier", &keys::X_OUTLIER).map(|o| OutlierEjection {
            failures: o.int("failures", 1, 1_000).unwrap_or(5),
            eject_seconds: o.seconds("eject", 3_600).unwrap_or(30).max(1),
            max_percent: o.percent("max", 100).unwrap_or(50),
        }),
    }
}
