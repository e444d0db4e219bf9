//! Who yields when the machine is short of memory or processor time. Pure: figures are folded into what is owed
//! ([`Pressure`]), and what is owed says which services run in fewer instances ([`relieve`]).
//!
//! The order: services of low criticality first, then normal ones, then high ones; within these, instances beyond the first
//! one before the last one of any service. Critical services never yield; neither does the last instance of one of high
//! criticality, of a pet above low criticality, or of an app that is being changed. For want of processor time only low
//! services yield, because others are then only slower.

use std::collections::BTreeMap;

use super::model::{Desired, DesiredEnvironment, Wanted};
use super::policy::{Policy, planted};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::ServiceName;
use crate::stack::Service;
use crate::stack::model::{Care, Criticality};

/// What the machine says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub memory_total_mib: u64,
    /// What can be had without swapping.
    pub memory_free_mib: u64,
    /// The share of the processors' time that was used since the look before, in thousandths.
    pub cpu_busy_permille: u32,
    /// Processors, in thousandths.
    pub cpu_millis: u64,
}

/// What is short, with the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    Memory { free_mib: u64, total_mib: u64 },
    Cpu { busy_percent: u32 },
}

/// How far a service yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yield {
    pub wanted: u32,
    /// So many run.
    pub left: u32,
    pub short: Short,
}

/// What is owed to the machine, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pressure {
    memory_mib: u64,
    cpu_millis: u64,
    last: Option<Figures>,
    /// When what is owed was changed last, or enough was not free any more.
    memory_since: Timestamp,
    /// Since when the processors are busy all the while, or not.
    cpu_since: Timestamp,
    cpu_was_busy: bool,
}

impl Pressure {
    /// Takes new figures in.
    pub fn note(&mut self, figures: Figures, policy: &Policy, now: Timestamp) {
        self.last = Some(figures);
        self.note_memory(figures, policy, now);
        self.note_cpu(figures, policy, now);
    }

    fn note_memory(&mut self, figures: Figures, policy: &Policy, now: Timestamp) {
        let share = |permille: u64| figures.memory_total_mib * permille / 1_000;
        let (low, enough) = (share(policy.memory_low_permille), share(policy.memory_enough_permille));
        let free = figures.memory_free_mib;
        let waited = now.since_ms(self.memory_since);
        if free < low {
            if self.memory_mib == 0 || waited >= policy.yield_step_ms {
                self.memory_mib += enough - free;
                self.memory_since = now;
            }
        } else if free <= enough {
            // Enough must be free without a break before anything comes back.
            if self.memory_mib > 0 && waited >= policy.yield_step_ms {
                self.memory_since = now;
            }
        } else if self.memory_mib > 0 && waited >= policy.relief_ms {
            self.memory_mib = self.memory_mib.saturating_sub(free - enough);
            self.memory_since = now;
        }
    }

    fn note_cpu(&mut self, figures: Figures, policy: &Policy, now: Timestamp) {
        let busy = figures.cpu_busy_permille >= policy.cpu_busy_permille;
        if busy != self.cpu_was_busy {
            (self.cpu_was_busy, self.cpu_since) = (busy, now);
        }
        let waited = now.since_ms(self.cpu_since);
        let step = figures.cpu_millis / 4;
        if busy && waited >= policy.cpu_patience_ms {
            (self.cpu_millis, self.cpu_since) = (self.cpu_millis + step, now);
        } else if !busy && self.cpu_millis > 0 && waited >= policy.relief_ms {
            (self.cpu_millis, self.cpu_since) = (self.cpu_millis.saturating_sub(step), now);
        }
    }

    /// Whether nobody has to yield.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.memory_mib == 0 && self.cpu_millis == 0
    }
}

/// One instance that could yield.
struct Candidate<'a> {
    environment: &'a EnvironmentId,
    name: &'a ServiceName,
    service: &'a Service,
    slot: u32,
}

/// Takes away from what is desired what has to yield.
pub fn relieve(desired: &mut Desired, pressure: &Pressure, policy: &Policy) {
    let Some(figures) = pressure.last.filter(|_| !pressure.is_over()) else { return };
    let mut left: BTreeMap<(EnvironmentId, ServiceName), (u32, Short)> = BTreeMap::new();
    let (mut memory, mut cpu) = (0, 0);
    for candidate in order(desired, policy) {
        let short = if memory < pressure.memory_mib {
            Short::Memory { free_mib: figures.memory_free_mib, total_mib: figures.memory_total_mib }
        } else if cpu < pressure.cpu_millis && candidate.service.criticality == Criticality::Low {
            Short::Cpu { busy_percent: figures.cpu_busy_permille / 10 }
        } else {
            break;
        };
        memory += u64::from(candidate.service.limits.memory_mib);
        cpu += u64::from(candidate.service.limits.cpu_millis);
        let place = (candidate.environment.clone(), candidate.name.clone());
        left.insert(place, (candidate.slot - 1, short));
    }
    for ((id, name), (left, short)) in left {
        let Some(environment) = desired.environments.get_mut(&id) else { continue };
        let wanted = wanted(environment, &name).map_or(0, |(_, wanted)| wanted);
        environment.formation.insert(name.clone(), left);
        environment.yields.insert(name, Yield { wanted, left, short });
    }
}

/// The service that serves, or is the first one to do so, and how many instances of it are wanted.
fn wanted<'a>(environment: &'a DesiredEnvironment, name: &ServiceName) -> Option<(&'a Service, u32)> {
    let release = environment.serving.as_ref().or(environment.target.as_ref().map(|t| &t.release))?;
    let service = release.stack.services.get(name)?;
    Some((service, environment.replicas(name, service)))
}

/// All instances that could yield, in the order in which they do. Of one service the last slots come first, so that each
/// candidate leaves those before it.
fn order<'a>(desired: &'a Desired, policy: &Policy) -> Vec<Candidate<'a>> {
    let mut all: Vec<Candidate<'a>> = Vec::new();
    for (id, environment) in desired.environments.iter().filter(|(_, e)| e.wanted == Wanted::Run) {
        let release = environment.serving.as_ref().or(environment.target.as_ref().map(|t| &t.release));
        for (name, service) in release.into_iter().flat_map(|r| &r.stack.services) {
            let slots = least(environment, service) + 1..=environment.replicas(name, service);
            all.extend(slots.map(|slot| Candidate { environment: id, name, service, slot }));
        }
    }
    all.sort_by(|a, b| {
        let by_criticality = a.service.criticality.cmp(&b.service.criticality);
        let by_criticality = if planted!(policy, YieldTheWrongWay) { by_criticality.reverse() } else { by_criticality };
        by_criticality
            .then((a.slot == 1).cmp(&(b.slot == 1)))
            .then(b.slot.cmp(&a.slot))
            .then((a.environment, a.name).cmp(&(b.environment, b.name)))
    });
    all
}

/// How many instances of a service never yield.
fn least(environment: &DesiredEnvironment, service: &Service) -> u32 {
    let changes = environment.target.is_some();
    match service.criticality {
        Criticality::Critical => u32::MAX - 1,
        Criticality::High => 1,
        Criticality::Normal => u32::from(changes || service.care == Care::Pet),
        Criticality::Low => u32::from(changes),
    }
}
