//! From a time table and a time zone to moments. Pure.
//!
//! A clock that is set forward leaves out local times, and one that is set back repeats them. A table that names its
//! hours (`30 2 * * *`) means the day's run: when its time is left out, it comes as much later as the clock jumped, and
//! when its time is repeated, it comes once. A table for every hour (`*/15 * * * *`) means a distance: it goes on
//! through both.

use jiff::Timestamp as Instant;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::kernel::clock::Timestamp;
use crate::stack::cron::Cron;
use crate::stack::model::Schedule;

/// Days looked ahead: a table such as `0 0 29 2 1` can rest for many years.
const FARTHEST_DAYS: u32 = 366 * 41;
const MINUTE_MS: i64 = 60_000;

/// A time table in a time zone.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

impl Timetable {
    /// Of a stored schedule.
    ///
    /// # Errors
    /// When its text or its zone is not known any more, in a sentence.
    pub fn new(schedule: &Schedule) -> Result<Self, String> {
        let cron = Cron::parse(&schedule.cron)?;
        let zone = TimeZoneDatabase::bundled()
            .get(&schedule.zone)
            .map_err(|_| format!("the time zone `{}` is not known", schedule.zone))?;
        Ok(Self { cron, zone })
    }

    /// The first moment after this one.
    #[must_use]
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        if self.cron.is_every_hour() { self.by_distance(moment) } else { self.by_clock(moment) }
    }

    /// For every hour: minute by minute in elapsed time, whatever the clock does.
    fn by_distance(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut at = Timestamp((moment.0.div_euclid(MINUTE_MS) + 1) * MINUTE_MS);
        let end = moment.plus_secs(i64::from(FARTHEST_DAYS) * 86_400);
        while at <= end {
            let local = self.zone.to_datetime(Instant::from_millisecond(at.0).ok()?);
            let day = local.date();
            if !self.has_day(day) {
                let midnight = day.tomorrow().ok()?.at(0, 0, 0, 0);
                let next = self.zone.to_ambiguous_timestamp(midnight).compatible().ok()?;
                at = Timestamp(next.as_millisecond().max(at.0 + MINUTE_MS));
            } else if self.cron.has_minute(local.minute().unsigned_abs()) {
                return Some(at);
            } else {
                at = at.plus_ms(MINUTE_MS);
            }
        }
        None
    }

    /// For named hours: day by day, as the clock shows them.
    fn by_clock(&self, moment: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(Instant::from_millisecond(moment.0).ok()?);
        // Times of yesterday can lie ahead where the clock is set back over midnight.
        let mut day = local.date().yesterday().ok()?;
        for _ in 0..FARTHEST_DAYS {
            if self.has_day(day) {
                // Not all in the order of the clock: one that was left out comes after the next ones.
                let next = self.of_day(day).filter(|at| *at > moment).min();
                if next.is_some() {
                    return next;
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn has_day(&self, day: Date) -> bool {
        let weekday = day.weekday().to_sunday_zero_offset();
        self.cron.has_day(day.day().unsigned_abs(), day.month().unsigned_abs(), weekday.unsigned_abs())
    }

    /// The last moment up to `now` that is after `since`.
    #[must_use]
    pub fn last(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
        // Near first: a table for every minute has many moments since last month, and only the newest matters.
        for window in [60 * MINUTE_MS, DAY_MS, 32 * DAY_MS, 367 * DAY_MS, i64::MAX] {
            let from = Timestamp(now.0.saturating_sub(window).max(since.0));
            let mut last = None;
            let mut at = from;
            while let Some(next) = self.after(at).filter(|n| *n <= now) {
                last = Some(next);
                at = next;
            }
            if last.is_some() || from == since {
                return last;
            }
        }
        None
    }

    /// The next moments.
    #[must_use]
    pub fn upcoming(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.after(now), |at| self.after(*at)).take(count).collect()
    }

    /// All moments of a local day: one for each time of the table.
    fn of_day(&self, day: Date) -> impl Iterator<Item = Timestamp> + '_ {
        let hours = (0..24_i8).filter(|h| self.cron.has_hour(h.unsigned_abs()));
        hours.flat_map(move |hour| {
            let minutes = (0..60_i8).filter(|m| self.cron.has_minute(m.unsigned_abs()));
            minutes.filter_map(move |minute| self.moment(day.at(hour, minute, 0, 0)))
        })
    }

    /// The moment at which the clock shows this: the first of two, and as much later as it jumps when it never does.
    fn moment(&self, local: DateTime) -> Option<Timestamp> {
        let at = self.zone.to_ambiguous_timestamp(local).compatible().ok()?;
        Some(Timestamp(at.as_millisecond()))
    }

    /// A moment as the clock of the zone shows it, such as `2026-03-29 03:30 CEST`.
    #[must_use]
    pub fn local(&self, moment: Timestamp) -> String {
        match Instant::from_millisecond(moment.0) {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
            Err(_) => moment.rfc3339(),
        }
    }
}
