//! What a stack needs of the nodes, and whether there is so much.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Effect;
use crate::kernel::name::ServiceName;
use crate::stack::model::{Service, Stack, Strategy, UpdateOrder};

/// Amounts of what nodes have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Thousandths of processor cores.
    pub cpu_millis: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// What is needed before, after and on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// The limits of all instances of the old stack.
    pub before: Resources,
    /// The limits of all instances of the new stack.
    pub after: Resources,
    /// Beyond both, at most, while old and new instances stand side by side.
    pub extra: Resources,
    /// What the nodes have left now, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<Resources>,
    /// Whether its memory fits into what is free; nothing is said when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<bool>,
}

impl Resources {
    fn of(service: &Service, instances: u32) -> Self {
        Self {
            cpu_millis: u64::from(service.limits.cpu_millis) * u64::from(instances),
            memory_mib: u64::from(service.limits.memory_mib) * u64::from(instances),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu_millis: self.cpu_millis + other.cpu_millis, memory_mib: self.memory_mib + other.memory_mib }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
        }
    }
}

/// What all standing instances of a stack may use together.
fn total(stack: &Stack) -> Resources {
    stack.services.values().fold(Resources::default(), |sum, s| sum.plus(Resources::of(s, s.replicas)))
}

/// What going from `old` to `new` needs.
#[must_use]
pub fn demand(old: &Stack, new: &Stack, effects: &BTreeMap<ServiceName, Effect>, free: Option<Resources>) -> Demand {
    let (before, after) = (total(old), total(new));
    let restarting = new.services.iter().filter(|(name, _)| effects.get(*name) == Some(&Effect::Restart));
    let extra = restarting.fold(Resources::default(), |sum, (_, s)| sum.plus(Resources::of(s, beside(s))));
    // What the old instances use is theirs already.
    let more = after.minus(before).plus(extra);
    // Processor time is shared out as it comes; memory that is not there is not there.
    let fits = free.map(|f| more.memory_mib <= f.memory_mib);
    Demand { before, after, extra, free, fits }
}

/// How many new instances stand beside the old ones while a service is changed.
fn beside(service: &Service) -> u32 {
    let rollout = &service.rollout;
    match (service.may_overlap(), rollout.strategy, rollout.order) {
        (false, ..) | (_, Strategy::Recreate, _) | (_, Strategy::Rolling, UpdateOrder::StopFirst) => 0,
        (_, Strategy::Rolling, UpdateOrder::StartFirst) => {
            rollout.max_surge.map_or(1, |s| s.of_up(service.replicas)).clamp(1, service.replicas.max(1))
        }
        (_, Strategy::BlueGreen | Strategy::Canary, _) => service.replicas,
    }
}

impl Demand {
    /// As people read it, a line for each resource.
    #[must_use]
    pub fn render(&self) -> String {
        let line = |what: &str, unit: &str, pick: &dyn Fn(&Resources) -> u64| {
            let mut text = format!("{what}: {} → {} {unit}", pick(&self.before), pick(&self.after));
            if pick(&self.extra) > 0 {
                text.push_str(&format!(", {} more on the way", pick(&self.extra)));
            }
            if let Some(free) = &self.free {
                text.push_str(&format!(", {} free", pick(free)));
            }
            text + "\n"
        };
        let mut text = line("memory", "MiB", &|r| r.memory_mib) + &line("processor", "millicores", &|r| r.cpu_millis);
        if self.fits == Some(false) {
            text.push_str("this does not fit: lower limits or replicas, or add a node\n");
        }
        text
    }
}
