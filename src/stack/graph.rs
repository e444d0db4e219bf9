//! Who waits for whom: the order in which services start and stop, and what is wrong with it.
//!
//! Pure, total and deterministic: names decide between equals, and a circle never makes an order endless.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Criticality, Stack};
use crate::kernel::name::ServiceName;

/// The dependencies of each service that the stack has.
fn needs(stack: &Stack) -> BTreeMap<&ServiceName, BTreeSet<&ServiceName>> {
    let known = |name: &&ServiceName| stack.services.contains_key(*name);
    stack.services.iter().map(|(name, s)| (name, s.depends_on.keys().filter(known).collect())).collect()
}

/// The services in waves: each wave needs only earlier ones, and within one all may start at the same time.
/// Services in a circle, and those that wait for them, come together in the last wave.
#[must_use]
pub fn start_order(stack: &Stack) -> Vec<Vec<ServiceName>> {
    let mut waiting = needs(stack);
    let mut waves = Vec::new();
    while !waiting.is_empty() {
        let ready: BTreeSet<&ServiceName> =
            waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        if ready.is_empty() {
            waves.push(waiting.into_keys().cloned().collect());
            break;
        }
        waiting.retain(|name, _| !ready.contains(name));
        for needs in waiting.values_mut() {
            needs.retain(|name| !ready.contains(name));
        }
        waves.push(ready.into_iter().cloned().collect());
    }
    waves
}

/// The same waves backwards: nobody stops before those that need it.
#[must_use]
pub fn stop_order(stack: &Stack) -> Vec<Vec<ServiceName>> {
    let mut waves = start_order(stack);
    waves.reverse();
    waves
}

/// All services that need this one, directly or over others.
#[must_use]
pub fn dependents(stack: &Stack, of: &ServiceName) -> BTreeSet<ServiceName> {
    let mut found: BTreeSet<ServiceName> = BTreeSet::new();
    let mut queue = vec![of];
    while let Some(name) = queue.pop() {
        for (other, service) in &stack.services {
            if service.depends_on.contains_key(name) && other != of && found.insert(other.clone()) {
                queue.push(other);
            }
        }
    }
    found
}

/// One circle for each group of services that wait for each other: each waits for the next, the last for the first.
/// The first is the first by name.
#[must_use]
pub fn cycles(stack: &Stack) -> Vec<Vec<ServiceName>> {
    let needs = needs(stack);
    let mut done: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut cycles = Vec::new();
    for start in needs.keys() {
        if done.contains(start) {
            continue;
        }
        if let Some(path) = shortest_circle(&needs, start) {
            done.extend(path.iter().copied());
            cycles.push(path.into_iter().cloned().collect());
        }
    }
    cycles
}

/// The shortest way from a service back to itself.
fn shortest_circle<'a>(
    needs: &BTreeMap<&'a ServiceName, BTreeSet<&'a ServiceName>>,
    start: &'a ServiceName,
) -> Option<Vec<&'a ServiceName>> {
    let mut came_from: BTreeMap<&ServiceName, &ServiceName> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in needs.get(name)? {
            if *next == start {
                let mut path = vec![name];
                while let Some(before) = came_from.get(path[path.len() - 1]) {
                    path.push(before);
                }
                path.reverse();
                return Some(path);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}

/// A service that depends on one that may yield earlier than itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakDependency {
    pub service: ServiceName,
    pub criticality: Criticality,
    pub on: ServiceName,
    pub on_criticality: Criticality,
}

/// All services that depend directly on a less critical one.
#[must_use]
pub fn weak_dependencies(stack: &Stack) -> Vec<WeakDependency> {
    let mut weak = Vec::new();
    for (name, service) in &stack.services {
        for on in service.depends_on.keys() {
            if let Some(other) = stack.services.get(on).filter(|o| o.criticality < service.criticality) {
                weak.push(WeakDependency {
                    service: name.clone(),
                    criticality: service.criticality,
                    on: on.clone(),
                    on_criticality: other.criticality,
                });
            }
        }
    }
    weak
}
