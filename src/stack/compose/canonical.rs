//! Short forms become long ones, and paths relative to the root of the source, so that merging and reading know one form only.

use super::files::join;
use super::finding::{Finding, Place, Sink};
use super::interpolate::Interpolator;
use super::node::{Entry, Map, Node, Scalar, Value};
use super::short;

/// Brings a whole file into long forms. `dir` is the folder its paths are relative to.
pub(super) fn document(root: &mut Node, dir: &str, inter: &Interpolator<'_>, sink: &Sink) {
    let Value::Map(map) = &mut root.value else { return };
    each(map, "services", |_, service| {
        if let Value::Map(m) = &mut service.value {
            self::service(m, dir, inter, sink);
        }
    });
    for kind in ["configs", "secrets"] {
        each(map, kind, |_, resource| {
            if let Value::Map(m) = &mut resource.value {
                path(m, "file", dir, sink);
            }
        });
    }
    for kind in ["volumes", "networks"] {
        each(map, kind, |_, resource| {
            if let Value::Map(m) = &mut resource.value {
                pairs(m, "labels", None);
                // `external: {name: x}` is the old way to say `external: true` and `name: x`.
                if let Some(Value::Map(old)) = m.get("external").map(|n| n.value.clone()) {
                    let at = m.get("external").map_or_else(Place::default, |n| n.at);
                    m.put("external", Node::plain("true", at));
                    old.0.into_iter().for_each(|e| m.set(e));
                }
            }
        });
    }
    if let Some(node) = map.get_mut("include") {
        listed(node);
        items(node, |item| {
            if item.scalar().is_some() {
                wrap(item, "path");
            }
        });
    }
}

/// Visits the named mappings below a key.
fn each(map: &mut Map, key: &str, mut visit: impl FnMut(&str, &mut Node)) {
    if let Some(Value::Map(m)) = map.get_mut(key).map(|n| &mut n.value) {
        for entry in &mut m.0 {
            visit(&entry.key, &mut entry.node);
        }
    }
}

fn items(node: &mut Node, visit: impl FnMut(&mut Node)) {
    if let Value::List(list) = &mut node.value {
        list.iter_mut().for_each(visit);
    }
}

/// Turns a single value into a list of one.
fn listed(node: &mut Node) {
    if !node.is_null() && node.as_list().is_none() {
        let tag = node.tag;
        let one = std::mem::replace(node, Node::null(node.at));
        *node = Node { tag, ..Node::list(vec![one.clone()], one.at) };
    }
}

/// Turns a value into a mapping that has it under one key.
fn wrap(node: &mut Node, key: &str) {
    let at = node.at;
    let tag = node.tag;
    let inner = std::mem::replace(node, Node::null(at));
    let mut map = Map::default();
    map.put(key, Node { tag: super::node::Tag::None, ..inner });
    *node = Node { tag, ..Node::map(map, at) };
}

fn service(map: &mut Map, dir: &str, inter: &Interpolator<'_>, sink: &Sink) {
    for key in ["environment", "labels", "annotations", "sysctls"] {
        pairs(map, key, (key == "environment").then_some(inter));
    }
    hosts(map, "extra_hosts");
    for key in ["tmpfs", "dns", "dns_search", "label_file", "profiles"] {
        map.get_mut(key).into_iter().for_each(listed);
    }
    for key in ["build", "extends"] {
        if let Some(node) = map.get_mut(key).filter(|n| n.scalar().is_some() && !n.is_null()) {
            wrap(node, if key == "build" { "context" } else { "service" });
        }
    }
    if let Some(Value::Map(build)) = map.get_mut("build").map(|n| &mut n.value) {
        pairs(build, "args", Some(inter));
        pairs(build, "labels", None);
        hosts(build, "extra_hosts");
        path(build, "context", dir, sink);
        sourced(build, "secrets");
    }
    if let Some(Value::Map(deploy)) = map.get_mut("deploy").map(|n| &mut n.value) {
        pairs(deploy, "labels", None);
    }
    names(map, "depends_on", |at| {
        let mut m = Map::default();
        m.put("condition", Node::plain("service_started", at));
        Node::map(m, at)
    });
    names(map, "networks", Node::null);
    for key in ["configs", "secrets"] {
        sourced(map, key);
    }
    if let Some(node) = map.get_mut("env_file") {
        listed(node);
        items(node, |item| {
            if item.scalar().is_some() {
                wrap(item, "path");
            }
            if let Value::Map(m) = &mut item.value {
                path(m, "path", dir, sink);
            }
        });
    }
    if let Some(node) = map.get_mut("label_file") {
        items(node, |item| relative(item, dir, sink));
    }
    if let Some(node) = map.get_mut("ports") {
        expand(node, |item| short::ports(item, sink));
    }
    if let Some(node) = map.get_mut("volumes") {
        expand(node, |item| vec![short::volume(item, sink)]);
    }
}

/// Replaces the single values of a list by what they stand for.
fn expand(node: &mut Node, read: impl Fn(&Node) -> Vec<Node>) {
    if let Value::List(list) = &mut node.value {
        let old = std::mem::take(list);
        *list = old
            .into_iter()
            .flat_map(|n| match n.scalar() {
                Some(s) if s.unknown => Vec::new(),
                Some(_) => read(&n),
                None => vec![n],
            })
            .collect();
    }
}

fn sourced(map: &mut Map, key: &str) {
    if let Some(node) = map.get_mut(key) {
        items(node, |item| {
            if item.scalar().is_some() {
                wrap(item, "source");
            }
        });
    }
}

/// `[A=1, B]` becomes `{A: 1, B: }`. With an interpolator, what has no value takes it from the variables.
fn pairs(map: &mut Map, key: &str, inter: Option<&Interpolator<'_>>) {
    let Some(node) = map.get_mut(key) else { return };
    if let Value::List(list) = &mut node.value {
        let mut out = Map::default();
        for item in std::mem::take(list) {
            let Value::Scalar(scalar) = &item.value else {
                out.put("", item);
                continue;
            };
            let entry = pair(scalar, item.at, '=');
            out.set(entry);
        }
        node.value = Value::Map(out);
    }
    let (Some(inter), Value::Map(m)) = (inter, &mut node.value) else { return };
    for entry in &mut m.0 {
        if entry.node.is_null()
            && !matches!(&entry.node.value, Value::Scalar(s) if s.unknown)
            && let Some(scalar) = inter.inherited(&entry.key)
        {
            entry.node.value = Value::Scalar(scalar);
        }
    }
}

/// `name=value` with the places of both.
fn pair(scalar: &Scalar, at: Place, separator: char) -> Entry {
    let split = |text: &str| text.split_once(separator).map(|(n, v)| (n.to_owned(), v.to_owned()));
    let Some((name, value)) = split(&scalar.text) else {
        return Entry { key: scalar.text.trim().to_owned(), key_at: at, node: Node::null(at) };
    };
    let template = scalar.template.as_deref().and_then(split).map(|(_, v)| v).filter(|t| *t != value);
    let node = Node {
        value: Value::Scalar(Scalar { text: value, plain: false, template, unknown: scalar.unknown }),
        at,
        tag: super::node::Tag::None,
    };
    Entry { key: name.trim().to_owned(), key_at: at, node }
}

/// `[name:address]` and `[name=address]` become `{name: address}`.
fn hosts(map: &mut Map, key: &str) {
    let Some(node) = map.get_mut(key) else { return };
    if let Value::List(list) = &mut node.value {
        let mut out = Map::default();
        for item in std::mem::take(list) {
            if let Value::Scalar(scalar) = &item.value {
                let separator = if scalar.text.contains('=') { '=' } else { ':' };
                out.set(pair(scalar, item.at, separator));
            }
        }
        node.value = Value::Map(out);
    }
}

/// `[a, b]` becomes `{a: …, b: …}`.
fn names(map: &mut Map, key: &str, value: impl Fn(Place) -> Node) {
    let Some(node) = map.get_mut(key) else { return };
    if let Value::List(list) = &mut node.value {
        let mut out = Map::default();
        for item in std::mem::take(list) {
            if let Value::Scalar(s) = &item.value {
                out.set(Entry { key: s.text.clone(), key_at: item.at, node: value(item.at) });
            } else {
                out.put("", item);
            }
        }
        node.value = Value::Map(out);
    }
}

fn path(map: &mut Map, key: &str, dir: &str, sink: &Sink) {
    if let Some(node) = map.get_mut(key) {
        relative(node, dir, sink);
    }
}

/// Makes a path relative to the root of the source; one that leads out of it is reported.
fn relative(node: &mut Node, dir: &str, sink: &Sink) {
    let at = node.at;
    let Value::Scalar(scalar) = &mut node.value else { return };
    if scalar.unknown {
        return;
    }
    if let Some(path) = join(dir, &scalar.text) {
        scalar.text = path;
        scalar.plain = false;
        return;
    }
    let message = format!("`{}` lies outside the source", scalar.text);
    let help = "only files that are deployed with the manifest can be used; write a path below its folder";
    sink.add(Finding::error("outside", at, message).help(help));
    scalar.unknown = true;
}
