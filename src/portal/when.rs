//! Moments and durations in words. Pure: the present moment is the page's.

use super::shell::Shell;
use crate::kernel::clock::Timestamp;

/// A moment of the API; `None` when it is not one.
fn parse(moment: &str) -> Option<Timestamp> {
    moment.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_millisecond()))
}

/// `5 minutes ago`; after a month the date says more than a count of days.
pub(super) fn ago(shell: &Shell, moment: &str) -> String {
    let Some(at) = parse(moment) else { return moment.to_owned() };
    let seconds = shell.now.since_ms(at).max(0) / 1000;
    let (key, n) = match seconds {
        0..10 => return shell.t("time.now").to_owned(),
        10..60 => ("time.seconds", seconds),
        60..3600 => ("time.minutes", seconds / 60),
        3600..86_400 => ("time.hours", seconds / 3600),
        86_400..2_592_000 => ("time.days", seconds / 86_400),
        _ => return day(moment),
    };
    shell.count(key, u64::try_from(n).unwrap_or_default())
}

/// `2026-11-23 00:40:05 UTC`
pub(super) fn moment(moment: &str) -> String {
    match (moment.get(..10), moment.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => moment.to_owned(),
    }
}

/// `2026-11-23`
pub(super) fn day(moment: &str) -> String {
    moment.get(..10).unwrap_or(moment).to_owned()
}

/// `00:40:05`
pub(super) fn clock(moment: &str) -> String {
    moment.get(11..19).unwrap_or(moment).to_owned()
}

/// `1 min 20 s`
pub(super) fn took(shell: &Shell, from: &str, to: Option<&str>) -> String {
    let Some(from) = parse(from) else { return String::new() };
    let to = to.and_then(parse).unwrap_or(shell.now);
    let seconds = to.since_ms(from).max(0) / 1000;
    match seconds {
        0..60 => shell.t1("time.took.seconds", seconds),
        60..3600 => shell.t2("time.took.minutes", seconds / 60, seconds % 60),
        _ => shell.t2("time.took.hours", seconds / 3600, seconds % 3600 / 60),
    }
}
