//! The tests of a canary against values from tables and against chance.

use super::world::Rng;
use crate::scheduler::plan::analysis::{
    Latencies, Tally, Verdict, compare, errors_by_chance, fisher_tail, normal_tail,
};
use crate::stack::model::Analysis;

fn tally(requests: u64, errors: u64) -> Tally {
    Tally { requests, errors, ..Tally::default() }
}

#[test]
fn tails_agree_with_the_tables() {
    for (z, p) in [(0.0, 0.5), (1.0, 0.158_655), (1.959_964, 0.025), (2.326_348, 0.01), (3.090_232, 0.001)] {
        assert!((normal_tail(z) - p).abs() < 1e-5, "{z}");
    }
    assert!((normal_tail(-1.0) - 0.841_345).abs() < 1e-5);
    // Fisher's tea: 4 of 4 cups right has the chance 1/70, 3 or more of 4 has 17/70.
    assert!((fisher_tail(4, 0, 4, 4) - 1.0 / 70.0).abs() < 1e-9);
    assert!((fisher_tail(4, 1, 4, 3) - 17.0 / 70.0).abs() < 1e-9);
    // Large counts: the exact test and the z-test agree.
    let (old, new) = (tally(4_000, 40), tally(1_000, 18));
    assert!((errors_by_chance(&old, &new) - fisher_tail(4_000, 40, 1_000, 18)).abs() < 0.02);
}

#[test]
fn too_few_requests_say_nothing_and_a_difference_within_the_tolerance_is_none() {
    let rules = Analysis { min_requests: 50, ..Analysis::default() };
    assert_eq!(compare(&tally(900, 0), &tally(49, 49), &rules), Verdict::Unknown { answered: 49, needed: 50 });
    assert_eq!(compare(&tally(100_000, 100), &tally(100_000, 900), &rules), Verdict::Good, "0.8 points are allowed");
    assert!(matches!(compare(&tally(1_000, 0), &tally(60, 9), &rules), Verdict::Worse(_)));
    assert_eq!(compare(&tally(60, 0), &tally(60, 1), &rules), Verdict::Good, "one error may be chance");
}

#[test]
fn a_slower_95th_percentile_is_found_and_named() {
    let spread = |fast: u64, slow: u64| Tally {
        requests: 1_000,
        errors: 0,
        latency: Latencies(vec![(10_000, fast), (80_000, slow)]),
    };
    let rules = Analysis::default();
    assert_eq!(compare(&spread(980, 20), &spread(960, 40), &rules), Verdict::Good);
    let Verdict::Worse(text) = compare(&spread(980, 20), &spread(880, 120), &rules) else { panic!("it is slower") };
    assert_eq!(text, "answers 95 % of its requests within 80 ms, the old version within 10 ms");
}

/// Two equal versions are called different far more seldom than the test allows itself, and a worse one nearly always.
#[test]
fn equal_versions_pass_and_worse_ones_do_not() {
    let mut rng = Rng(5);
    let rules = Analysis::default();
    let mut draw = |requests: u64, permille: u64| {
        let errors = (0..requests).filter(|_| rng.per_mille(permille)).count() as u64;
        tally(requests, errors)
    };
    let worse = |old: &Tally, new: &Tally| matches!(compare(old, new, &rules), Verdict::Worse(_));
    let false_alarms = (0..2_000).filter(|_| worse(&draw(900, 20), &draw(100, 20))).count();
    let found = (0..500).filter(|_| worse(&draw(900, 20), &draw(100, 150))).count();
    assert!(false_alarms < 60, "{false_alarms} of 2000");
    assert!(found > 450, "{found} of 500");
}
