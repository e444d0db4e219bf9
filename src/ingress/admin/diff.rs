//! The difference between two tables, for people who are about to send one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ingress::reports::{Diff, RouteChange};
use crate::ingress::snapshot::{Route, Snapshot};

/// Most fields named for one route.
const MAX_FIELDS: usize = 100;

/// What `new` changes about `old`.
pub(crate) fn between(old: &Snapshot, new: &Snapshot) -> Diff {
    let by_id = |snapshot: &'_ Snapshot| -> BTreeMap<String, Route> {
        snapshot.routes.iter().map(|route| (route.id.clone(), route.clone())).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let mut diff = Diff { settings_changed: old.settings != new.settings, ..Diff::default() };
    diff.added = after.keys().filter(|id| !before.contains_key(*id)).cloned().collect();
    diff.removed = before.keys().filter(|id| !after.contains_key(*id)).cloned().collect();
    for (id, route) in &after {
        match before.get(id) {
            Some(same) if same == route => diff.unchanged += 1,
            Some(other) => diff.changed.push(RouteChange { route: id.clone(), fields: fields(other, route) }),
            None => {}
        }
    }
    diff
}

fn fields(old: &Route, new: &Route) -> Vec<String> {
    let leaves = |route: &Route| {
        let mut hidden = route.clone();
        super::hide(&mut hidden);
        let mut leaves = BTreeMap::new();
        walk(String::new(), &serde_json::to_value(&hidden).unwrap_or_default(), &mut leaves);
        leaves
    };
    let (before, after) = (leaves(old), leaves(new));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let mut named: Vec<String> = changed
        .map(|path| format!("{path}: {} -> {}", text(before.get(path)), text(after.get(path))))
        .take(MAX_FIELDS)
        .collect();
    if named.is_empty() {
        // Only what is never shown differs.
        named.push("a secret".to_owned());
    }
    named
}

/// All values that hold no others, by their path.
fn walk(path: String, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    let join = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| walk(join(key), value, leaves)),
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(index, value)| walk(join(&index.to_string()), value, leaves));
        }
        leaf => drop(leaves.insert(path, leaf.clone())),
    }
}
