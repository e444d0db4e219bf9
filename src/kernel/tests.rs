use std::time::Duration;

use super::clock::{Clock, Timestamp};
use super::error::chain;
use super::id::{TenantId, UserId};
use super::name::{HostName, ProjectSlug, VariableName};
use super::process::{Command, ProcessError};
use super::random::Random;
use super::secret::Secret;

#[test]
fn ids_carry_their_kind_and_sort_by_age() {
    let random = Random::seeded(1);
    let older = TenantId::new(Timestamp(1_000), &random);
    let newer = TenantId::new(Timestamp(2_000), &random);
    assert!(older < newer);
    assert!(older.as_str().parse::<TenantId>().is_ok());
    assert!(older.as_str().parse::<UserId>().is_err());
    assert!("ten_../../etc".parse::<TenantId>().is_err());
}

#[test]
fn names_refuse_what_would_be_dangerous_elsewhere() {
    for good in ["shop", "a", "shop-2", "a1-b2"] {
        assert!(good.parse::<ProjectSlug>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "a-", "a--b", "2a", "A", "a_b", "a/b", "a b", "..", "wharf", "ümlaut", &"a".repeat(25)] {
        assert!(bad.parse::<ProjectSlug>().is_err(), "{bad}");
    }
    assert!("A_1".parse::<VariableName>().is_ok());
    assert!("1A".parse::<VariableName>().is_err());
    assert!("A=B".parse::<VariableName>().is_err());
}

#[test]
fn host_names_are_normalised() {
    let host: HostName = "Shop.Example.COM.".parse().expect("valid");
    assert_eq!(host.as_str(), "shop.example.com");
    assert!("*.example.com".parse::<HostName>().is_ok());
    for bad in ["http://a.b", "a..b", "a b", "a.b/c", "a:80", "*.*.b", "-a.b"] {
        assert!(bad.parse::<HostName>().is_err(), "{bad}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let secret = Secret::new("hunter2".to_owned());
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn a_fake_clock_moves_only_when_told() {
    let clock = Clock::fake(Timestamp(5));
    let other = clock.clone();
    clock.advance_ms(10);
    assert_eq!(other.now(), Timestamp(15));
    assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_child_that_hangs_is_stopped_and_a_missing_one_is_named() {
    let error = Command::new("sleep").arg("30").deadline(Duration::from_millis(50)).run().await.expect_err("hangs");
    assert!(matches!(error, ProcessError::TimedOut { .. }));
    let error = Command::new("no-such-program-here").run().await.expect_err("missing");
    assert!(chain(&error).starts_with("cannot start `no-such-program-here`; is it installed?: No such file"));
}

#[tokio::test]
async fn arguments_are_passed_as_they_are() {
    let output = Command::new("printf").args(["%s|", "a b", "$(id)", ";"]).run().await.expect("runs");
    assert_eq!(output.stdout, b"a b|$(id)|;|");
}
