//! What differs between two stacks, what comes of it, and what it needs: in words people read, and as JSON. Pure.
//!
//! Values of variables, configs and secrets are never shown, only their names.
//!
//! To tell of one more field, add its line in [`service`] under the effect that changing it has.

mod demand;
mod kept;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::model::{ResourceName, Stack};
use crate::kernel::name::ServiceName;

pub use demand::{Demand, Resources, demand};
pub use kept::goes_on;

/// One difference, in a plain sentence part: what, and from what to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The service it is about, or `stack`.
    pub subject: String,
    /// The difference.
    pub text: String,
    /// What it is about.
    pub aspect: Aspect,
    /// What comes of it for the service's instances.
    pub effect: Effect,
}

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    Service,
    Image,
    Command,
    Environment,
    Container,
    Network,
    Routes,
    Health,
    Scale,
    Resources,
    Volumes,
    Files,
    Dependencies,
    Policy,
    Job,
    Release,
    About,
}

/// What comes of a difference. The order is the meaning: of several, the highest one happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Instances go on untouched; only how they are treated changes.
    None,
    /// Requests go other ways.
    Reroute,
    /// Some instances start or stop, the others go on.
    Rescale,
    /// All instances are replaced.
    Restart,
    /// It starts for the first time.
    Start,
    /// It stops for good.
    Stop,
}

impl Effect {
    /// The word for it in a table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "keeps running",
            Self::Reroute => "is routed anew",
            Self::Rescale => "scales",
            Self::Restart => "restarts",
            Self::Start => "starts",
            Self::Stop => "stops",
        }
    }
}

/// All that is to be said before a stack takes another one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub changes: Vec<Change>,
    /// What happens to each service that is touched.
    pub services: BTreeMap<ServiceName, Effect>,
    pub demand: Demand,
}

impl Difference {
    /// From `old`, or from nothing, to `new`, with the names of what has another value in the configuration, and what is
    /// free on the nodes as far as that is known.
    #[must_use]
    pub fn between(old: Option<&Stack>, new: &Stack, changed: &BTreeSet<String>, free: Option<Resources>) -> Self {
        let nothing = Stack::default();
        let old = old.unwrap_or(&nothing);
        let mut changes = diff(old, new);
        for (name, service) in new.services.iter().filter(|(name, _)| old.services.contains_key(*name)) {
            let texts = kept::read(new, service, changed).map(|variable| format!("configuration {variable} changes"));
            changes.extend(texts.map(|text| change(name.as_str(), text, Aspect::Environment, Effect::Restart)));
        }
        // What is added or changed, what is removed, what belongs to no service.
        let class = |c: &Change| (c.subject == "stack", c.effect == Effect::Stop);
        changes.sort_by(|a, b| (class(a), &a.subject).cmp(&(class(b), &b.subject)));
        let mut services: BTreeMap<ServiceName, Effect> = BTreeMap::new();
        for change in &changes {
            let Ok(name) = change.subject.parse::<ServiceName>() else { continue };
            if old.services.contains_key(&name) || new.services.contains_key(&name) {
                let effect = services.entry(name).or_insert(change.effect);
                *effect = (*effect).max(change.effect);
            }
        }
        let demand = demand(old, new, &services, free);
        Self { changes, services, demand }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// As people read it: `+` is added, `-` removed, `~` changed.
    #[must_use]
    pub fn render(&self) -> String {
        if self.is_empty() {
            return "nothing changes\n".to_owned();
        }
        let mut text = String::new();
        let mut subject = "";
        for change in &self.changes {
            if change.subject != subject {
                subject = &change.subject;
                let effect = subject.parse().ok().and_then(|n: ServiceName| self.services.get(&n));
                let mark = match effect {
                    Some(Effect::Start) => '+',
                    Some(Effect::Stop) => '-',
                    _ => '~',
                };
                let said = effect.map(|e| format!(" ({})", e.as_str())).unwrap_or_default();
                text.push_str(&format!("{mark} {subject}{said}\n"));
            }
            text.push_str(&format!("    {}\n", change.text));
        }
        text.push_str(&self.demand.render());
        text
    }
}

/// All differences that lead from `old` to `new`, in a stable order.
#[must_use]
pub fn diff(old: &Stack, new: &Stack) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, service) in &new.services {
        match old.services.get(name) {
            None => changes.push(change(name.as_str(), "is added", Aspect::Service, Effect::Start)),
            Some(before) => {
                let found = service::changes(before, service, &|config| content_differs(old, new, config));
                changes.extend(
                    found.into_iter().map(|(aspect, effect, text)| change(name.as_str(), text, aspect, effect)),
                );
            }
        }
    }
    for name in old.services.keys().filter(|n| !new.services.contains_key(n)) {
        changes.push(change(name.as_str(), "is removed", Aspect::Service, Effect::Stop));
    }
    shared(old, new, &mut changes);
    changes
}

fn change(subject: &str, text: impl Into<String>, aspect: Aspect, effect: Effect) -> Change {
    Change { subject: subject.to_owned(), text: text.into(), aspect, effect }
}

/// Whether a config or secret of the stack is another one in `new`.
fn content_differs(old: &Stack, new: &Stack, name: &ResourceName) -> bool {
    old.configs.get(name) != new.configs.get(name) || old.secrets.get(name) != new.secrets.get(name)
}

/// What belongs to no service by itself.
fn shared(old: &Stack, new: &Stack, changes: &mut Vec<Change>) {
    let mut note = |differs: bool, aspect: Aspect, text: String| {
        if differs {
            changes.push(change("stack", text, aspect, Effect::None));
        }
    };
    if old.release != new.release {
        let text = match &new.release {
            None => "release command is removed".to_owned(),
            Some(r) => format!("release command is `{}`", r.command.join(" ")),
        };
        note(true, Aspect::Release, text);
    }
    for name in new.volumes.keys().filter(|n| !old.volumes.contains_key(*n)) {
        note(true, Aspect::Volumes, format!("volume {name} is added"));
    }
    for name in old.volumes.keys().filter(|n| !new.volumes.contains_key(*n)) {
        note(true, Aspect::Volumes, format!("volume {name} is not used any more; its data is kept"));
    }
    for (name, volume) in &new.volumes {
        if let Some(before) = old.volumes.get(name) {
            let size = |mib: Option<u32>| mib.map_or_else(|| "no size".to_owned(), |m| format!("{m} MiB"));
            let text = format!("volume {name} {} → {}", size(before.size_mib), size(volume.size_mib));
            note(before.size_mib != volume.size_mib, Aspect::Volumes, text);
        }
    }
    note(old.networks != new.networks, Aspect::Network, "networks change".to_owned());
    for name in names(old.workflows.keys(), new.workflows.keys()) {
        let text = match (old.workflows.get(name), new.workflows.get(name)) {
            (None, _) => format!("workflow {name} is added"),
            (_, None) => format!("workflow {name} is removed"),
            _ => format!("workflow {name} changes"),
        };
        note(old.workflows.get(name) != new.workflows.get(name), Aspect::Job, text);
    }
    let version = |s: &Stack| s.about.version.clone().unwrap_or_else(|| "none".to_owned());
    note(old.about.version != new.about.version, Aspect::About, format!("version {} → {}", version(old), version(new)));
    note(old.inputs != new.inputs, Aspect::About, "inputs change".to_owned());
}

/// The keys of both, each once, in order.
fn names<'a, T: Ord + 'a>(a: impl Iterator<Item = &'a T>, b: impl Iterator<Item = &'a T>) -> Vec<&'a T> {
    let all: std::collections::BTreeSet<&T> = a.chain(b).collect();
    all.into_iter().collect()
}

/// The first twelve digits of a content id, as engines print them.
#[must_use]
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}
