//! Balancing by table and property, with invented loads.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{Ask, Balancer, Choice, Fleet};
use crate::ingress::core::Random;
use crate::ingress::snapshot::{
    Algorithm, Backend, Balance, HashKey, Pin, Route, Sticky, Upstream, UpstreamAddress, ValueMatch,
};
use crate::ingress::view::RequestView;

/// A request that is only headers.
#[derive(Default)]
struct Request(Vec<(&'static str, String)>);

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn path(&self) -> &[u8] {
        b"/"
    }
    fn query(&self) -> &[u8] {
        b""
    }
    fn header(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.0.iter().filter(|(key, _)| *key == name).nth(n).map(|(_, value)| value.as_bytes())
    }
}

/// Upstreams as a test wants them.
struct Invented {
    weights: Vec<u64>,
    in_flight: RefCell<Vec<u32>>,
    cost: Vec<f64>,
    sick: Vec<usize>,
    closed: Vec<usize>,
}

impl Invented {
    fn of(route: &Route) -> Self {
        let n = route.upstreams.len();
        Self {
            weights: route.upstreams.iter().map(|upstream| u64::from(upstream.weight) * 1_000).collect(),
            in_flight: RefCell::new(vec![0; n]),
            cost: vec![1.0; n],
            sick: Vec::new(),
            closed: Vec::new(),
        }
    }
}

impl Fleet for Invented {
    fn weight(&self, index: usize) -> u64 {
        self.weights[index]
    }
    fn is_open(&self, index: usize) -> bool {
        !self.closed.contains(&index)
    }
    fn is_healthy(&self, index: usize) -> bool {
        !self.sick.contains(&index)
    }
    fn in_flight(&self, index: usize) -> u32 {
        self.in_flight.borrow()[index]
    }
    fn cost(&self, index: usize) -> f64 {
        self.cost[index]
    }
}

/// A route with these `(backend, weight)` upstreams.
fn route(algorithm: Algorithm, upstreams: &[(&str, u32)]) -> Route {
    let upstreams = upstreams.iter().enumerate().map(|(n, (backend, weight))| Upstream {
        id: format!("i{n}"),
        address: UpstreamAddress::Tcp(([10, 0, 0, n as u8], 80).into()),
        weight: *weight,
        draining: false,
        backend: (*backend).into(),
    });
    let balance = Balance { algorithm, ..Balance::default() };
    Route { id: "r".into(), upstreams: upstreams.collect(), balance, ..Route::default() }
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn choose(
    balancer: &Balancer,
    fleet: &Invented,
    request: &Request,
    tried: &[usize],
    random: &Random,
) -> Option<Choice> {
    balancer.choose(&Ask { request, client: &|| CLIENT, tried, backend: None }, fleet, random)
}

/// How often each upstream was chosen.
fn spread(route: &Route, fleet: &Invented, n: usize) -> Vec<usize> {
    let (balancer, random) = (Balancer::compile(route), Random::from_seed(7));
    let mut counts = vec![0; route.upstreams.len()];
    for _ in 0..n {
        counts[choose(&balancer, fleet, &Request::default(), &[], &random).unwrap().upstream] += 1;
    }
    counts
}

#[test]
fn round_robin_goes_in_turn_by_weight_and_evenly_spaced() {
    let route = route(Algorithm::RoundRobin, &[("", 5), ("", 1), ("", 1)]);
    assert_eq!(spread(&route, &Invented::of(&route), 700), [500, 100, 100]);
    let (balancer, random) = (Balancer::compile(&route), Random::from_seed(1));
    let fleet = Invented::of(&route);
    let seven: Vec<usize> =
        (0..7).map(|_| choose(&balancer, &fleet, &Request::default(), &[], &random).unwrap().upstream).collect();
    assert!(!seven.windows(4).any(|four| four == [0, 0, 0, 0]), "{seven:?}");
}

#[test]
fn least_requests_takes_the_emptiest_and_draws_ties() {
    let route = route(Algorithm::LeastRequests, &[("", 1), ("", 1), ("", 2)]);
    let fleet = Invented::of(&route);
    fleet.in_flight.replace(vec![3, 1, 5]);
    assert_eq!(spread(&route, &fleet, 100), [0, 100, 0]);
    fleet.in_flight.replace(vec![0, 0, 1]);
    let counts = spread(&route, &fleet, 3_000);
    assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
}

#[test]
fn peak_ewma_prefers_the_cheaper_of_two() {
    let route = route(Algorithm::PeakEwma, &[("", 1), ("", 1), ("", 1)]);
    let mut fleet = Invented::of(&route);
    fleet.cost = vec![1.0, 1.0, 9.0];
    assert_eq!(spread(&route, &fleet, 300)[2], 0);
}

#[test]
fn backends_split_by_weight_pins_decide_and_empty_ones_give_their_share_away() {
    let mut route = route(Algorithm::RoundRobin, &[("v1", 1), ("v1", 1), ("v2", 1), ("v3", 1)]);
    let pin = Pin::Header(ValueMatch { name: "x-canary".into(), exact: Some("3".into()), ..ValueMatch::default() });
    let backend = |id: &str, weight| Backend { id: id.into(), weight, pins: Vec::new() };
    route.backends = vec![backend("v1", 90), backend("v2", 10), Backend { pins: vec![pin], ..backend("v3", 0) }];
    let mut fleet = Invented::of(&route);
    let counts = spread(&route, &fleet, 10_000);
    assert!(counts[2] > 850 && counts[2] < 1_150 && counts[3] == 0, "{counts:?}");
    let (balancer, random) = (Balancer::compile(&route), Random::from_seed(3));
    let request = Request(vec![("x-canary", "3".into())]);
    for _ in 0..20 {
        let choice = choose(&balancer, &fleet, &request, &[], &random).unwrap();
        assert_eq!((choice.upstream, choice.backend), (3, Some(2)));
    }
    // The pinned one failed: another answers.
    assert!(choose(&balancer, &fleet, &request, &[3], &random).is_some());
    fleet.closed = vec![0, 1];
    assert_eq!(spread(&route, &fleet, 100), [0, 0, 100, 0]);
    fleet.closed = vec![0, 1, 2, 3];
    assert_eq!(choose(&balancer, &fleet, &Request::default(), &[], &random), None);
}

#[test]
fn a_split_by_key_keeps_each_client_on_its_side() {
    let mut route = route(Algorithm::PeakEwma, &[("a", 1), ("b", 1)]);
    route.backends = ["a", "b"].map(|id| Backend { id: id.into(), ..Backend::default() }).into();
    route.balance.split_by = Some(HashKey::Cookie("user".into()));
    let (balancer, fleet, random) = (Balancer::compile(&route), Invented::of(&route), Random::from_seed(3));
    let mut counts = [0, 0];
    for user in 0..400 {
        let request = Request(vec![("cookie", format!("x=1; user={user}"))]);
        let side = |_| choose(&balancer, &fleet, &request, &[], &random).unwrap().upstream;
        let first = side(0);
        assert!((0..5).map(side).all(|other| other == first));
        counts[first] += 1;
    }
    assert!(counts.iter().all(|count| *count > 150), "{counts:?}");
}

#[test]
fn sticky_clients_come_back_while_their_upstream_is_healthy() {
    let mut route = route(Algorithm::PeakEwma, &[("", 1), ("", 1), ("", 1)]);
    route.balance.sticky = Some(Sticky::default());
    let (balancer, mut fleet, random) = (Balancer::compile(&route), Invented::of(&route), Random::from_seed(5));
    let first = choose(&balancer, &fleet, &Request::default(), &[], &random).unwrap();
    assert!(first.set_cookie);
    let cookie = balancer.cookie(first.upstream, true).unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    let request = Request(vec![("cookie", cookie.split(';').next().unwrap().to_owned())]);
    for _ in 0..20 {
        let again = choose(&balancer, &fleet, &request, &[], &random).unwrap();
        assert_eq!((again.upstream, again.set_cookie), (first.upstream, false));
    }
    fleet.sick = vec![first.upstream];
    let moved = choose(&balancer, &fleet, &request, &[], &random).unwrap();
    assert!(moved.upstream != first.upstream && moved.set_cookie);
}

#[test]
fn when_all_are_sick_all_are_tried() {
    let route = route(Algorithm::PeakEwma, &[("", 1), ("", 1)]);
    let mut fleet = Invented::of(&route);
    fleet.sick = vec![0];
    assert_eq!(spread(&route, &fleet, 50), [0, 50]);
    fleet.sick = vec![0, 1];
    assert!(spread(&route, &fleet, 50).iter().all(|count| *count > 5));
}

fn by_key(balancer: &Balancer, fleet: &Invented, key: u32) -> usize {
    let request = Request(vec![("x-key", key.to_string())]);
    choose(balancer, fleet, &request, &[], &Random::from_seed(1)).unwrap().upstream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// When an upstream leaves, no key moves but its own; each has a share near its weight.
    #[test]
    fn the_ring_moves_only_the_keys_of_the_one_that_left(n in 2usize..8, gone in any::<prop::sample::Index>(), from in any::<u32>()) {
        let mut route = route(Algorithm::ConsistentHash, &vec![("", 1); n]);
        route.balance.hash_by = HashKey::Header("x-key".into());
        let (balancer, mut fleet) = (Balancer::compile(&route), Invented::of(&route));
        let keys: Vec<u32> = (0..2_000).map(|k| from.wrapping_add(k)).collect();
        let before: Vec<usize> = keys.iter().map(|key| by_key(&balancer, &fleet, *key)).collect();
        for index in 0..n {
            let share = before.iter().filter(|chosen| **chosen == index).count() * n;
            prop_assert!((1_000..3_600).contains(&share), "{share}");
        }
        let gone = gone.index(n);
        fleet.closed = vec![gone];
        for (key, old) in keys.iter().zip(&before) {
            let new = by_key(&balancer, &fleet, *key);
            prop_assert!(new != gone && (*old == gone || new == *old));
        }
    }

    /// However hot one key is, nobody carries more than the bounded share.
    #[test]
    fn the_ring_bounds_the_load_of_a_hot_key(n in 2usize..8, requests in 10u32..300) {
        let mut route = route(Algorithm::ConsistentHash, &vec![("", 1); n]);
        route.balance.hash_by = HashKey::Header("x-key".into());
        let (balancer, fleet) = (Balancer::compile(&route), Invented::of(&route));
        for _ in 0..requests {
            let chosen = by_key(&balancer, &fleet, 1);
            fleet.in_flight.borrow_mut()[chosen] += 1;
        }
        let most = f64::from(*fleet.in_flight.borrow().iter().max().unwrap());
        prop_assert!(most <= (1.5 * f64::from(requests) / n as f64).ceil() + 1.0, "{most}");
    }

    /// Whatever is sick, tried or closed: what is chosen is open and untried, healthy if one such is, and there is a choice
    /// whenever there is one to choose.
    #[test]
    fn a_choice_is_always_usable(
        algorithm in prop::sample::select(vec![Algorithm::PeakEwma, Algorithm::RoundRobin, Algorithm::LeastRequests, Algorithm::ConsistentHash]),
        weights in prop::collection::vec(0u32..4, 1..7),
        marks in prop::collection::vec(0u8..8, 7),
        seed in 1u64..1_000,
    ) {
        let upstreams: Vec<(&str, u32)> = weights.iter().map(|weight| ("", *weight)).collect();
        let route = route(algorithm, &upstreams);
        let mut fleet = Invented::of(&route);
        let marked = |bit: u8| (0..weights.len()).filter(|index| marks[*index] & bit != 0).collect::<Vec<_>>();
        (fleet.sick, fleet.closed) = (marked(1), marked(2));
        let tried = marked(4);
        let usable = |index: &usize| weights[*index] > 0 && !fleet.closed.contains(index) && !tried.contains(index);
        let usable: Vec<usize> = (0..weights.len()).filter(usable).collect();
        let choice = choose(&Balancer::compile(&route), &fleet, &Request::default(), &tried, &Random::from_seed(seed));
        prop_assert_eq!(choice.is_some(), !usable.is_empty());
        if let Some(choice) = choice {
            prop_assert!(usable.contains(&choice.upstream));
            let healthy_left = usable.iter().any(|index| !fleet.sick.contains(index));
            prop_assert!(!healthy_left || !fleet.sick.contains(&choice.upstream));
        }
    }
}
