//! Questions and orders of operators on the control socket; the table of requests stands in [`super::control`].
//!
//! To add one: a function here or in a file beside, a line in [`super::control`], and a method of
//! [`Client`](super::Client).

mod diff;
mod matching;
mod stats;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;

pub(crate) use matching::find_route;
pub(crate) use stats::route_reports;

use super::control::{Reply, json, problem};
use super::engine::Engine;
use super::error::SnapshotError;
use super::log_level::LogLevel;
use super::reports::Demands;
use super::snapshot::{Route, Snapshot};
use super::validate::validate;

/// Longest a question for demand is held.
const MAX_WAIT: Duration = Duration::from_secs(25);

/// Private keys and password hashes go in, never out.
pub(crate) fn without_secrets(snapshot: &Snapshot) -> Snapshot {
    let mut shown = snapshot.clone();
    shown.certificates.iter_mut().for_each(|certificate| certificate.key_pem.clear());
    shown.tls_challenges.iter_mut().for_each(|certificate| certificate.key_pem.clear());
    shown.routes.iter_mut().for_each(hide);
    shown
}

fn hide(route: &mut Route) {
    let users = route.access.basic.iter_mut().flat_map(|basic| &mut basic.users);
    users.for_each(|user| user.hash.clear());
}

/// What a table would change, were it sent; nothing is changed.
pub(crate) fn diff(engine: &Engine, bytes: &[u8]) -> Reply {
    let offered: Snapshot = match serde_json::from_slice(bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => return problem(StatusCode::UNPROCESSABLE_ENTITY, &SnapshotError::Syntax(error).to_string()),
    };
    match validate(&offered) {
        Ok(()) => json(StatusCode::OK, &diff::between(&engine.table().snapshot, &offered)),
        Err(error) => problem(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// Which routes are wanted that have no upstream; waits for news when asked to.
pub(crate) async fn demand(engine: &Engine, query: &str) -> Reply {
    let pairs = pairs(query);
    let number = |name: &str| value(&pairs, name).and_then(|text| text.parse::<u64>().ok());
    let rooms = &engine.shared.rooms;
    if let (Some(after), Some(wait_ms)) = (number("after"), number("wait_ms")) {
        let limit = Duration::from_millis(wait_ms).min(MAX_WAIT);
        let _ = tokio::time::timeout(limit, rooms.news_after(after)).await;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let (number, routes) = rooms.wanted(now);
    json(StatusCode::OK, &Demands { number, routes })
}

/// Takes an upstream out of traffic, or puts it back with `undo=true`. It holds until undone or until the upstream leaves the
/// table, whatever snapshots say.
pub(crate) fn drain_upstream(engine: &Engine, query: &str) -> Reply {
    let pairs = pairs(query);
    let Some(id) = value(&pairs, "id") else { return problem(StatusCode::BAD_REQUEST, "say which upstream: `id=...`") };
    let drained = value(&pairs, "undo") != Some("true");
    let route = value(&pairs, "route");
    let states = engine.live_upstreams();
    let meant = states.iter().filter(|state| state.id == id && route.is_none_or(|route| state.route == route));
    let routes: Vec<&str> =
        meant.inspect(|state| state.health.set_drained(drained)).map(|state| state.route.as_str()).collect();
    if routes.is_empty() {
        return problem(
            StatusCode::NOT_FOUND,
            &format!("no route has the upstream `{id}`; `GET /v1/status` lists them"),
        );
    }
    json(StatusCode::OK, &serde_json::json!({ "upstream": id, "drained": drained, "routes": routes }))
}

/// Forgets what is remembered: idle connections, passwords that passed, rate limits used up, ejections.
pub(crate) async fn purge(engine: &Engine, query: &str) -> Reply {
    let pairs = pairs(query);
    let what = value(&pairs, "what").unwrap_or("all");
    if !["all", "connections", "passwords", "limits", "ejections"].contains(&what) {
        return problem(StatusCode::BAD_REQUEST, "`what` is one of all, connections, passwords, limits, ejections");
    }
    let table = engine.table();
    let is = |one: &str| what == one || what == "all";
    if is("connections") {
        engine.close_idle().await;
    }
    for entry in &table.routes {
        if is("passwords") {
            entry.basic_auth.iter().for_each(|guard| guard.forget());
        }
        if is("limits") {
            entry.limiters.iter().for_each(|limiter| limiter.reset());
        }
        if is("ejections") {
            entry.upstreams.iter().for_each(|state| state.health.reset());
        }
    }
    json(StatusCode::OK, &serde_json::json!({ "purged": what }))
}

/// The log filter in use.
pub(crate) fn log_level(level: Option<&LogLevel>) -> Reply {
    match level {
        Some(level) => json(StatusCode::OK, &serde_json::json!({ "filter": level.get() })),
        None => problem(StatusCode::NOT_FOUND, "the log of this process cannot be changed"),
    }
}

/// Uses another log filter: the body is one, as text.
pub(crate) fn set_log_level(level: Option<&LogLevel>, body: &[u8]) -> Reply {
    let Some(filter) = std::str::from_utf8(body).ok().map(str::trim).filter(|filter| !filter.is_empty()) else {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "send a filter, like `info` or `info,wharf::ingress=debug`");
    };
    match level.map(|level| level.set(filter)) {
        Some(Err(reason)) => problem(StatusCode::UNPROCESSABLE_ENTITY, &reason),
        _ => log_level(level),
    }
}

/// The first value of a parameter.
fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The parameters of a query, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// Undoes percent-encoding; what is not encoded well stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
