//! Finds the states of routes and their parts again when a new snapshot comes: what stays in the table keeps its counters,
//! limits and memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::phases::basic_auth::Guard;
use super::rate::Limiter;
use super::resilience::breaker::Breaker;
use super::resilience::concurrency::Limit;
use super::resilience::retry_budget::Budget;
use super::snapshot::{self, BasicAuth, Concurrency, RateKey, RateLimit, Route, Upstream, UpstreamAddress};
use super::stats::{RouteStats, UpstreamState};

/// The state known under a key, if a table still uses it and it fits; else a new one.
fn same_or_new<T>(
    known: &mut HashMap<String, Weak<T>>,
    key: &str,
    fits: impl FnOnce(&T) -> bool,
    new: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(old) = known.get(key).and_then(Weak::upgrade).filter(|old| fits(old)) {
        return old;
    }
    let new = Arc::new(new());
    known.insert(key.to_owned(), Arc::downgrade(&new));
    new
}

/// Finds the states of routes and upstreams again when a new snapshot comes.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: usize,
    /// Time of the process clock at which the table is compiled: what is new joins now.
    pub now_ms: u64,
    next_serial: u64,
    routes: HashMap<String, Weak<RouteStats>>,
    upstreams: HashMap<(String, String, UpstreamAddress), Weak<UpstreamState>>,
    limiters: HashMap<String, Weak<Limiter>>,
    breakers: HashMap<String, Weak<Breaker>>,
    limits: HashMap<String, Weak<Limit>>,
    guards: HashMap<String, Weak<Guard>>,
    budgets: HashMap<String, Weak<Mutex<Budget>>>,
    pub listeners: super::l4::table::Memory,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            now_ms: 0,
            next_serial: 1,
            routes: HashMap::new(),
            upstreams: HashMap::new(),
            limiters: HashMap::new(),
            breakers: HashMap::new(),
            limits: HashMap::new(),
            guards: HashMap::new(),
            budgets: HashMap::new(),
            listeners: super::l4::table::Memory::default(),
        }
    }

    pub(crate) fn route(&mut self, id: &str) -> Arc<RouteStats> {
        if let Some(stats) = self.routes.get(id).and_then(Weak::upgrade) {
            return stats;
        }
        let stats = Arc::new(RouteStats::new(self.workers));
        self.routes.insert(id.to_owned(), Arc::downgrade(&stats));
        stats
    }

    /// Statistics of one backend of a route.
    pub(crate) fn backend(&mut self, route: &str, backend: &str) -> Arc<RouteStats> {
        // No id holds a line feed in a valid snapshot, so no route is mistaken for a backend.
        self.route(&format!("{route}\n{backend}"))
    }

    /// The limiters of a route; a changed limit starts anew.
    pub(crate) fn limiters(&mut self, route: &Route) -> Box<[Arc<Limiter>]> {
        let limits = route.policy.rate_limit.iter().chain(&route.policy.rate_limits);
        limits
            .enumerate()
            .map(|(index, limit)| {
                let key = match &limit.key {
                    RateKey::Tenant => format!("{}\n{}", route.owner.tenant, limit.name),
                    _ => format!("{}\n\n{index}", route.id),
                };
                self.limiter(key, limit)
            })
            .collect()
    }

    fn limiter(&mut self, key: String, limit: &RateLimit) -> Arc<Limiter> {
        same_or_new(&mut self.limiters, &key, |old| old.limit == *limit, || Limiter::new(limit.clone()))
    }

    /// The route's breaker; changed rules start it anew.
    pub(crate) fn breaker(&mut self, route: &str, rules: &snapshot::Breaker) -> Arc<Breaker> {
        same_or_new(&mut self.breakers, route, |old| old.rules == *rules, || Breaker::new(rules.clone()))
    }

    /// The concurrency limit of the route's group.
    pub(crate) fn limit(&mut self, route: &Route, rules: &Concurrency) -> Arc<Limit> {
        let key = if rules.group.is_empty() { format!("{}\n", route.id) } else { rules.group.clone() };
        let limit = same_or_new(&mut self.limits, &key, |old| old.rules == *rules, || Limit::new(rules.clone()));
        limit.joined_by(route.criticality);
        limit
    }

    /// Basic auth of the route with what it remembers.
    pub(crate) fn guard(&mut self, route: &str, rules: &BasicAuth) -> Arc<Guard> {
        same_or_new(&mut self.guards, route, |old| old.rules == *rules, || Guard::new(rules.clone()))
    }

    /// The route's budget for retries.
    pub(crate) fn budget(&mut self, route: &str) -> Arc<Mutex<Budget>> {
        same_or_new(&mut self.budgets, route, |_| true, Mutex::default)
    }

    pub(crate) fn upstream(&mut self, route: &str, upstream: &Upstream) -> Arc<UpstreamState> {
        let key = (route.to_owned(), upstream.id.clone(), upstream.address.clone());
        if let Some(state) = self.upstreams.get(&key).and_then(Weak::upgrade) {
            return state;
        }
        let state = UpstreamState::new(self.next_serial, route, upstream, self.workers, self.now_ms);
        let state = Arc::new(state);
        self.next_serial += 1;
        self.upstreams.insert(key, Arc::downgrade(&state));
        state
    }

    /// All upstreams still used by a table or by a request; forgets the others.
    pub(crate) fn live_upstreams(&mut self) -> Vec<Arc<UpstreamState>> {
        self.routes.retain(|_, stats| stats.strong_count() > 0);
        self.limiters.retain(|_, limiter| limiter.strong_count() > 0);
        self.breakers.retain(|_, breaker| breaker.strong_count() > 0);
        self.limits.retain(|_, limit| limit.strong_count() > 0);
        self.guards.retain(|_, guard| guard.strong_count() > 0);
        self.budgets.retain(|_, budget| budget.strong_count() > 0);
        self.upstreams.retain(|_, state| state.strong_count() > 0);
        let mut live: Vec<_> = self.upstreams.values().filter_map(Weak::upgrade).collect();
        live.sort_by_key(|state| state.serial);
        live
    }
}
