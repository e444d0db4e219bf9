//! Volumes, configs and secrets inside a container.

use super::{Cx, target};
use crate::kernel::name::ServiceName;
use crate::stack::compose::fields::Fields;
use crate::stack::compose::files::join;
use crate::stack::compose::finding::{Finding, Place};
use crate::stack::compose::{keys, units};
use crate::stack::model::{FileMount, FileSource, Mount, ResourceName, Service, Stack, Tmpfs};

pub(super) fn read(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, own: &ServiceName, service: &mut Service) {
    for node in f.list("volumes") {
        if let Some(mount) = Fields::open(node, &keys::MOUNT, cx.sink) {
            volume(&mount, cx, stack, own, service);
        }
    }
    files(f, cx, stack, "configs", service);
    files(f, cx, stack, "secrets", service);
    let mut places: Vec<&str> = Vec::new();
    let all = service.mounts.iter().map(|m| &m.target).chain(service.files.iter().map(|m| &m.target));
    for place in all.chain(service.container.tmpfs.iter().map(|t| &t.target)) {
        if places.contains(&place.as_str()) {
            let at = f.get("volumes").map_or(f.at, |n| n.at);
            f.bad(at, &format!("two things are mounted at `{place}`"), "give each a place of its own");
        }
        places.push(place);
    }
}

fn volume(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, own: &ServiceName, service: &mut Service) {
    let kind = f.word("type").map_or_else(|| "volume".to_owned(), |(t, _)| t);
    let source = f.word("source");
    match kind.as_str() {
        "volume" => {}
        "bind" => return bind(f, source.as_ref().map_or("", |(s, _)| s), cx),
        "tmpfs" => {
            let Some((text, at)) = f.word("target") else { return f.missing("target", "/tmp") };
            let details = f.open_at("tmpfs", &keys::MOUNT_TMPFS);
            let size_mib = details.as_ref().and_then(|d| d.read("size", units::mib));
            let mode = details.as_ref().and_then(|d| d.read("mode", units::mode));
            if let Some(target) = target(&text, at, cx.sink) {
                service.container.tmpfs.push(Tmpfs { target, size_mib, mode });
            }
            return;
        }
        other => {
            let at = f.get("type").map_or(f.at, |n| n.at);
            let finding =
                Finding::error("refused", at, format!("volumes of type `{}` are refused", other.escape_debug()));
            cx.sink.add(finding.help("use a named volume (`type: volume`) or a file system in memory (`type: tmpfs`)"));
            return;
        }
    }
    let Some((text, at)) = f.word("target") else { return f.missing("target", "/data") };
    let Some(target) = target(&text, at, cx.sink) else { return };
    let volume = match source {
        Some((name, at)) => {
            let Some(volume) = cx.name(&name, at) else { return };
            if !stack.volumes.contains_key(&volume) {
                cx.unknown_resource("volume", &name, at, stack.volumes.keys());
            }
            volume
        }
        None => match anonymous(own, &target) {
            Some(name) => {
                let message = format!("the volume at `{target}` has no name; it is kept as `{name}`");
                let help = "name it to decide yourself, or use `tmpfs` for what may be lost";
                cx.sink.add(Finding::note("other-meaning", f.at, message).help(help));
                name
            }
            None => return,
        },
    };
    let details = f.open_at("volume", &keys::MOUNT_VOLUME);
    let subpath = details.as_ref().and_then(|d| d.word("subpath")).and_then(|(path, at)| {
        let inside = join("", &path).filter(|p| !p.is_empty());
        if inside.is_none() {
            f.bad(at, &format!("`{path}` does not lie inside the volume"), "write a relative path without `..`");
        }
        inside
    });
    service.mounts.push(Mount {
        volume,
        target,
        read_only: f.bool("read_only").unwrap_or(false),
        subpath,
        no_copy: details.as_ref().and_then(|d| d.bool("nocopy")).unwrap_or(false),
    });
}

/// The name of a volume nobody named: the service's and the place's, which together are its own.
fn anonymous(own: &ServiceName, target: &str) -> Option<ResourceName> {
    let place: String = target.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let name = format!("{own}{place}");
    name.chars().take(63).collect::<String>().parse().ok()
}

fn bind(f: &Fields<'_>, source: &str, cx: &Cx<'_>) {
    if source.contains("docker.sock") || source.contains("containerd.sock") || source.contains("podman.sock") {
        let finding = Finding::error("refused", f.at, "the engine's socket is refused: it owns the machine");
        cx.sink.add(finding.help("use Wharf's API with a token; what a service needs to know is in its environment"));
        return;
    }
    if matches!(source, "/etc/localtime" | "/etc/timezone") {
        let finding = Finding::warning("other-meaning", f.at, "the machine's time zone is not mounted");
        cx.sink.add(finding.help("set the variable `TZ`, as in `TZ: Europe/Berlin`"));
        return;
    }
    let last = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_file = last.trim_start_matches('.').contains('.');
    let message = format!("the bind mount of `{source}` is refused: folders of the machine belong to all tenants");
    let name: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    let place = f.text("target").unwrap_or_default();
    let help = match (is_file, source.starts_with('.')) {
        (true, true) => format!(
            "make it a config: `configs: {{{name}: {{file: {source}}}}}`, and in the service `configs: [{{source: {name}, target: {place}}}]`"
        ),
        (false, true) => format!(
            "for data use a named volume: `{name}:{place}`; for code or settings copy the folder into the image"
        ),
        _ => "use a named volume for data; the platform gives nothing of the machine to apps".to_owned(),
    };
    cx.sink.add(Finding::error("refused", f.at, message).help(help));
}

fn files(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, key: &str, service: &mut Service) {
    for node in f.list(key) {
        let Some(file) = Fields::open(node, &keys::FILE_MOUNT, cx.sink) else { continue };
        let Some((source, at)) = file.word("source") else {
            file.missing("source", "settings");
            continue;
        };
        let Some(name) = cx.name(&source, at) else { continue };
        let Some(content) = content(key, &name, stack) else {
            match key {
                "configs" => cx.unknown_resource("config", &source, at, stack.configs.keys()),
                _ => cx.unknown_resource("secret", &source, at, stack.secrets.keys()),
            }
            continue;
        };
        if let Some(target) = place(&file, key, &name, at) {
            service.files.push(FileMount {
                source: content,
                target,
                uid: file.int("uid", 0, u32::MAX),
                gid: file.int("gid", 0, u32::MAX),
                mode: file.read("mode", units::mode),
            });
        }
    }
}

/// A config whose content is a variable is kept as a secret, under the config's name.
fn content(key: &str, name: &ResourceName, stack: &Stack) -> Option<FileSource> {
    if key == "configs" && stack.configs.contains_key(name) {
        return Some(FileSource::Config(name.clone()));
    }
    stack.secrets.contains_key(name).then(|| FileSource::Secret(name.clone()))
}

/// Where a file comes to: secrets below `/run/secrets` unless the place is absolute.
fn place(f: &Fields<'_>, key: &str, name: &ResourceName, at: Place) -> Option<String> {
    let folder = if key == "configs" { "/" } else { "/run/secrets/" };
    match f.word("target") {
        None => Some(format!("{folder}{name}")),
        Some((t, at)) if t.starts_with('/') => target(&t, at, f.sink),
        Some((t, _)) => target(&format!("{folder}{t}"), at, f.sink),
    }
}
