//! One file over another, one service over the one it extends: the merge rules of Compose, on long forms.

use super::node::{Entry, Map, Node, Tag, Value};

/// Puts `over` over `base`. `path` are the keys from the root of the file.
pub(super) fn merge(base: &mut Node, over: Node, path: &mut Vec<String>) {
    match over.tag {
        Tag::Reset => {
            *base = Node::null(over.at);
            return;
        }
        Tag::Override => {
            *base = Node { tag: Tag::None, ..over };
            return;
        }
        Tag::None => {}
    }
    if over.is_null() {
        return;
    }
    let replaces = replaces(path);
    match (&mut base.value, over.value) {
        (Value::Map(old), Value::Map(new)) => merge_maps(old, new, path),
        (Value::List(old), Value::List(new)) if !replaces => merge_lists(old, new, path),
        (_, value) => *base = Node { value, at: over.at, tag: Tag::None },
    }
}

fn merge_maps(old: &mut Map, new: Map, path: &mut Vec<String>) {
    for Entry { key, key_at, node } in new.0 {
        if node.tag == Tag::Reset {
            old.remove(&key);
            continue;
        }
        path.push(key.clone());
        match old.get_mut(&key) {
            Some(base) => merge(base, node, path),
            None => old.0.push(Entry { key, key_at, node: Node { tag: Tag::None, ..node } }),
        }
        path.pop();
    }
}

/// Adds the new items; one that means the same thing as an old one takes its place.
fn merge_lists(old: &mut Vec<Node>, new: Vec<Node>, path: &[String]) {
    for item in new {
        let identity = identity(&item, path);
        match old.iter_mut().find(|o| self::identity(o, path) == identity) {
            Some(same) => *same = item,
            None => old.push(item),
        }
    }
}

/// By what two items of a list are the same.
fn identity(node: &Node, path: &[String]) -> String {
    let field =
        |key: &str| node.as_map().and_then(|m| m.get(key)).and_then(Node::scalar).map_or("", |s| s.text.as_str());
    match (path.last().map(String::as_str), &node.value) {
        (_, Value::Scalar(s)) => s.text.clone(),
        (Some("ports"), _) => {
            let protocol = if field("protocol").is_empty() { "tcp" } else { field("protocol") };
            format!("{}:{}:{}/{protocol}", field("host_ip"), field("published"), field("target"))
        }
        (Some("volumes"), _) => field("target").to_owned(),
        (Some("configs" | "secrets"), _) if !field("target").is_empty() => field("target").to_owned(),
        (Some("configs" | "secrets"), _) => field("source").to_owned(),
        (Some("env_file" | "include"), _) => field("path").to_owned(),
        // No two of anything else are the same.
        _ => format!("{:?}", node.at),
    }
}

/// Whether the later list replaces the earlier one. Command lines are one thing, and so is everything of ours.
fn replaces(path: &[String]) -> bool {
    let last = path.last().map_or("", String::as_str);
    matches!(last, "command" | "entrypoint" | "test") || path.iter().any(|p| p == "x-wharf")
}

/// Takes `!reset` values away, and the marks of `!override`.
pub(super) fn settle(node: &mut Node) {
    node.tag = Tag::None;
    match &mut node.value {
        Value::Map(map) => {
            map.0.retain(|e| e.node.tag != Tag::Reset);
            map.0.iter_mut().for_each(|e| settle(&mut e.node));
        }
        Value::List(list) => {
            list.retain(|n| n.tag != Tag::Reset);
            list.iter_mut().for_each(settle);
        }
        Value::Scalar(_) => {}
    }
}
