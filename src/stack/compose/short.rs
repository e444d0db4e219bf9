//! The short forms of ports and volumes, spelled out.

use super::fields::port;
use super::finding::{Finding, Place, Sink};
use super::node::{Map, Node};

/// Ports one range may have.
const WIDEST_RANGE: u16 = 64;

/// `[[address:]published:]target[/protocol]`, each perhaps a range, as mappings of the long form.
pub(super) fn ports(node: &Node, sink: &Sink) -> Vec<Node> {
    let Some(scalar) = node.scalar() else { return Vec::new() };
    match port_entries(&scalar.text, node.at) {
        Ok(entries) => entries,
        Err(message) => {
            let help = "write for example `\"8080:80\"`, `\"80\"` or `\"53:53/udp\"`, in quotes";
            sink.add(Finding::error("bad-value", node.at, message).help(help));
            Vec::new()
        }
    }
}

fn port_entries(text: &str, at: Place) -> Result<Vec<Node>, String> {
    let (rest, protocol) = text.rsplit_once('/').map_or((text, None), |(r, p)| (r, Some(p)));
    let (outside, target) = rest.rsplit_once(':').map_or((None, rest), |(o, t)| (Some(o), t));
    let (address, published) = match outside {
        None => (None, None),
        Some(o) => match o.rsplit_once(':') {
            Some((a, p)) => (Some(a.trim_matches(['[', ']'])), Some(p).filter(|p| !p.is_empty())),
            None if o.contains('.') => (Some(o), None),
            None => (None, Some(o)),
        },
    };
    let targets = range(target)?;
    let published = published.map(range).transpose()?;
    if let Some(p) = published.as_ref().filter(|p| p.len() != targets.len() && targets.len() != 1) {
        return Err(format!("`{text}` publishes {} ports to {}; the numbers must be equal", p.len(), targets.len()));
    }
    let entry = |i: usize, target: u16| {
        let mut map = Map::default();
        map.put("target", Node::plain(target.to_string(), at));
        // A range for a single target means: any one of them.
        if let Some(p) = published.as_ref().and_then(|p| p.get(i)) {
            map.put("published", Node::plain(p.to_string(), at));
        }
        if let Some(p) = protocol {
            map.put("protocol", Node::plain(p, at));
        }
        if let Some(a) = address {
            map.put("host_ip", Node::text(a, at));
        }
        Node::map(map, at)
    };
    Ok(targets.into_iter().enumerate().map(|(i, t)| entry(i, t)).collect())
}

fn range(text: &str) -> Result<Vec<u16>, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (port(from.trim())?, port(to.trim())?);
    if to < from || to - from >= WIDEST_RANGE {
        return Err(format!("`{text}` is not a range of at most {WIDEST_RANGE} ports"));
    }
    Ok((from..=to).collect())
}

/// `[source:]target[:options]` as a mapping of the long form.
pub(super) fn volume(node: &Node, sink: &Sink) -> Node {
    let at = node.at;
    let text = node.scalar().map_or("", |s| s.text.as_str());
    let mut parts: Vec<&str> = text.split(':').collect();
    let mut map = Map::default();
    let is_path = |p: &str| p.starts_with(['/', '.', '~', '\\']) || p.contains('/') || p.contains('\\');
    let options = if parts.len() > 2 || (parts.len() == 2 && !is_path(parts[1])) { parts.pop() } else { None };
    let (source, target) = match parts.as_slice() {
        [target] => (None, *target),
        [source, target] => (Some(*source), *target),
        _ => {
            let help = "write for example `data:/var/lib/data` or `data:/var/lib/data:ro`";
            sink.add(Finding::error("bad-value", at, format!("`{text}` is not a volume")).help(help));
            return Node::null(at);
        }
    };
    let kind = if source.is_some_and(is_path) { "bind" } else { "volume" };
    map.put("type", Node::plain(kind, at));
    if let Some(source) = source {
        map.put("source", Node::text(source, at));
    }
    map.put("target", Node::text(target, at));
    for option in options.into_iter().flat_map(|o| o.split(',')) {
        match option {
            "ro" => map.put("read_only", Node::plain("true", at)),
            "nocopy" => {
                let mut details = Map::default();
                details.put("nocopy", Node::plain("true", at));
                map.put("volume", Node::map(details, at));
            }
            // What tells other systems how to share, label or cache the place.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "" => {}
            _ => {
                let message = format!("`{option}` is not an option of a volume");
                sink.add(Finding::error("bad-value", at, message).help("`ro`, `rw` and `nocopy` are"));
            }
        }
    }
    Node::map(map, at)
}
