//! One service.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cx, Draft, Said, stored};
use super::{build, container, data, deploy, health, network, wharf};
use crate::kernel::name::{ServiceName, VariableName};
use crate::stack::compose::fields::Fields;
use crate::stack::compose::finding::{Finding, Place};
use crate::stack::compose::node::{Entry, Node, Scalar, Value};
use crate::stack::compose::{dotenv, keys, words};
use crate::stack::model::{Dependency, DependencyCondition, ImageRef, Service, ServiceKind, Stack};

/// Longest stop grace, in seconds.
const LONGEST_GRACE: u32 = 3_600;
/// Bytes all variables of a service may have together; the kernel takes not much more.
const MOST_ENVIRONMENT: usize = 128 * 1024;

pub(super) fn read(entry: &Entry, name: &ServiceName, cx: &Cx<'_>, stack: &Stack) -> Option<Draft> {
    let Some(f) = Fields::open(&entry.node, &keys::SERVICE, cx.sink) else {
        if entry.node.is_null() {
            let finding = Finding::error("missing-key", entry.key_at, format!("the service `{}` is empty", entry.key));
            cx.sink.add(finding.help("give it an `image` or a `build`"));
        }
        return None;
    };
    let image = f.word("image").map(|(t, at)| image(t, at, &f)).unwrap_or_default();
    let mut service = Service::new(ServiceKind::Worker, ImageRef::unpinned(image));
    service.build = f.open_at("build", &keys::BUILD).map(|b| build::read(&b, cx, stack));
    let undecided = f.entry("image").is_some();
    if service.image.name.is_empty() && service.build.is_none() && !undecided {
        let message = format!("the service `{}` has neither `image` nor `build`", entry.key);
        let finding = Finding::error("missing-key", entry.key_at, message);
        cx.sink.add(finding.help("write `image: name:tag`, or `build: .` to build the source"));
    }
    if entry.key != name.as_str() {
        service.aliases.insert(entry.key.clone());
    }
    service.command = command(&f, "command", &mut service.references);
    service.entrypoint = command(&f, "entrypoint", &mut service.references);
    environment(&f, cx, &mut service);
    if let Some(seconds) = f.seconds("stop_grace_period", LONGEST_GRACE) {
        service.stop_grace_seconds = seconds;
    }
    let mut draft = Draft {
        service,
        key_at: entry.key_at,
        published: Vec::new(),
        said: Said::default(),
        needs_at: BTreeMap::new(),
        links: Vec::new(),
    };
    dependencies(&f, cx, name, &mut draft);
    container::read(&f, cx, &mut draft.service);
    network::read(&f, cx, stack, &mut draft);
    data::read(&f, cx, stack, name, &mut draft.service);
    deploy::read(&f, cx, &mut draft);
    health::read(&f, &mut draft);
    if let Some((alias, _)) = f.word("container_name").filter(|(a, _)| a != name.as_str()) {
        draft.service.aliases.insert(alias);
    }
    if let Some(x) = f.open_at("x-wharf", &keys::X_SERVICE) {
        wharf::read(&x, cx, stack, &mut draft);
    }
    Some(draft)
}

fn image(text: String, at: Place, f: &Fields<'_>) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    if text.len() > 512 || !text.chars().all(allowed) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = format!("`{}` is not the name of an image", text.escape_debug());
        f.bad(at, &message, "write for example `nginx:1.27` or `ghcr.io/owner/app@sha256:…`");
        return String::new();
    }
    text
}

/// A command line, cut into words, or its words.
pub(super) fn command(f: &Fields<'_>, key: &str, references: &mut BTreeSet<VariableName>) -> Option<Vec<String>> {
    let node = f.get(key)?;
    argv(node, f, references)
}

pub(super) fn argv(node: &Node, f: &Fields<'_>, references: &mut BTreeSet<VariableName>) -> Option<Vec<String>> {
    match &node.value {
        Value::Scalar(s) if s.unknown => None,
        Value::Scalar(s) => match words::split(&stored(s, references)) {
            Ok(words) => Some(words),
            Err(message) => {
                f.bad(node.at, &message, "close it, or write the words as a list: `[program, argument]`");
                None
            }
        },
        Value::List(items) => {
            let known: Vec<&Scalar> = items.iter().filter_map(|n| word(n, f)).collect();
            // A command with a missing word is another command.
            (known.len() == items.len()).then(|| known.into_iter().map(|s| stored(s, references)).collect())
        }
        Value::Map(_) => {
            f.bad(node.at, "a command is a line or a list of words", "write `[program, argument]`");
            None
        }
    }
}

fn word<'n>(node: &'n Node, f: &Fields<'_>) -> Option<&'n Scalar> {
    super::super::fields::scalar(node, f.sink).map(|(s, _)| s)
}

/// `env_file`s in their order, then `environment`.
fn environment(f: &Fields<'_>, cx: &Cx<'_>, service: &mut Service) {
    let around = cx.env.borrow().local.clone();
    for node in f.list("env_file") {
        let Some(file) = Fields::open(node, &keys::ENV_FILE, cx.sink) else { continue };
        let Some((path, at)) = file.word("path") else { continue };
        let required = file.bool("required").unwrap_or(true);
        let raw = file.choice("format", &["raw"]).is_some();
        let Some((text, number)) = cx.assembler.text(&path, required.then_some(at)) else { continue };
        let mut env = cx.env.borrow_mut();
        for (name, value, at) in dotenv::parse(&text, number, raw, &mut env, cx.sink) {
            let value = value.or_else(|| env.inherited(&name));
            if let Some(scalar) = value {
                set(service, &name, &scalar, at, cx);
            }
        }
    }
    // What one service's files say is nothing to the next service.
    cx.env.borrow_mut().local = around;
    for entry in f.entries("environment") {
        let Some((scalar, _)) = super::super::fields::scalar(&entry.node, cx.sink) else { continue };
        if entry.node.is_null() {
            // A name without a value that the configuration does not have either: it is not set.
            service.environment.remove(&entry.key);
            continue;
        }
        set(service, &entry.key, scalar, entry.key_at, cx);
    }
    let bytes: usize = service.environment.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > MOST_ENVIRONMENT {
        let message = format!("the environment has {} KiB; at most {} fit", bytes / 1024, MOST_ENVIRONMENT / 1024);
        let finding = Finding::error("limit", f.get("environment").map_or(f.at, |n| n.at), message);
        cx.sink.add(finding.help("put large texts into `configs`"));
    }
}

fn set(service: &mut Service, name: &str, scalar: &Scalar, at: Place, cx: &Cx<'_>) {
    if name.is_empty() || name.len() > 256 || name.contains(['=', '\0']) || name.chars().any(char::is_whitespace) {
        let finding =
            Finding::error("bad-name", at, format!("`{}` is not the name of a variable", name.escape_debug()));
        cx.sink.add(finding.help("write `NAME: value`, or `- NAME=value`"));
        return;
    }
    service.environment.insert(name.to_owned(), stored(scalar, &mut service.references));
}

const CONDITIONS: [&str; 3] = ["service_started", "service_healthy", "service_completed_successfully"];

fn dependencies(f: &Fields<'_>, cx: &Cx<'_>, own: &ServiceName, draft: &mut Draft) {
    for entry in f.entries("depends_on") {
        let details = Fields::open(&entry.node, &keys::DEPENDENCY, cx.sink);
        let condition = match details.as_ref().and_then(|d| d.choice("condition", &CONDITIONS)) {
            Some(1) => DependencyCondition::Healthy,
            Some(2) => DependencyCondition::Completed,
            _ => DependencyCondition::Started,
        };
        let optional = details.as_ref().and_then(|d| d.bool("required")) == Some(false);
        let restart = details.as_ref().and_then(|d| d.bool("restart")).unwrap_or(false);
        if optional && !cx.services.contains_key(&entry.key) {
            continue;
        }
        if let Some(on) = cx.service(&entry.key, entry.key_at) {
            draft.needs_at.insert(on.clone(), entry.key_at);
            draft.service.depends_on.insert(on, Dependency { condition, optional, restart });
        }
    }
    for (link, at) in f.texts("links") {
        let (name, alias) = link.split_once(':').map_or((link.as_str(), None), |(n, a)| (n, Some(a)));
        let Some(on) = cx.service(name, at) else { continue };
        if let Some(alias) = alias.filter(|a| *a != name) {
            draft.links.push((on.clone(), alias.to_owned(), at));
        }
        if on != *own {
            draft.needs_at.entry(on.clone()).or_insert(at);
            let started = Dependency { condition: DependencyCondition::Started, optional: false, restart: false };
            draft.service.depends_on.entry(on).or_insert(started);
        }
    }
}
