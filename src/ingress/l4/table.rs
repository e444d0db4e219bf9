//! The listeners of a snapshot, compiled. Pure: finding rules and upstreams only.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::model::{Key, Listener, Tls};
use super::stats::ListenerStats;
use crate::ingress::core::Random;
use crate::ingress::registry::Registry;
use crate::ingress::snapshot::{Route, Snapshot};
use crate::ingress::stats::UpstreamState;

/// All listeners of a table.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub entries: Vec<Entry>,
    by_key: HashMap<Key, usize>,
}

/// One listener with what is remembered about it across snapshots.
#[derive(Debug)]
pub(crate) struct Entry {
    pub listener: Listener,
    pub stats: Arc<ListenerStats>,
    pub log_fields: String,
    /// The upstreams of each rule.
    pub upstreams: Vec<Vec<Arc<UpstreamState>>>,
}

/// Statistics found again when a new snapshot comes.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Weak<ListenerStats>>);

impl Memory {
    fn stats(&mut self, id: &str) -> Arc<ListenerStats> {
        if let Some(stats) = self.0.get(id).and_then(Weak::upgrade) {
            return stats;
        }
        self.0.retain(|_, stats| stats.strong_count() > 0);
        let stats = Arc::new(ListenerStats::default());
        self.0.insert(id.to_owned(), Arc::downgrade(&stats));
        stats
    }
}

impl Listeners {
    pub(crate) fn compile(snapshot: &Snapshot, registry: &mut Registry) -> Self {
        let mut all = Self::default();
        for listener in &snapshot.listeners {
            let name = format!("listener {}", listener.id);
            let states = |registry: &mut Registry, rule: &super::model::Rule| {
                rule.upstreams.iter().map(|upstream| registry.upstream(&name, upstream)).collect()
            };
            let upstreams = listener.rules.iter().map(|rule| states(registry, rule)).collect();
            let named = Route { owner: listener.owner.clone(), ..Route::default() };
            all.by_key.insert(listener.key(), all.entries.len());
            all.entries.push(Entry {
                stats: registry.listeners.stats(&listener.id),
                log_fields: crate::ingress::phases::log::route_fields(&named),
                upstreams,
                listener: listener.clone(),
            });
        }
        all
    }

    pub(crate) fn find(&self, key: Key) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// All upstreams that are in the table: serial, and whether they are draining.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (u64, bool)> {
        self.entries.iter().flat_map(|entry| {
            entry.listener.rules.iter().zip(&entry.upstreams).flat_map(|(rule, states)| {
                rule.upstreams.iter().zip(states).map(|(upstream, state)| (state.serial, upstream.draining))
            })
        })
    }
}

impl Entry {
    /// The rule for a server name (none: a client that named no server).
    pub(crate) fn rule(&self, name: Option<&str>) -> Option<usize> {
        let rules = &self.listener.rules;
        let name = name.map(str::to_ascii_lowercase);
        let claimed =
            |claim: &str| rules.iter().position(|rule| rule.names.iter().any(|name| name.eq_ignore_ascii_case(claim)));
        let exact = name.as_deref().and_then(claimed);
        let parent = || {
            name.as_deref()
                .and_then(|name| name.split_once('.'))
                .and_then(|(_, parent)| claimed(&format!("*.{parent}")))
        };
        let any = || claimed("*").or_else(|| rules.iter().position(|rule| rule.names.is_empty()));
        exact.or_else(parent).or_else(any)
    }

    pub(crate) fn tls(&self, rule: usize) -> Tls {
        self.listener.rules[rule].tls
    }

    /// The upstream with the fewest open connections for its weight; among equals any. Those that refused connections
    /// lately only when there is no other.
    pub(crate) fn choose(&self, rule: usize, tried: &[usize], now_ms: u64, random: &Random) -> Option<usize> {
        let list = &self.listener.rules[rule].upstreams;
        let states = &self.upstreams[rule];
        let usable = |index: &usize| !list[*index].draining && list[*index].weight > 0 && !tried.contains(index);
        let load = |index: usize| (u64::from(states[index].in_flight()) << 16) / u64::from(list[index].weight);
        let start = random.below(list.len() as u64) as usize;
        (0..list.len())
            .map(|n| (n + start) % list.len())
            .filter(usable)
            .min_by_key(|index| (states[*index].is_ejected(now_ms), load(*index)))
    }
}
