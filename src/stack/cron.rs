//! Time tables of five fields. Pure: whoever asks says what time it is.

use std::fmt;

/// A time table: minute, hour, day of the month, month, day of the week (0 is Sunday), each as a set of bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and of the week are both restricted: then either is enough, as cron has always done it.
    either_day: bool,
    text: String,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The words that stand for five fields.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Cron {
    /// Reads five fields, or one of the words such as `@daily`.
    ///
    /// # Errors
    /// What is wrong, in a sentence part.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim().to_ascii_lowercase();
        let line = WORDS.iter().find(|(w, _)| *w == trimmed).map_or(trimmed.as_str(), |(_, l)| l);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "`{text}` has {} fields; a time table has five: minute, hour, day, month, weekday",
                fields.len()
            ));
        };
        let mut weekdays = field(weekday, "weekday", 0, 7, &WEEKDAYS, 0)?;
        // 7 is Sunday too.
        if weekdays & (1 << 7) != 0 {
            weekdays = (weekdays | 1) & !(1 << 7);
        }
        Ok(Self {
            minutes: field(minute, "minute", 0, 59, &[], 0)?,
            hours: field(hour, "hour", 0, 23, &[], 0)?,
            days: field(day, "day", 1, 31, &[], 0)?,
            months: field(month, "month", 1, 12, &MONTHS, 1)?,
            weekdays,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
            text: fields.join(" "),
        })
    }

    /// Whether a moment of local time, exact to the minute, stands in the table.
    #[must_use]
    pub fn matches(&self, minute: u8, hour: u8, day: u8, month: u8, weekday: u8) -> bool {
        self.has_minute(minute) && self.has_hour(hour) && self.has_day(day, month, weekday)
    }

    /// Whether it has this minute of its hours.
    #[must_use]
    pub fn has_minute(&self, minute: u8) -> bool {
        has(self.minutes, minute)
    }

    /// Whether it has this hour of its days.
    #[must_use]
    pub fn has_hour(&self, hour: u8) -> bool {
        has(self.hours, hour)
    }

    /// Whether it has all hours.
    #[must_use]
    pub fn is_every_hour(&self) -> bool {
        (0..24).all(|hour| self.has_hour(hour))
    }

    /// Whether it has this day.
    #[must_use]
    pub fn has_day(&self, day: u8, month: u8, weekday: u8) -> bool {
        let by_date = has(self.days, day);
        let by_week = has(self.weekdays, weekday);
        let by_day = if self.either_day { by_date || by_week } else { by_date && by_week };
        has(self.months, month) && by_day
    }
}

fn has(set: u64, n: u8) -> bool {
    n < 64 && set & (1 << n) != 0
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The set of one field: `*`, numbers, names, ranges, steps, lists.
fn field(text: &str, what: &str, from: u8, to: u8, names: &[&str], first_name: u8) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is not possible for the {what}: {from} to {to}, as in `*`, `5`, `1-5`, `*/2`, `1,3`");
    let number = |t: &str| -> Option<u8> {
        if let Some(at) = names.iter().position(|n| *n == t) {
            return u8::try_from(at).ok().map(|n| n + first_name);
        }
        t.parse().ok().filter(|n| (from..=to).contains(n))
    };
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|s| *s > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (from, to),
            Some((low, high)) => (number(low).ok_or_else(wrong)?, number(high).ok_or_else(wrong)?),
            None => {
                let n = number(range).ok_or_else(wrong)?;
                (n, if part.contains('/') { to } else { n })
            }
        };
        if low > high {
            return Err(wrong());
        }
        for n in (low..=high).step_by(usize::from(step)) {
            set |= 1 << n;
        }
    }
    Ok(set)
}
