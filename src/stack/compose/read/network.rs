//! Ports, networks and names.

use std::net::IpAddr;

use super::{Cx, Draft, Published};
use crate::stack::compose::fields::{Fields, port, scalar};
use crate::stack::compose::finding::Finding;
use crate::stack::compose::keys;
use crate::stack::compose::node::Value;
use crate::stack::model::{Attachment, ExtraHost, ServicePort, Stack, Transport};

pub(super) fn read(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, draft: &mut Draft) {
    ports(f, cx, draft);
    for entry in f.entries("networks") {
        let Some(name) = cx.name(&entry.key, entry.key_at) else { continue };
        if !name.is_default_network() && !stack.networks.contains_key(&name) {
            cx.unknown_resource("network", &entry.key, entry.key_at, stack.networks.keys());
        }
        let mut attachment = Attachment::default();
        if let Some(details) = Fields::open(&entry.node, &keys::ATTACHMENT, cx.sink) {
            attachment.aliases = details.texts("aliases").into_iter().map(|(a, _)| a).collect();
        }
        draft.service.networks.insert(name, attachment);
    }
    let container = &mut draft.service.container;
    container.extra_hosts = extra_hosts(f, cx);
    container.dns_search = f.texts("dns_search").into_iter().map(|(d, _)| d).collect();
    container.dns_options = f.texts("dns_opt").into_iter().map(|(d, _)| d).collect();
    for (text, at) in f.texts("dns") {
        match text.parse::<IpAddr>() {
            Ok(address) => container.dns.push(address),
            Err(_) => f.bad(at, &format!("`{text}` is not an address"), "write for example `9.9.9.9`"),
        }
    }
}

fn ports(f: &Fields<'_>, cx: &Cx<'_>, draft: &mut Draft) {
    let listens = &mut draft.service.ports;
    for (text, at) in f.texts("expose") {
        let (number, protocol) = text.split_once('/').unwrap_or((text.as_str(), "tcp"));
        let (from, to) = number.split_once('-').unwrap_or((number, number));
        match (port(from), port(to)) {
            (Ok(from), Ok(to)) if from <= to && to - from < 64 => {
                let transport = if protocol == "udp" { Transport::Udp } else { Transport::Tcp };
                listens.extend((from..=to).map(|port| ServicePort { port, transport, name: None }));
            }
            _ => f.bad(at, &format!("`{text}` is not a port"), "write for example `\"3000\"`"),
        }
    }
    for node in f.list("ports") {
        let Some(p) = Fields::open(node, &keys::PORT, cx.sink) else { continue };
        let Some(target) = p.port("target") else {
            if p.get("target").is_none() {
                p.missing("target", "80");
            }
            continue;
        };
        let udp = p.choice("protocol", &["tcp", "udp"]) == Some(1);
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        listens.push(ServicePort { port: target, transport, name: p.text("name") });
        // What is bound to the loopback address is for the machine itself; the outside never saw it.
        let local = p.word("host_ip").is_some_and(|(ip, _)| ip.starts_with("127.") || ip == "::1" || ip == "localhost");
        if local {
            let message = format!("the port {target} is not published");
            let help =
                "it is bound to the loopback address; other services of the stack reach it by the service's name";
            cx.sink.add(Finding::note("other-meaning", node.at, message).help(help));
            continue;
        }
        let first = |t: &str| port(t.split('-').next().unwrap_or(t));
        draft.published.push(Published {
            target,
            published: p.read("published", first),
            udp,
            app_protocol: p.word("app_protocol").map(|(t, _)| t),
            at: node.at,
        });
    }
    listens.sort_by(|a, b| (a.port, a.transport, b.name.is_some()).cmp(&(b.port, b.transport, a.name.is_some())));
    listens.dedup_by_key(|p| (p.port, p.transport));
}

/// `extra_hosts`, of a container or a build.
pub(super) fn extra_hosts(f: &Fields<'_>, cx: &Cx<'_>) -> Vec<ExtraHost> {
    let mut all = Vec::new();
    for entry in f.entries("extra_hosts") {
        let addresses = match &entry.node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![&entry.node],
        };
        for (text, at) in addresses.into_iter().filter_map(|n| scalar(n, cx.sink)) {
            let text = text.text.trim();
            if text == "host-gateway" {
                let message = "`host-gateway` is refused: the machine itself belongs to the platform";
                let help = "call other apps by their domains, and services of the stack by their names";
                cx.sink.add(Finding::error("refused", at, message).help(help));
                continue;
            }
            match text.trim_matches(['[', ']']).parse() {
                Ok(address) => all.push(ExtraHost { name: entry.key.clone(), address }),
                Err(_) => f.bad(at, &format!("`{text}` is not an address"), "write for example `api.local:10.1.2.3`"),
            }
        }
    }
    all
}
