//! What a container is told beside its image and command, and what it is never told.

use std::collections::BTreeMap;

use super::{Cx, target};
use crate::stack::compose::fields::{Fields, scalar};
use crate::stack::compose::finding::Finding;
use crate::stack::compose::{keys, units};
use crate::stack::model::{FileMode, Service, Tmpfs, Ulimit};

/// Capabilities a service may ask for. Each reaches no further than the container: files and users of its own, ports
/// below 1024, locked memory (which counts towards the memory limit).
pub(in crate::stack::compose) const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Capabilities that are asked for out of habit, and without which programs run just as well.
const NEEDLESS: [&str; 2] = ["NET_RAW", "SYS_NICE"];

/// Kernel settings that belong to the container's own namespaces.
pub(in crate::stack::compose) const SYSCTLS: [&str; 14] = [
    "fs.mqueue.",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_",
    "net.ipv6.conf.all.disable_ipv6",
];

/// Limits of processes that may be set, and the highest value of each; -1 stands for no limit.
const ULIMITS: [(&str, i64); 8] = [
    ("core", -1),
    ("cpu", -1),
    ("data", -1),
    ("fsize", -1),
    ("memlock", -1),
    ("nofile", 1_048_576),
    ("nproc", 65_536),
    ("stack", -1),
];

pub(super) fn read(f: &Fields<'_>, cx: &Cx<'_>, service: &mut Service) {
    let c = &mut service.container;
    c.user = f.word("user").map(|(u, _)| u);
    c.groups = f.texts("group_add").into_iter().map(|(g, _)| g).collect();
    c.working_dir = f.word("working_dir").and_then(|(t, at)| if t == "/" { Some(t) } else { target(&t, at, f.sink) });
    c.hostname = f.read("hostname", |t| host(t).map(str::to_owned));
    c.domainname = f.read("domainname", |t| host(t).map(str::to_owned));
    c.tty = f.bool("tty").unwrap_or(false);
    c.stdin_open = f.bool("stdin_open").unwrap_or(false);
    c.init = f.bool("init").filter(|yes| !yes);
    c.read_only = f.bool("read_only").unwrap_or(false);
    c.shm_mib = f.read("shm_size", units::mib);
    c.oom_score_adj = f.int("oom_score_adj", 0, 1000).and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    c.stop_signal = f.read("stop_signal", signal);
    c.platform = f.read("platform", |t| match t.split_once('/') {
        Some(("linux", _)) => Ok(t.to_owned()),
        _ => Err(format!("`{t}` is not possible; images are for `linux/…`")),
    });
    c.labels = labels(f, cx);
    label_files(f, cx, &mut c.labels);
    for (text, at) in f.texts("tmpfs") {
        let (path, options) = text.split_once(':').unwrap_or((text.as_str(), ""));
        if let Some(target) = target(path, at, f.sink) {
            let (size_mib, mode) = tmpfs_options(options);
            c.tmpfs.push(Tmpfs { target, size_mib, mode });
        }
    }
    for (key, list) in [("cap_drop", &mut c.cap_drop), ("cap_add", &mut c.cap_add)] {
        for (text, at) in f.texts(key) {
            let name = text.to_ascii_uppercase();
            let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
            if key == "cap_drop" || CAPABILITIES.contains(&name.as_str()) {
                list.insert(name);
            } else if NEEDLESS.contains(&name.as_str()) {
                let message = format!("the capability `{name}` is not given");
                cx.sink.add(
                    Finding::warning("other-meaning", at, message).help("programs that ask for it run without it"),
                );
            } else {
                let message = format!("the capability `{name}` is refused: it reaches beyond the container");
                cx.sink.add(
                    Finding::error("refused", at, message).help(format!("possible are: {}", CAPABILITIES.join(", "))),
                );
            }
        }
    }
    sysctls(f, cx, service);
    ulimits(f, cx, service);
    security(f, cx);
}

fn host(text: &str) -> Result<&str, String> {
    let sound = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if text.len() <= 253 && text.split('.').all(sound) { Ok(text) } else { Err(format!("`{text}` is not a host name")) }
}

fn signal(text: &str) -> Result<String, String> {
    const SIGNALS: [&str; 13] =
        ["ABRT", "ALRM", "CONT", "HUP", "INT", "KILL", "PWR", "QUIT", "TERM", "USR1", "USR2", "WINCH", "RTMIN+3"];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = name.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n));
    match (SIGNALS.contains(&name), number) {
        (true, _) => Ok(format!("SIG{name}")),
        (false, true) => Ok(name.to_owned()),
        _ => Err(format!("`{text}` is not a signal; write for example `SIGTERM`")),
    }
}

/// `labels`, of a container or an image.
pub(super) fn labels(f: &Fields<'_>, cx: &Cx<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in f.entries("labels") {
        let Some((value, _)) = scalar(&entry.node, cx.sink) else { continue };
        let foreign = |prefix: &str| entry.key.starts_with(prefix);
        if foreign("wharf.") {
            let finding = Finding::error("refused", entry.key_at, format!("the label `{}` is refused", entry.key));
            cx.sink.add(finding.help("labels that begin with `wharf.` belong to the platform"));
            continue;
        }
        if foreign("traefik.") || foreign("caddy") {
            let finding = Finding::warning("other-meaning", entry.key_at, "labels route nothing here");
            cx.sink.add(finding.help("use `x-wharf: {routes: [{domain: …, port: …}]}`"));
        }
        all.insert(entry.key.clone(), value.text.clone());
    }
    all
}

fn label_files(f: &Fields<'_>, cx: &Cx<'_>, labels: &mut BTreeMap<String, String>) {
    for (path, at) in f.texts("label_file") {
        let Some((text, _)) = cx.assembler.text(&path, Some(at)) else { continue };
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if !name.starts_with("wharf.") {
                labels.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
}

fn tmpfs_options(options: &str) -> (Option<u32>, Option<FileMode>) {
    let value = |name: &str| options.split(',').find_map(|o| o.strip_prefix(name)?.strip_prefix('='));
    let size = value("size").and_then(|t| units::mib(t).ok());
    let mode = value("mode").and_then(|t| u32::from_str_radix(t, 8).ok()).and_then(FileMode::new);
    (size, mode)
}

fn sysctls(f: &Fields<'_>, cx: &Cx<'_>, service: &mut Service) {
    for entry in f.entries("sysctls") {
        let Some((value, _)) = scalar(&entry.node, cx.sink) else { continue };
        let own = SYSCTLS.iter().any(|s| entry.key == *s || (s.ends_with(['.', '_']) && entry.key.starts_with(s)));
        if own {
            service.container.sysctls.insert(entry.key.clone(), value.text.clone());
        } else {
            let message = format!("the kernel setting `{}` is refused: it belongs to the machine", entry.key);
            let finding = Finding::error("refused", entry.key_at, message);
            cx.sink.add(
                finding.help("leave it out; possible are settings of a container's own network and message queues"),
            );
        }
    }
}

fn ulimits(f: &Fields<'_>, cx: &Cx<'_>, service: &mut Service) {
    for entry in f.entries("ulimits") {
        let Some((_, highest)) = ULIMITS.iter().find(|(n, _)| *n == entry.key) else {
            let finding = Finding::error("refused", entry.key_at, format!("the limit `{}` is refused", entry.key));
            let names = ULIMITS.map(|(n, _)| n).join(", ");
            cx.sink.add(finding.help(format!("possible are: {names}")));
            continue;
        };
        let number = |t: &str| match t.parse::<i64>() {
            Ok(n) if n >= -1 && (*highest < 0 || (0..=*highest).contains(&n)) => Ok(n),
            _ if *highest < 0 => Err(format!("`{t}` is not a number from -1")),
            _ => Err(format!("`{t}` is not a number from 0 to {highest}")),
        };
        let limit = if entry.node.as_map().is_some() {
            let Some(u) = Fields::open(&entry.node, &keys::ULIMIT, cx.sink) else { continue };
            match (u.read("soft", number), u.read("hard", number)) {
                (Some(soft), Some(hard)) => Some(Ulimit { soft, hard }),
                (Some(both), None) | (None, Some(both)) => Some(Ulimit { soft: both, hard: both }),
                (None, None) => None,
            }
        } else {
            scalar(&entry.node, cx.sink).and_then(|(s, at)| match number(&s.text) {
                Ok(n) => Some(Ulimit { soft: n, hard: n }),
                Err(message) => {
                    cx.sink.add(Finding::error("bad-value", at, format!("`{}`: {message}", entry.key)));
                    None
                }
            })
        };
        if let Some(limit) = limit {
            service.container.ulimits.insert(entry.key.clone(), limit);
        }
    }
}

fn security(f: &Fields<'_>, cx: &Cx<'_>) {
    for (text, at) in f.texts("security_opt") {
        if !matches!(text.as_str(), "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true") {
            let finding = Finding::error("refused", at, format!("the security option `{text}` is refused"));
            cx.sink
                .add(finding.help("leave it out; containers run with the default profiles and without new privileges"));
        }
    }
}
