//! `build`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cx, network, stored};
use crate::stack::compose::fields::{Fields, scalar};
use crate::stack::compose::files::join;
use crate::stack::compose::finding::Finding;
use crate::stack::compose::keys;
use crate::stack::model::{Build, Stack};

pub(super) fn read(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack) -> Build {
    let mut build = Build {
        context: f.text("context").unwrap_or_default(),
        dockerfile_inline: f.text("dockerfile_inline"),
        args: pairs(f, "args", cx),
        target: f.text("target"),
        labels: super::container::labels(f, cx),
        no_cache: f.bool("no_cache").unwrap_or(false),
        pull: f.bool("pull").unwrap_or(false),
        extra_hosts: network::extra_hosts(f, cx),
        ..Build::default()
    };
    // Remote contexts look like paths to us; a scheme gives them away.
    if build.context.contains(":/") || build.context.starts_with("git@") {
        let at = f.get("context").map_or(f.at, |n| n.at);
        let help = "push that repository to Wharf, or copy its files into the source";
        cx.sink.add(Finding::error("refused", at, "builds take their files from the source only").help(help));
    }
    if let Some((path, at)) = f.word("dockerfile") {
        match join(&build.context, &path) {
            Some(_) => build.dockerfile = Some(path.trim_start_matches("./").to_owned()),
            None => f.bad(at, &format!("`{path}` lies outside the source"), "write a path relative to the context"),
        }
    }
    if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
        f.bad(f.at, "`dockerfile` and `dockerfile_inline` exclude each other", "keep one of them");
    }
    for node in f.list("secrets") {
        let Some(secret) = Fields::open(node, &keys::FILE_MOUNT, cx.sink) else { continue };
        let Some((source, at)) = secret.word("source") else { continue };
        let Some(name) = cx.name(&source, at) else { continue };
        if !stack.secrets.contains_key(&name) {
            cx.unknown_resource("secret", &source, at, stack.secrets.keys());
        }
        build.secrets.insert(secret.text("target").unwrap_or(source), name);
    }
    build
}

/// Names and values that are part of the image: what must not be stored has no place in them.
fn pairs(f: &Fields<'_>, key: &str, cx: &Cx<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in f.entries(key).iter().filter(|e| !e.node.is_null()) {
        let Some((value, at)) = scalar(&entry.node, cx.sink) else { continue };
        let mut references = BTreeSet::new();
        stored(value, &mut references);
        for name in references {
            let message = format!("the value of `{}` becomes part of the image here", name.as_str());
            let help = "for a secret use `build.secrets` and `RUN --mount=type=secret`";
            cx.sink.add(Finding::warning("stored-secret", at, message).help(help));
        }
        all.insert(entry.key.clone(), value.text.clone());
    }
    all
}
