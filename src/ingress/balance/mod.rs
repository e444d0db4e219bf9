//! Which upstream gets a request.
//!
//! First the **backend** (a pin, else the traffic split by weight), then the upstream within it: the one the client
//! sticks to, else by the route's algorithm. Upstreams that are ejected or fail their checks are left out while others
//! can answer, draining ones always; when all are bad, all are tried: a guess beats a certain failure. A backend
//! without any usable upstream gives its share to the others.
//!
//! All decisions are pure: load and health come through [`Fleet`], chance through [`Random`]. A route with one upstream and no
//! backends pays for none of this.
//!
//! To add an algorithm: a variant of `snapshot::Algorithm`, a file with a `choose` function, and a line in [`Group::choose`].

mod hash;
mod least;
mod p2c;
mod ring;
mod turn;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::core::Random;
use super::matching::Test;
use super::snapshot::{Algorithm, Balance, HashKey, Route, Sticky};
use super::view::{self, RequestView};
use ring::Ring;
use turn::Turns;

/// What balancing knows about the upstreams of a route, by their index.
pub(crate) trait Fleet {
    /// Share of the traffic in thousandths of the weight, less while it starts slowly; 0 takes none.
    fn weight(&self, index: usize) -> u64;
    /// Takes requests: not draining, not drained by hand.
    fn is_open(&self, index: usize) -> bool;
    fn is_healthy(&self, index: usize) -> bool;
    /// Requests in flight, all threads.
    fn in_flight(&self, index: usize) -> u32;
    /// Expected latency times load, as far as this thread knows.
    fn cost(&self, index: usize) -> f64;
}

/// A request that needs an upstream.
pub(crate) struct Ask<'a> {
    pub request: &'a dyn RequestView,
    pub client: &'a dyn Fn() -> IpAddr,
    /// Upstreams that failed it already.
    pub tried: &'a [usize],
    /// The backend chosen at the first attempt.
    pub backend: Option<usize>,
}

/// The answer: an upstream, its backend (when the route has several), and the sticky cookie to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub upstream: usize,
    pub backend: Option<usize>,
    /// The client has no cookie, or one of an upstream that cannot be used now.
    pub set_cookie: bool,
}

/// The compiled balancing of a route.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub groups: Box<[Group]>,
    has_backends: bool,
    pins: Box<[(Test, usize)]>,
    split_by: Option<HashKey>,
    pub slow_start_ms: u64,
    pub sticky: Option<Sticky>,
    /// Cookie values by upstream; empty without stickiness.
    tokens: Box<[Box<str>]>,
}

/// The upstreams of one backend.
#[derive(Debug)]
pub(crate) struct Group {
    weight: u32,
    pub members: Box<[usize]>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    PeakEwma,
    Turns(Turns),
    Least,
    Ring(Box<Ring>, HashKey),
}

impl Group {
    fn compile(weight: u32, members: Vec<usize>, route: &Route) -> Self {
        let weights = || members.iter().map(|index| route.upstreams[*index].weight);
        let method = match route.balance.algorithm {
            Algorithm::PeakEwma => Method::PeakEwma,
            Algorithm::RoundRobin => Method::Turns(Turns::new(weights())),
            Algorithm::LeastRequests => Method::Least,
            Algorithm::ConsistentHash => {
                let ids = members.iter().map(|index| route.upstreams[*index].id.as_str());
                let ring = Ring::new(ids.zip(weights()), route.balance.bounded_load_percent);
                Method::Ring(Box::new(ring), route.balance.hash_by.clone())
            }
        };
        Self { weight, members: members.into(), method }
    }

    /// By the algorithm, among those `usable` accepts.
    fn choose(
        &self,
        ask: &Ask<'_>,
        fleet: &dyn Fleet,
        random: &Random,
        usable: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        match &self.method {
            Method::PeakEwma => p2c::choose(&self.members, fleet, random, usable),
            Method::Turns(turns) => turns.choose(&self.members, usable),
            Method::Least => least::choose(&self.members, fleet, random, usable),
            Method::Ring(ring, key) => {
                let hash = key_hash(key, ask).unwrap_or_else(|| random.next());
                ring.choose(hash, &self.members, fleet, usable)
            }
        }
    }
}

impl Balancer {
    pub(crate) fn compile(route: &Route) -> Self {
        let Balance { sticky, slow_start_ms, split_by, .. } = &route.balance;
        let members = |id: &str| {
            let named = route.upstreams.iter().enumerate().filter(|(_, upstream)| upstream.backend == id);
            named.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let groups: Vec<Group> = if route.backends.is_empty() {
            vec![Group::compile(1, (0..route.upstreams.len()).collect(), route)]
        } else {
            let backends = route.backends.iter();
            backends.map(|backend| Group::compile(backend.weight, members(&backend.id), route)).collect()
        };
        let pins = route.backends.iter().enumerate();
        let pins = pins.flat_map(|(index, backend)| backend.pins.iter().map(move |pin| (Test::of_pin(pin), index)));
        let tokens = match sticky {
            Some(_) => route.upstreams.iter().map(|upstream| hash::token(&upstream.id)).collect(),
            None => Box::default(),
        };
        Self {
            groups: groups.into(),
            has_backends: !route.backends.is_empty(),
            pins: pins.collect(),
            split_by: split_by.clone(),
            slow_start_ms: *slow_start_ms,
            sticky: sticky.clone(),
            tokens,
        }
    }

    /// The upstream to use, or `None` when every one is tried, draining or without weight.
    pub(crate) fn choose(&self, ask: &Ask<'_>, fleet: &dyn Fleet, random: &Random) -> Option<Choice> {
        let usable = |index: usize| fleet.weight(index) > 0 && fleet.is_open(index) && !ask.tried.contains(&index);
        if !self.has_backends && self.tokens.is_empty() && self.groups[0].members.len() == 1 {
            return usable(0).then_some(Choice { upstream: 0, backend: None, set_cookie: false });
        }
        let pinned = ask.backend.or_else(|| self.pinned(ask));
        if pinned.is_none()
            && let Some(upstream) = self.stuck(ask, fleet).filter(|index| usable(*index))
        {
            return Some(Choice { upstream, backend: self.backend_of(upstream), set_cookie: false });
        }
        let first = match pinned {
            Some(index) => Some(index),
            None if self.has_backends => self.split(ask, &usable, random),
            None => Some(0),
        };
        let others = (0..self.groups.len()).filter(|index| Some(*index) != first && self.groups[*index].weight > 0);
        let (group, upstream) = first.into_iter().chain(others).find_map(|index| {
            let group = &self.groups[index];
            let healthy = |upstream: usize| usable(upstream) && fleet.is_healthy(upstream);
            let found = group.choose(ask, fleet, random, &healthy);
            found.or_else(|| group.choose(ask, fleet, random, &usable)).map(|upstream| (index, upstream))
        })?;
        let backend = self.has_backends.then_some(group);
        Some(Choice { upstream, backend, set_cookie: !self.tokens.is_empty() })
    }

    fn pinned(&self, ask: &Ask<'_>) -> Option<usize> {
        self.pins.iter().find(|(test, _)| test.holds(ask.request)).map(|(_, index)| *index)
    }

    /// A backend by weight; those without any usable upstream have no share.
    fn split(&self, ask: &Ask<'_>, usable: &dyn Fn(usize) -> bool, random: &Random) -> Option<usize> {
        let has_upstream = |group: &&Group| group.members.iter().any(|index| usable(*index));
        let share = |group: &Group| if has_upstream(&group) { u64::from(group.weight) } else { 0 };
        let total: u64 = self.groups.iter().map(share).sum();
        let key = self.split_by.as_ref().and_then(|key| key_hash(key, ask));
        let mut at = match key {
            _ if total == 0 => return None,
            // Spread over the whole range first: the low bits alone also choose the place on a ring.
            Some(hash) => ((u128::from(hash) * u128::from(total)) >> 64) as u64,
            None => random.below(total),
        };
        for (index, group) in self.groups.iter().enumerate() {
            match at.checked_sub(share(group)) {
                Some(rest) => at = rest,
                None => return Some(index),
            }
        }
        None
    }

    /// The healthy upstream the client's cookie names.
    fn stuck(&self, ask: &Ask<'_>, fleet: &dyn Fleet) -> Option<usize> {
        let sticky = self.sticky.as_ref()?;
        let value = view::cookie(ask.request, &sticky.cookie)?;
        let index = self.tokens.iter().position(|token| token.as_bytes() == value)?;
        let takes = |group: &Group| group.weight > 0 && group.members.contains(&index);
        (fleet.is_healthy(index) && self.groups.iter().any(takes)).then_some(index)
    }

    fn backend_of(&self, upstream: usize) -> Option<usize> {
        self.has_backends.then(|| self.groups.iter().position(|group| group.members.contains(&upstream))).flatten()
    }

    /// The `Set-Cookie` that makes the client come back to this upstream.
    pub(crate) fn cookie(&self, upstream: usize, is_tls: bool) -> Option<String> {
        let (sticky, token) = (self.sticky.as_ref()?, self.tokens.get(upstream)?);
        let age = match sticky.max_age_secs {
            0 => String::new(),
            seconds => format!("; Max-Age={seconds}"),
        };
        let secure = if is_tls { "; Secure" } else { "" };
        Some(format!("{}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", sticky.cookie))
    }

    /// Whether any upstream that is not draining takes traffic.
    pub(crate) fn has_upstream(&self, fleet: &dyn Fleet) -> bool {
        let open = |index: &usize| fleet.weight(*index) > 0 && fleet.is_open(*index);
        self.groups.iter().any(|group| group.members.iter().any(open))
    }
}

/// The hash of a request's key; `None` when the request does not have it.
fn key_hash(key: &HashKey, ask: &Ask<'_>) -> Option<u64> {
    let value = match key {
        HashKey::Address => {
            return Some(match (ask.client)() {
                IpAddr::V4(address) => hash::of(&address.octets()),
                IpAddr::V6(address) => hash::of(&address.octets()),
            });
        }
        HashKey::Header(name) => ask.request.header(name, 0)?,
        HashKey::Cookie(name) => view::cookie(ask.request, name)?,
    };
    Some(hash::of(value))
}
