//! How often somebody may try a password. Pure: time comes in.

use std::collections::BTreeMap;

use crate::kernel::clock::Timestamp;

/// Failures that cost nothing.
const FREE_FAILURES: u32 = 5;
/// The longest pause between two tries.
const LONGEST_PAUSE_MS: i64 = 5 * 60 * 1000;
/// After so long without a failure all is forgotten.
const FORGET_AFTER_MS: i64 = 60 * 60 * 1000;
/// Keys remembered at most; the oldest go first.
const MOST_KEYS: usize = 10_000;

/// Failed tries by key (an account, an address). A pause doubles from one second; nobody is locked out for good,
/// so that a stranger cannot lock a person out.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: BTreeMap<String, (u32, Timestamp)>,
}

impl Attempts {
    /// Milliseconds until the key may try again; zero when it may now.
    #[must_use]
    pub fn wait_ms(&self, key: &str, now: Timestamp) -> i64 {
        let Some((count, last)) = self.failures.get(key) else { return 0 };
        let over = count.saturating_sub(FREE_FAILURES);
        if over == 0 {
            return 0;
        }
        let pause = 1000_i64.saturating_mul(1 << over.saturating_sub(1).min(20)).min(LONGEST_PAUSE_MS);
        (pause - now.since_ms(*last)).max(0)
    }

    /// Notes a failure.
    pub fn failed(&mut self, key: &str, now: Timestamp) {
        if self.failures.len() >= MOST_KEYS {
            self.failures.retain(|_, (_, last)| now.since_ms(*last) < FORGET_AFTER_MS);
            if self.failures.len() >= MOST_KEYS {
                self.forget_older_half();
            }
        }
        let entry = self.failures.entry(key.to_owned()).or_insert((0, now));
        if now.since_ms(entry.1) > FORGET_AFTER_MS {
            entry.0 = 0;
        }
        *entry = (entry.0 + 1, now);
    }

    /// Half at once, so that a flood of keys does not cost a search for each.
    fn forget_older_half(&mut self) {
        let mut times: Vec<Timestamp> = self.failures.values().map(|(_, last)| *last).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        let mut left = times.len() / 2;
        self.failures.retain(|_, (_, last)| {
            let goes = *last <= middle && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }

    /// Forgets a key after a success.
    pub fn succeeded(&mut self, key: &str) {
        self.failures.remove(key);
    }
}
