//! Moments of time tables, over clocks that are set forward and back.

use proptest::prelude::*;

use super::START;
use crate::jobs::timetable::Timetable;
use crate::kernel::clock::Timestamp;
use crate::stack::model::Schedule;

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::new(&Schedule { cron: cron.to_owned(), zone: zone.to_owned() }).expect("a good schedule")
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
}

fn upcoming(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    table(cron, zone).upcoming(at(from), count).into_iter().map(|t| t.rfc3339()[..16].to_owned()).collect()
}

#[test]
fn tables_say_their_next_moments() {
    assert_eq!(
        upcoming("*/20 * * * *", "UTC", "2026-03-01T10:20:00Z", 3),
        ["2026-03-01T10:40", "2026-03-01T11:00", "2026-03-01T11:20"]
    );
    assert_eq!(upcoming("@daily", "Asia/Kolkata", "2026-03-01T00:00:00Z", 1), ["2026-03-01T18:30"]);
    assert_eq!(upcoming("0 12 29 2 *", "UTC", "2026-03-01T00:00:00Z", 2), ["2028-02-29T12:00", "2032-02-29T12:00"]);
    assert_eq!(upcoming("0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z", 3)[1], "2026-03-13T00:00", "either day is enough");
    assert!(upcoming("0 0 31 2 *", "UTC", "2026-03-01T00:00:00Z", 1).is_empty(), "a day that never comes");
}

#[test]
fn a_time_that_is_left_out_comes_as_much_later_and_one_that_is_repeated_comes_once() {
    // Berlin: 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
    let daily = "30 2 * * *";
    assert_eq!(
        upcoming(daily, "Europe/Berlin", "2026-03-28T02:00:00Z", 2),
        ["2026-03-29T01:30", "2026-03-30T00:30"],
        "03:30 in summer time, then 02:30"
    );
    assert_eq!(upcoming(daily, "Europe/Berlin", "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30", "2026-10-26T01:30"]);
    let hourly = "30 * * * *";
    assert_eq!(
        upcoming(hourly, "Europe/Berlin", "2026-10-24T23:45:00Z", 3),
        ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
        "every hour is every hour"
    );
    assert_eq!(
        upcoming("0,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:59:00Z", 3),
        ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
        "two that fall together are one"
    );
}

#[test]
fn the_last_moment_is_found_however_long_ago() {
    let yearly = table("0 0 1 1 *", "UTC");
    assert_eq!(yearly.last(at("2019-06-01T00:00:00Z"), at("2026-03-01T00:00:00Z")), Some(at("2026-01-01T00:00:00Z")));
    assert_eq!(yearly.last(at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z")), None);
    let minutely = table("* * * * *", "UTC");
    assert_eq!(minutely.last(at("2020-01-01T00:00:00Z"), at("2026-03-01T00:00:59Z")), Some(at("2026-03-01T00:00:00Z")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Moments only go forward, stand in the table by the clock of their zone (but those that were left out), and
    /// `last` is the greatest that `after` gives.
    #[test]
    fn moments_go_forward_and_agree(
        minute in prop::sample::select(vec!["*", "0", "*/7", "59", "5,35"]),
        hour in prop::sample::select(vec!["*", "2", "0-3", "23", "*/5"]),
        day in prop::sample::select(vec!["*", "1", "31", "*/2"]),
        weekday in prop::sample::select(vec!["*", "0", "1-5"]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
        from in 0_i64..40_000_000_000,
        span in 1_i64..4_000_000_000,
    ) {
        let table = table(&format!("{minute} {hour} {day} * {weekday}"), zone);
        let (since, now) = (START.plus_ms(from), START.plus_ms(from + span));
        let mut at = since;
        let mut newest = None;
        for _ in 0..2_000 {
            let Some(next) = table.after(at) else { break };
            prop_assert!(next > at, "{next:?} after {at:?}");
            prop_assert_eq!(next.0 % 60_000, 0);
            if next > now {
                prop_assert_eq!(table.last(since, now), newest);
                return Ok(());
            }
            newest = Some(next);
            at = next;
        }
    }
}
