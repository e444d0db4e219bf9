//! The decisions by table, property and simulation; no sockets and no clock.

use proptest::prelude::*;

use super::breaker::{Machine, Verdict};
use super::concurrency::{Limit, share};
use super::gradient::{Bounds, Gradient};
use super::health::{Health, ejection_ms, may_eject};
use super::outlier::fails_too_often;
use super::probe::Streak;
use super::retry_budget::Budget;
use super::shedding::{Load, next_level, refused_share};
use super::sweep::{Track, cpu_times};
use crate::ingress::core::Random;
use crate::ingress::snapshot::{ActiveCheck, Breaker, Concurrency, Criticality, Outlier, Shedding};

#[test]
fn a_retry_storm_stays_within_the_budget() {
    let (mut budget, mut retries) = (Budget::default(), 0u64);
    // 1,000 requests a second for a minute, all of which want a retry.
    for request in 0..60_000u64 {
        retries += u64::from(budget.withdraw(request, request + 1, 20, 0));
    }
    assert!((10_000..=12_100).contains(&retries), "{retries} retries of 60,000 requests");
}

#[test]
fn quiet_routes_may_retry_and_old_traffic_pays_for_nothing() {
    let mut budget = Budget::default();
    let paid = (0..500).filter(|_| budget.withdraw(0, 1, 20, 10)).count();
    assert_eq!(paid, 100, "ten a second over ten seconds");
    let mut budget = Budget::default();
    budget.withdraw(0, 0, 20, 0);
    // A million requests in an hour are about 2,800 in ten seconds.
    let paid = (0..10_000).filter(|_| budget.withdraw(3_600_000, 1_000_000, 20, 0)).count();
    assert_eq!(paid, 555);
}

#[test]
fn the_breaker_opens_probes_and_closes() {
    let rules = Breaker { open_ms: 1_000, max_open_ms: 4_000, ..Breaker::default() };
    let mut machine = Machine::new();
    for n in 0..19 {
        assert_eq!(machine.ask(n), Verdict::Pass);
        machine.tell(&rules, n, false, n % 2 == 0, 0.0);
    }
    assert!(!machine.is_open(), "below min_requests");
    machine.tell(&rules, 19, false, false, 0.0);
    machine.tell(&rules, 20, false, false, 0.0);
    assert!(machine.is_open() && machine.trips == 1);
    assert!(matches!(machine.ask(500), Verdict::Refuse { retry_after_ms: 500..=520 }));
    // One probe only; it fails, and the pause doubles up to the cap.
    for (at, pause) in [(1_100, 2_000), (3_200, 4_000), (7_300, 4_000)] {
        assert_eq!(machine.ask(at), Verdict::Probe);
        assert!(matches!(machine.ask(at), Verdict::Refuse { .. }));
        machine.tell(&rules, at, true, false, 0.0);
        assert_eq!(machine.ask(at), Verdict::Refuse { retry_after_ms: pause });
    }
    assert_eq!(machine.ask(20_000), Verdict::Probe);
    machine.abandon_probe();
    assert_eq!(machine.ask(20_001), Verdict::Probe);
    machine.tell(&rules, 20_002, true, true, 0.0);
    assert_eq!(machine.ask(20_003), Verdict::Pass);
}

#[test]
fn old_failures_leave_the_window() {
    let rules = Breaker { min_requests: 10, ..Breaker::default() };
    let mut machine = Machine::new();
    (0..9).for_each(|_| machine.tell(&rules, 0, false, false, 0.0));
    machine.tell(&rules, 20_000, false, false, 0.0);
    assert!(!machine.is_open());
}

/// A service that answers in 10 ms while at most `capacity` requests are with it, and queues the others.
fn latency_us(in_flight: f64, capacity: f64) -> f64 {
    10_000.0 * (in_flight / capacity).max(1.0)
}

#[test]
fn the_adaptive_limit_settles_near_what_the_service_can_do() {
    let bounds = Bounds { min: 4.0, max: 200.0 };
    let mut gradient = Gradient::new(20.0);
    // Calm at first, so that the long-term latency is that of an idle service.
    for _ in 0..20 {
        gradient.update(bounds, 10_000.0, 2);
    }
    let mut limit = 20.0;
    for _ in 0..100 {
        limit = gradient.update(bounds, latency_us(limit, 30.0), limit as u32);
    }
    assert!((30.0..=70.0).contains(&limit), "with a capacity of 30 the limit is {limit}");
    // The service loses two thirds of its capacity.
    for _ in 0..100 {
        limit = gradient.update(bounds, latency_us(limit, 10.0), limit as u32);
    }
    assert!((4.0..=30.0).contains(&limit), "with a capacity of 10 the limit is {limit}");
}

#[test]
fn a_full_limit_keeps_its_last_places_for_the_critical() {
    let limit = Limit::new(Concurrency { max: 10, adaptive: false, ..Concurrency::default() });
    limit.joined_by(Criticality::Critical);
    limit.joined_by(Criticality::Low);
    let low = (0..20).filter(|_| limit.enter(Criticality::Low).is_some()).count();
    let critical = (0..20).filter(|_| limit.enter(Criticality::Critical).is_some()).count();
    assert_eq!((low, critical, limit.in_flight()), (6, 4, 10));
    assert_eq!(share(100, Criticality::Normal as u8, Criticality::Normal), 100, "who is alone has all");
}

#[test]
fn ejection_leaves_half_and_the_last() {
    let rules = Outlier::default();
    let most = |all: usize| (0..all).take_while(|out| may_eject(&rules, *out, all)).count();
    assert_eq!([1, 2, 3, 4, 5, 10].map(most), [0, 1, 1, 2, 2, 5]);
    let generous = Outlier { max_ejected_percent: 100, ..rules.clone() };
    assert!(!may_eject(&generous, 2, 3), "never the last one");
    assert_eq!([1, 2, 3, 100].map(|times| ejection_ms(&rules, times)), [30_000, 60_000, 90_000, 300_000]);
}

#[test]
fn five_failures_in_a_row_eject_and_slow_start_brings_back() {
    let (rules, health) = (Outlier::default(), Health::joined_at(0));
    for _ in 0..3 {
        assert!((0..4).all(|_| !health.failed(&rules)));
        health.succeeded();
    }
    assert!((0..4).all(|_| !health.failed(&rules)) && health.failed(&rules));
    health.eject(&rules, 1_000);
    assert!(!health.is_good(30_999) && health.is_good(31_000));
    assert_eq!([31_000, 36_000, 41_000].map(|now| health.share(10_000, now)), [100, 500, 1_000]);
    health.set_checks_fail(true, 50_000);
    assert!(!health.is_good(60_000));
    health.set_checks_fail(false, 60_000);
    assert!(health.is_good(60_000) && health.share(10_000, 65_000) == 500);
}

#[test]
fn the_failure_share_is_that_of_the_last_seconds() {
    let (rules, mut track) = (Outlier::default(), Track::default());
    let mut verdict = |requests, failures| {
        let (requests, failures) = track.read(requests, failures);
        fails_too_often(&rules, requests, failures)
    };
    assert!(!verdict(1_000, 900), "the first reading knows no time");
    assert!(!verdict(1_010, 910), "too few requests");
    assert!(verdict(1_040, 930));
    assert!((0..12).any(|_| !verdict(1_040, 930)), "nothing new");
}

#[test]
fn checks_want_a_row_of_answers() {
    let (rules, mut streak) = (ActiveCheck::default(), Streak::default());
    let told = [false, false, true, false, false, false, true, true].map(|good| streak.tell(&rules, good));
    assert_eq!(told, [None, None, None, None, None, Some(true), None, Some(false)]);
}

#[test]
fn shedding_rises_under_load_takes_the_low_first_and_falls_slowly() {
    let rules = Shedding::default();
    let busy = Load { cpu_percent: 99.0, in_flight: 100, cpus: 2 };
    let (mut level, mut levels) = (0.0, Vec::new());
    for _ in 0..8 {
        level = next_level(&rules, level, busy);
        levels.push(level);
    }
    assert_eq!(levels, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0]);
    let shares = |level| {
        [Criticality::Low, Criticality::Normal, Criticality::High, Criticality::Critical]
            .map(|c| refused_share(level, c))
    };
    assert_eq!(shares(0.5), [0.5, 0.0, 0.0, 0.0]);
    assert_eq!(shares(1.5), [1.0, 0.5, 0.0, 0.0]);
    assert_eq!(shares(3.0), [1.0, 1.0, 1.0, 0.0]);
    let build = Load { in_flight: 1, ..busy };
    assert_eq!(next_level(&rules, 1.0, build), 0.875, "a busy CPU alone is no reason: others use it");
    assert_eq!(next_level(&Shedding { cpu_percent: 0, ..rules }, 0.0, busy), 0.0);
}

#[test]
fn cpu_times_are_read_from_the_kernels_words() {
    let stat = "cpu  10 1 4 80 5 0 0 0 0 0\ncpu0 5 0 2 40 3 0 0 0 0 0\ncpu1 5 1 2 40 2 0 0 0 0 0\nintr 1\n";
    assert_eq!(cpu_times(stat), Some((15, 100, 2)));
    assert_eq!(cpu_times("nonsense"), None);
}

proptest! {
    /// However requests and wishes for retries are mixed: retries never pass the share of the requests plus the floor.
    #[test]
    fn the_budget_is_never_passed(steps in prop::collection::vec((0u64..500, 0u64..50, 0u32..20), 1..200), percent in 0u32..100, floor in 0u32..5) {
        let (mut budget, mut now, mut requests, mut retries) = (Budget::default(), 0, 0, 0u64);
        for (pause, new, wishes) in steps {
            now += pause;
            requests += new;
            for _ in 0..wishes {
                retries += u64::from(budget.withdraw(now, requests, percent, floor));
            }
        }
        let windows = now / 10_000 + 2;
        prop_assert!(retries <= requests * u64::from(percent) / 100 + u64::from(floor) * 10 * windows);
    }

    /// The limit stays within its bounds, whatever is measured.
    #[test]
    fn the_adaptive_limit_keeps_its_bounds(samples in prop::collection::vec((1.0f64..10_000_000.0, 0u32..1_000), 1..200)) {
        let (bounds, mut gradient) = (Bounds { min: 4.0, max: 100.0 }, Gradient::new(20.0));
        for (rtt, in_flight) in samples {
            let limit = gradient.update(bounds, rtt, in_flight);
            prop_assert!((4.0..=100.0).contains(&limit));
        }
    }

    /// An open breaker lets at most one request through per pause; a closed one lets all through.
    #[test]
    fn an_open_breaker_lets_one_probe_through(ends in prop::collection::vec(any::<bool>(), 1..300), seed in any::<u64>()) {
        let (rules, mut machine, random) = (Breaker { min_requests: 5, ..Breaker::default() }, Machine::new(), Random::from_seed(seed));
        for (step, good) in ends.into_iter().enumerate() {
            let now = step as u64 * 137;
            let was_open = machine.is_open();
            match machine.ask(now) {
                Verdict::Pass => {
                    prop_assert!(!was_open);
                    machine.tell(&rules, now, false, good, random.fraction());
                }
                Verdict::Probe => {
                    prop_assert!(was_open);
                    let refused = matches!(machine.ask(now), Verdict::Refuse { .. });
                    prop_assert!(refused);
                    machine.tell(&rules, now, true, good, random.fraction());
                    prop_assert_eq!(machine.is_open(), !good);
                }
                Verdict::Refuse { retry_after_ms } => prop_assert!(retry_after_ms > 0 && retry_after_ms <= 90_000),
            }
        }
    }
}
