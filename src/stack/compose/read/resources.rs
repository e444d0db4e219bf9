//! Volumes, networks, configs and secrets at the top of a file.

use super::Cx;
use crate::kernel::secret::Secret;
use crate::stack::compose::fields::Fields;
use crate::stack::compose::finding::Finding;
use crate::stack::compose::node::Entry;
use crate::stack::compose::{keys, units};
use crate::stack::model::{ConfigFile, Network, ResourceName, SecretRef, Stack, Volume};

/// Bytes the text of one config may have: it is part of every revision.
const LONGEST_CONFIG: usize = 128 * 1024;

pub(super) fn read(top: &Fields<'_>, cx: &Cx<'_>, stack: &mut Stack) {
    for entry in top.entries("volumes") {
        let Some(name) = cx.name(&entry.key, entry.key_at) else { continue };
        let mut volume = Volume::default();
        if let Some(f) = Fields::open(&entry.node, &keys::VOLUME, cx.sink) {
            volume.labels = super::container::labels(&f, cx);
            volume.size_mib = f.open_at("x-wharf", &keys::X_VOLUME).and_then(|x| x.read("size", units::mib));
            f.bool("external");
        }
        stack.volumes.insert(name, volume);
    }
    for entry in top.entries("networks") {
        let Some(name) = cx.name(&entry.key, entry.key_at) else { continue };
        let mut network = Network::default();
        if let Some(f) = Fields::open(&entry.node, &keys::NETWORK, cx.sink) {
            network.internal = f.bool("internal").unwrap_or(false);
        }
        stack.networks.insert(name, network);
    }
    for entry in top.entries("secrets") {
        if let Some(name) = cx.name(&entry.key, entry.key_at)
            && let Some(secret) = secret(entry, &name, cx)
        {
            stack.secrets.insert(name, secret);
        }
    }
    for entry in top.entries("configs") {
        if let Some(name) = cx.name(&entry.key, entry.key_at) {
            config(entry, name, cx, stack);
        }
    }
}

fn secret(entry: &Entry, name: &ResourceName, cx: &Cx<'_>) -> Option<SecretRef> {
    let f = Fields::open(&entry.node, &keys::SECRET, cx.sink);
    let sources = f.as_ref().map(|f| (f.word("environment"), f.word("file"), f.bool("external").unwrap_or(false)));
    let variable = match sources {
        Some((Some((variable, at)), None, false)) => {
            return Some(SecretRef { name: cx.name(&variable, at)?, version: None });
        }
        Some((None, Some((path, at)), false)) => {
            let reference = SecretRef { name: name.clone(), version: None };
            // A missing file is reported once; who uses the secret is not to blame.
            let Some((text, _)) = cx.assembler.text(&path, Some(at)) else { return Some(reference) };
            let message = format!("the secret `{name}` stands in the source, where all who see the code can read it");
            let help =
                format!("keep it out of the source: `environment: {}`, and `wharf config set`", variable_name(name));
            cx.sink.add(Finding::warning("plain-secret", at, message).help(help));
            cx.supplied.borrow_mut().insert(name.clone(), Secret::new(text.into_bytes()));
            return Some(reference);
        }
        Some((None, None, true)) => f.as_ref().and_then(|f| f.word("name")),
        _ => {
            let finding = Finding::error("missing-key", entry.key_at, format!("the secret `{name}` has no source"));
            let help = format!("say one of `environment: {}`, `file: …`, `external: true`", variable_name(name));
            cx.sink.add(finding.help(help));
            return None;
        }
    };
    match variable {
        Some((text, at)) => Some(SecretRef { name: cx.name(&text, at)?, version: None }),
        None => Some(SecretRef { name: name.clone(), version: None }),
    }
}

/// The variable a secret of this name would be kept in.
fn variable_name(name: &ResourceName) -> String {
    name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn config(entry: &Entry, name: ResourceName, cx: &Cx<'_>, stack: &mut Stack) {
    let f = Fields::open(&entry.node, &keys::CONFIG, cx.sink);
    let Some(f) = f else {
        let finding = Finding::error("missing-key", entry.key_at, format!("the config `{name}` has no content"));
        cx.sink.add(finding.help("say `content: …` or `file: …`"));
        return;
    };
    let (content, at) = match (f.scalar("content"), f.word("file"), f.word("environment")) {
        (Some((scalar, at)), None, None) => {
            if scalar.template.is_some() {
                let message =
                    format!("the config `{name}` holds the value of a variable, and configs are stored in plain text");
                let help = "for a secret use `secrets`, or the service's `environment`";
                cx.sink.add(Finding::warning("stored-secret", at, message).help(help));
            }
            (scalar.text.clone(), at)
        }
        (None, Some((path, at)), None) => match cx.assembler.text(&path, Some(at)) {
            Some((text, _)) => (text, at),
            // Reported once; who uses the config is not to blame.
            None => (String::new(), at),
        },
        (None, None, Some((variable, at))) => {
            if let Some(variable) = cx.name(&variable, at) {
                stack.secrets.entry(name).or_insert(SecretRef { name: variable, version: None });
            }
            return;
        }
        (None, None, None) if f.get("content").is_some() || f.get("file").is_some() => return,
        _ => {
            let finding = Finding::error("missing-key", entry.key_at, format!("the config `{name}` needs one source"));
            cx.sink.add(finding.help("say one of `content: …`, `file: …`, `environment: …`"));
            return;
        }
    };
    if content.len() > LONGEST_CONFIG {
        let message =
            format!("the config `{name}` has {} KiB; at most {} fit", content.len() / 1024, LONGEST_CONFIG / 1024);
        cx.sink.add(Finding::error("limit", at, message).help("put large files into the image, or on a volume"));
        return;
    }
    stack.configs.insert(name, ConfigFile { content });
}
