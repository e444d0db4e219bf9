//! `x-wharf` of a service.

use super::health::{LONGEST_CHECK, LONGEST_START};
use super::{Cx, Draft, rollout, run, scale, service, traffic};
use crate::kernel::name::VariableName;
use crate::stack::compose::fields::{Fields, scalar};
use crate::stack::compose::finding::{Finding, Place};
use crate::stack::compose::keys;
use crate::stack::compose::node::Node;
use crate::stack::model::{Care, Criticality, Protocol, Release, Route, RouteHost, RouteProtocol, ServiceKind, Stack};

/// Seconds a release command may take unless it says otherwise.
const RELEASE_SECONDS: u32 = 600;

pub(super) fn read(x: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, draft: &mut Draft) {
    use ServiceKind::{Cron, Database, Job, Web, Worker};
    if let Some(n) = x.choice("kind", &["web", "worker", "job", "cron", "database"]) {
        draft.service.kind = [Web, Worker, Job, Cron, Database][n];
        draft.said.kind = true;
    }
    if let Some(n) = x.choice("care", &["pet", "cattle"]) {
        draft.service.care = [Care::Pet, Care::Cattle][n];
        draft.said.care = true;
    }
    if let Some(n) = x.choice("criticality", &["critical", "high", "normal", "low"]) {
        draft.service.criticality =
            [Criticality::Critical, Criticality::High, Criticality::Normal, Criticality::Low][n];
    }
    draft.service.port = x.port("port");
    routes(x, draft);
    health(x, draft);
    if let Some(f) = x.open_at("scale", &keys::X_SCALE) {
        draft.said.scale_at = Some(f.at);
        draft.service.scale = scale::read(&f);
    }
    if let Some(f) = x.open_at("rollout", &keys::X_ROLLOUT) {
        draft.said.rollout_at = Some(f.at);
        rollout::read(&f, &mut draft.service.rollout);
    }
    traffic::read(x, &mut draft.service);
    release(x, draft);
    run::read(x, cx, stack, draft);
    secret_env(x, cx, stack, draft);
}

fn routes(x: &Fields<'_>, draft: &mut Draft) {
    let Some(node) = x.get("routes") else { return };
    draft.said.routes = true;
    let single = std::slice::from_ref(node);
    for item in node.as_list().unwrap_or(single) {
        let route = if item.scalar().is_some() { short_route(item, x) } else { long_route(item, x) };
        if let Some(route) = route {
            if draft.service.routes.iter().any(|r| r.host == route.host && r.path == route.path) {
                x.bad(item.at, "this route is here twice", "give each its own path or domain");
            }
            draft.service.routes.push(route);
        }
    }
}

/// `example.org/path`, `/path` or `example.org`.
fn short_route(node: &Node, x: &Fields<'_>) -> Option<Route> {
    let (text, at) = scalar(node, x.sink)?;
    let text = text.text.trim();
    let (host, path) = text.find('/').map_or((text, "/"), |i| text.split_at(i));
    Some(Route {
        host: if host.is_empty() { RouteHost::Environment } else { domain(host, at, x)? },
        path: path_of(path, at, x)?,
        strip_path: false,
        port: 0,
        protocol: RouteProtocol::Http,
    })
}

fn long_route(node: &Node, x: &Fields<'_>) -> Option<Route> {
    let f = Fields::open(node, &keys::X_ROUTE, x.sink)?;
    let host = match f.word("domain") {
        Some((text, at)) => domain(&text, at, &f)?,
        None => RouteHost::Environment,
    };
    let path = match f.word("path") {
        Some((text, at)) => path_of(&text, at, &f)?,
        None => "/".to_owned(),
    };
    use RouteProtocol::{Grpc, H2c, Http};
    let protocol = f.choice("protocol", &["http", "h2c", "grpc"]).map_or(Http, |n| [Http, H2c, Grpc][n]);
    // 0 stands for the main port until that is decided.
    Some(Route {
        host,
        path,
        strip_path: f.bool("strip_path").unwrap_or(false),
        port: f.port("port").unwrap_or(0),
        protocol,
    })
}

fn domain(text: &str, at: Place, f: &Fields<'_>) -> Option<RouteHost> {
    match text {
        "default" => Some(RouteHost::Environment),
        "service" => Some(RouteHost::Service),
        text => match text.parse() {
            Ok(host) => Some(RouteHost::Domain(host)),
            Err(error) => {
                f.sink.add(
                    Finding::error("bad-value", at, error.to_string()).help("write for example `shop.example.org`"),
                );
                None
            }
        },
    }
}

fn path_of(text: &str, at: Place, f: &Fields<'_>) -> Option<String> {
    let sound = text.starts_with('/')
        && text.len() <= 1024
        && !text.contains(['?', '#', '\\'])
        && !text.contains("//")
        && text.chars().all(|c| c.is_ascii_graphic())
        && !text.split('/').any(|s| matches!(s, "." | ".."));
    if !sound {
        f.bad(at, &format!("`{}` is not a path", text.escape_debug()), "write for example `/api`");
        return None;
    }
    let clean = text.trim_end_matches('/');
    Some(if clean.is_empty() { "/".to_owned() } else { clean.to_owned() })
}

fn health(x: &Fields<'_>, draft: &mut Draft) {
    let Some(node) = x.get("health") else { return };
    let check = &mut draft.service.health;
    draft.said.health = true;
    if let Some((text, at)) = node.scalar().map(|_| x.word("health")).unwrap_or_default() {
        if let Some(path) = path_query(&text, at, x) {
            check.protocol = Protocol::Http;
            check.path = Some(path);
            check.settle_ms = 0;
        }
        return;
    }
    let Some(h) = x.open_at("health", &keys::X_HEALTH) else { return };
    check.settle_ms = 0;
    if let Some((text, at)) = h.word("path") {
        if let Some(path) = path_query(&text, at, &h) {
            check.protocol = Protocol::Http;
            check.path = Some(path);
        }
    } else if h.bool("tcp") == Some(true) {
        check.protocol = Protocol::Tcp;
    } else {
        // Nothing said of the outside: as without this section.
        draft.said.health = false;
    }
    if let Some(argv) = service::command(&h, "command", &mut draft.service.references) {
        check.command = Some(argv);
    }
    check.port = h.port("port").or(check.port);
    check.interval_ms = h.millis("interval", LONGEST_CHECK).filter(|ms| *ms > 0).unwrap_or(check.interval_ms);
    check.timeout_ms = h.millis("timeout", LONGEST_CHECK).filter(|ms| *ms > 0).unwrap_or(check.timeout_ms);
    check.failures = h.int("retries", 1, 1_000).unwrap_or(check.failures);
    if let Some(ms) = h.millis("start_period", LONGEST_START) {
        check.start_deadline_ms = ms.max(1_000);
    }
    if let Some(ms) = h.millis("settle", LONGEST_CHECK) {
        check.settle_ms = ms;
    }
}

/// A path that may have a query.
fn path_query(text: &str, at: Place, f: &Fields<'_>) -> Option<String> {
    let sound = text.starts_with('/') && text.len() <= 1024 && text.chars().all(|c| c.is_ascii_graphic());
    if !sound {
        f.bad(at, &format!("`{}` is not a path", text.escape_debug()), "write for example `/healthz`");
    }
    sound.then(|| text.to_owned())
}

fn release(x: &Fields<'_>, draft: &mut Draft) {
    let Some(node) = x.get("release") else { return };
    let references = &mut draft.service.references;
    let (command, deadline_seconds) = if node.as_map().is_some() {
        let Some(f) = x.open_at("release", &keys::X_RELEASE) else { return };
        let command = service::command(&f, "command", references);
        if f.get("command").is_none() {
            f.missing("command", "[migrate]");
        }
        (command, f.seconds("deadline", 86_400).unwrap_or(RELEASE_SECONDS))
    } else {
        (service::command(x, "release", references), RELEASE_SECONDS)
    };
    if let Some(command) = command.filter(|c| !c.is_empty()) {
        draft.service.release = Some(Release { command, deadline_seconds });
    }
}

fn secret_env(x: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, draft: &mut Draft) {
    for entry in x.entries("secret_env") {
        let Some((value, at)) = scalar(&entry.node, x.sink) else { continue };
        let variable: VariableName = match entry.key.parse() {
            Ok(variable) => variable,
            Err(error) => {
                x.sink.add(Finding::error("bad-name", entry.key_at, format!("{error}")));
                continue;
            }
        };
        let Some(name) = cx.name(&value.text, at) else { continue };
        match stack.secrets.get(&name) {
            Some(secret) => {
                draft.service.secret_environment.insert(variable, secret.clone());
            }
            None => cx.unknown_resource("secret", &value.text, at, stack.secrets.keys()),
        }
    }
}
