//! What differs between two revisions, in words people read.

use super::model::{Service, Stack};

/// One difference, in a plain sentence part: what, and from what to what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The service it is about, or `stack`.
    pub subject: String,
    /// The difference.
    pub text: String,
}

/// All differences that lead from `old` to `new`, in a stable order.
#[must_use]
pub fn diff(old: &Stack, new: &Stack) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, service) in &new.services {
        match old.services.get(name) {
            None => changes.push(Change { subject: name.to_string(), text: "is added".to_owned() }),
            Some(before) => {
                changes.extend(
                    service_changes(before, service).into_iter().map(|text| Change { subject: name.to_string(), text }),
                );
            }
        }
    }
    for name in old.services.keys().filter(|n| !new.services.contains_key(n)) {
        changes.push(Change { subject: name.to_string(), text: "is removed".to_owned() });
    }
    if old.release != new.release {
        let text = match &new.release {
            None => "release command is removed".to_owned(),
            Some(r) => format!("release command is `{}`", r.command.join(" ")),
        };
        changes.push(Change { subject: "stack".to_owned(), text });
    }
    changes
}

fn service_changes(old: &Service, new: &Service) -> Vec<String> {
    let mut out = Vec::new();
    let mut note = |differs: bool, text: String| {
        if differs {
            out.push(text);
        }
    };
    note(old.kind != new.kind, format!("kind {:?} → {:?}", old.kind, new.kind));
    note(old.image.id != new.image.id, format!("image {} → {}", short(&old.image.id), short(&new.image.id)));
    note(old.entrypoint != new.entrypoint || old.command != new.command, "command changes".to_owned());
    for (key, value) in &new.environment {
        note(old.environment.get(key) != Some(value), format!("environment {key} changes"));
    }
    for key in old.environment.keys().filter(|k| !new.environment.contains_key(*k)) {
        note(true, format!("environment {key} is removed"));
    }
    note(old.port != new.port, format!("port {} → {}", port(old.port), port(new.port)));
    note(old.health != new.health, "health check changes".to_owned());
    note(old.replicas != new.replicas, format!("replicas {} → {}", old.replicas, new.replicas));
    note(old.limits != new.limits, "limits change".to_owned());
    note(old.stop_grace_seconds != new.stop_grace_seconds, "stop grace changes".to_owned());
    out
}

/// The first twelve digits of a content id, as engines print them.
#[must_use]
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn port(port: Option<u16>) -> String {
    port.map_or_else(|| "none".to_owned(), |p| p.to_string())
}
