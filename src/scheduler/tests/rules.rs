//! The room's rules, one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::ObservedImage;
use crate::kernel::clock::Timestamp;
use crate::scheduler::gc::{Kept, REVISIONS_KEPT, YOUNG_MS, images_to_remove, revisions_to_forget};
use crate::scheduler::health::{Health, Probe, Verdict};
use crate::scheduler::policy::Policy;
use crate::scheduler::prober::{diagnose, judge_answer};
use crate::stack::{HealthCheck, ServiceKind};

use super::fixtures::owner;

fn failed() -> Probe {
    Probe::Failed { detail: "does not answer".to_owned() }
}

#[test]
fn an_instance_is_healthy_after_it_has_passed_for_the_settling_time() {
    let check = HealthCheck { settle_ms: 500, start_deadline_ms: 10_000, ..HealthCheck::default_for(ServiceKind::Web) };
    let at = Timestamp;
    let mut health = Health::new(at(0));
    health.record(&check, Probe::Passed, at(100));
    assert_eq!(health.verdict(&check, at(0), at(100)), Verdict::Starting);
    health.record(&check, failed(), at(200));
    health.record(&check, Probe::Passed, at(300));
    health.record(&check, Probe::Passed, at(700));
    assert_eq!(health.verdict(&check, at(0), at(700)), Verdict::Starting, "the failure began the settling anew");
    health.record(&check, Probe::Passed, at(800));
    assert_eq!(health.verdict(&check, at(0), at(800)), Verdict::Healthy { since: at(800) });
    for moment in [900, 1_000] {
        health.record(&check, failed(), at(moment));
        assert_eq!(health.verdict(&check, at(0), at(moment)), Verdict::Healthy { since: at(800) });
    }
    health.record(&check, failed(), at(1_100));
    assert_eq!(health.verdict(&check, at(0), at(1_100)), Verdict::Ill { since: at(900) });
    health.record(&check, Probe::Passed, at(1_200));
    assert_eq!(health.verdict(&check, at(0), at(1_200)), Verdict::Healthy { since: at(800) });
}

#[test]
fn an_instance_that_never_passes_is_late_and_a_worker_needs_no_probe() {
    let check = HealthCheck { start_deadline_ms: 10_000, ..HealthCheck::default_for(ServiceKind::Web) };
    let mut health = Health::new(Timestamp(0));
    health.record(&check, failed(), Timestamp(9_999));
    assert_eq!(health.verdict(&check, Timestamp(0), Timestamp(9_999)), Verdict::Starting);
    assert_eq!(health.verdict(&check, Timestamp(0), Timestamp(10_000)), Verdict::Late);
    let check = HealthCheck::default_for(ServiceKind::Worker);
    let health = Health::new(Timestamp(50));
    assert_eq!(health.verdict(&check, Timestamp(0), Timestamp(1_999)), Verdict::Starting);
    assert_eq!(health.verdict(&check, Timestamp(0), Timestamp(2_000)), Verdict::Healthy { since: Timestamp(2_000) });
}

#[test]
fn a_wrong_address_is_named_with_what_was_expected() {
    let sockets = |list: &[&str]| list.iter().map(|s| s.parse().expect("an address")).collect::<Vec<_>>();
    let wrong = diagnose(8080, &sockets(&["127.0.0.1:3000", "127.0.0.11:40123"]));
    let expected = "listens on 127.0.0.1:3000, expected 0.0.0.0:8080 (read the PORT variable and bind to 0.0.0.0)";
    assert_eq!(wrong, Probe::Misplaced { detail: expected.to_owned() });
    for fine in [&["0.0.0.0:8080", "127.0.0.1:9000"][..], &["[::]:8080"], &["127.0.0.11:40123"], &[]] {
        assert!(matches!(diagnose(8080, &sockets(fine)), Probe::Failed { .. }), "{fine:?}");
    }
    let loopback = diagnose(8080, &sockets(&["127.0.0.1:8080"]));
    assert!(matches!(loopback, Probe::Misplaced { detail } if detail.starts_with("listens on 127.0.0.1:8080, ")));
}

#[test]
fn an_http_answer_is_good_with_2xx_and_3xx_only() {
    assert_eq!(judge_answer("/", b"HTTP/1.1 200 OK\r\n"), Ok(()));
    assert_eq!(judge_answer("/", b"HTTP/1.0 302 Found\r\n"), Ok(()));
    let said = judge_answer("/up", b"HTTP/1.1 503 Service Unavailable\r\n");
    assert_eq!(said, Err("answers GET /up with 503, expected 2xx or 3xx".to_owned()));
    assert_eq!(judge_answer("/", b"SSH-2.0-x\r\n"), Err("answers GET / with something that is not HTTP".to_owned()));
}

#[test]
fn back_off_doubles_up_to_five_minutes() {
    let policy = Policy::default();
    let waits: Vec<i64> = [0, 1, 2, 3, 9, 10, 60].iter().map(|n| policy.backoff_ms(*n)).collect();
    assert_eq!(waits, [0, 1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
}

#[test]
fn old_revisions_go_and_what_is_wanted_stays() {
    let kept = |number| Kept { number, images: BTreeSet::new() };
    let (forget, keep) = revisions_to_forget((1..=15).map(kept).collect(), &BTreeSet::from([2]));
    assert_eq!(forget, [5, 4, 3, 1]);
    assert_eq!(keep.len(), REVISIONS_KEPT + 1);
}

#[test]
fn only_old_images_of_ours_that_nobody_needs_are_removed() {
    let (mine, _) = owner(1);
    let image = |id: &str, environment: bool, age_ms: i64| ObservedImage {
        id: id.to_owned(),
        tags: Vec::new(),
        environment: environment.then(|| mine.clone()),
        created_at: Timestamp(YOUNG_MS * 10 - age_ms),
        size_bytes: 1,
    };
    let old = YOUNG_MS + 1;
    let images = [
        image("kept", true, old),
        image("runs", true, old),
        image("young", true, 5),
        image("base", false, old),
        image("old", true, old),
    ];
    let revision = Kept { number: 1, images: BTreeSet::from(["kept".to_owned()]) };
    // Another environment's revision may hold the same image: it is kept for that one.
    let (other, _) = owner(2);
    let kept = BTreeMap::from([(other, vec![revision])]);
    let in_use = BTreeSet::from(["runs".to_owned()]);
    assert_eq!(images_to_remove(&images, &kept, &in_use, Timestamp(YOUNG_MS * 10)), ["old"]);
}
