//! A route as requests meet it: everything that can be decided without a request is decided here, once per table.
//! What a route does not use is absent, so that it costs nothing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::balance::{Balancer, Choice, Fleet};
use super::core::{Core, Random};
use super::edit::{Edits, Elsewhere, RequestEdits};
use super::phases::basic_auth::Guard;
use super::phases::{address, admit, hold, log, mirror};
use super::rate::Limiter;
use super::registry::Registry;
use super::resilience::breaker::Breaker;
use super::resilience::concurrency::Limit;
use super::resilience::retry_budget::Budget;
use super::snapshot::{Mirror, Route};
use super::stats::{Event, RouteStats, UpstreamState};
use super::transaction::{Peer, Transaction};
use super::{balance, view};

/// A route with what is remembered about it across snapshots.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub route: Route,
    pub stats: Arc<RouteStats>,
    pub upstreams: Vec<Arc<UpstreamState>>,
    pub limiters: Box<[Arc<Limiter>]>,
    /// The route's part of an access-log line, rendered once.
    pub log_fields: String,
    /// The admission checks it uses, in order.
    pub admission: Box<[admit::Check]>,
    pub balancer: Balancer,
    /// Statistics of its backends, in their order.
    pub backends: Box<[Arc<RouteStats>]>,
    pub redirect: Option<Box<Elsewhere>>,
    pub addresses: Option<Box<address::Lists>>,
    pub basic_auth: Option<Arc<Guard>>,
    /// Requests may have to wait, see [`hold`].
    pub holds: bool,
    pub breaker: Option<Arc<Breaker>>,
    pub limit: Option<Arc<Limit>>,
    pub budget: Arc<Mutex<Budget>>,
    pub mirror: Option<Box<mirror::Plan>>,
    pub request_edits: Option<Box<RequestEdits>>,
    pub response_edits: Option<Box<Edits>>,
}

/// Added to every answer of a route that search engines are to leave alone.
const NOINDEX: (&str, &str) = ("x-robots-tag", "noindex, nofollow");

impl RouteEntry {
    /// Compiles a valid route; states of its parts that stay are taken over from the registry.
    pub(crate) fn compile(route: &Route, registry: &mut Registry) -> Self {
        let prefix = route.path_prefix.trim_end_matches('/');
        let noindex: &[_] = if route.noindex { &[NOINDEX] } else { &[] };
        let backends = route.backends.iter().map(|backend| registry.backend(&route.id, &backend.id)).collect();
        let upstreams: Vec<_> = route.upstreams.iter().map(|upstream| registry.upstream(&route.id, upstream)).collect();
        let policy = &route.policy;
        Self {
            backends,
            stats: registry.route(&route.id),
            addresses: address::Lists::compile(&route.access),
            basic_auth: route.access.basic.as_ref().map(|rules| registry.guard(&route.id, rules)),
            holds: hold::used_by(route),
            breaker: policy.breaker.as_ref().map(|rules| registry.breaker(&route.id, rules)),
            limit: policy.concurrency.as_ref().map(|rules| registry.limit(route, rules)),
            budget: registry.budget(&route.id),
            mirror: route.mirror.as_ref().map(|mirror| mirror::Plan::new(mirror, members(route, &upstreams, mirror))),
            upstreams,
            limiters: registry.limiters(route),
            log_fields: log::route_fields(route),
            admission: admit::used_by(route),
            balancer: Balancer::compile(route),
            redirect: route.redirect.as_ref().map(|redirect| Elsewhere::compile(redirect, prefix)),
            request_edits: RequestEdits::compile(route),
            response_edits: Edits::compile(&route.response_headers, &[], noindex),
            route: route.clone(),
        }
    }

    /// Whether the budget pays for one more retry; it is taken when so.
    pub(crate) fn may_retry(&self, core: &Core) -> bool {
        let retry = &self.route.policy.retry;
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = core.clock.now_ms();
        let paid = budget.withdraw(now_ms, self.stats.requests(), retry.budget_percent, retry.budget_min_per_sec);
        drop(budget);
        if !paid {
            self.stats.count(core.worker, Event::RetryRefused);
        }
        paid
    }

    /// The upstream for this request, `tried` ones left out.
    pub(crate) fn choose(&self, tx: &Transaction, peer: &Peer, tried: &[usize], core: &Core) -> Option<Choice> {
        let client = || -> IpAddr { view::client_address(&tx.table, tx, peer) };
        let ask = balance::Ask { request: tx, client: &client, tried, backend: tx.backend };
        let random: &Random = &core.random;
        self.balancer.choose(&ask, &self.fleet(core.worker, core.clock.now_ms()), random)
    }

    /// Its upstreams as one thread sees them.
    pub(crate) fn fleet(&self, worker: usize, now_ms: u64) -> Live<'_> {
        Live { entry: self, worker, now_ms }
    }
}

/// The upstreams of the mirror's backend.
fn members(route: &Route, upstreams: &[Arc<UpstreamState>], mirror: &Mirror) -> Box<[Arc<UpstreamState>]> {
    let pairs = route.upstreams.iter().zip(upstreams);
    pairs.filter(|(upstream, _)| upstream.backend == mirror.backend).map(|(_, state)| Arc::clone(state)).collect()
}

/// The upstreams of a route at a time, as one thread sees them.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    entry: &'a RouteEntry,
    worker: usize,
    now_ms: u64,
}

impl Live<'_> {
    /// Whether there is an upstream left for another attempt after this one.
    pub(crate) fn has_other(entry: &RouteEntry, tried: &[usize], now: usize) -> bool {
        let live = entry.fleet(0, 0);
        let left =
            |index: usize| index != now && !tried.contains(&index) && live.weight(index) > 0 && live.is_open(index);
        (0..entry.upstreams.len()).any(left)
    }
}

impl Fleet for Live<'_> {
    fn weight(&self, index: usize) -> u64 {
        let share = self.entry.upstreams[index].health.share(self.entry.balancer.slow_start_ms, self.now_ms);
        u64::from(self.entry.route.upstreams[index].weight) * share
    }

    fn is_open(&self, index: usize) -> bool {
        !self.entry.route.upstreams[index].draining && !self.entry.upstreams[index].health.is_drained()
    }

    fn is_healthy(&self, index: usize) -> bool {
        let state = &self.entry.upstreams[index];
        !state.is_ejected(self.now_ms) && state.health.is_good(self.now_ms)
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.entry.upstreams[index].in_flight()
    }

    fn cost(&self, index: usize) -> f64 {
        self.entry.upstreams[index].cost(self.worker, self.now_ms)
    }
}
