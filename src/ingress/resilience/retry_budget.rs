//! A budget for retries: they may be a share of the requests of the last ten seconds, plus a few a second. When a
//! service is down, retries then add a fifth to its load instead of multiplying it.
//!
//! Requests are not counted here: the route's own counters are read when a retry is asked for, so a route that never
//! retries pays nothing.

/// Seconds looked back on.
const WINDOW: usize = 10;

/// The budget of one route. Pure: times and counts are arguments.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    slots: [Slot; WINDOW],
    /// When the counters were last read, and what they said.
    seen: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    /// Whether one more retry is paid for; if so, it is counted. `requests` is how many the route has had in all.
    pub(crate) fn withdraw(&mut self, now_ms: u64, requests: u64, percent: u32, min_per_sec: u32) -> bool {
        let second = now_ms / 1_000;
        let new = self.new_requests(now_ms, requests);
        let slot = &mut self.slots[second as usize % WINDOW];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot.requests += new;
        let oldest = (second + 1).saturating_sub(WINDOW as u64);
        let window = || self.slots.iter().filter(|slot| slot.second >= oldest);
        let recent: u64 = window().map(|slot| slot.requests).sum();
        let retries: u64 = window().map(|slot| slot.retries).sum();
        let allowed = recent * u64::from(percent) / 100 + u64::from(min_per_sec) * WINDOW as u64;
        let paid = retries < allowed;
        if paid {
            self.slots[second as usize % WINDOW].retries += 1;
        }
        paid
    }

    /// Requests since the last look; of a longer time than the window, the part that falls into it on average.
    fn new_requests(&mut self, now_ms: u64, requests: u64) -> u64 {
        let last = self.seen.replace((now_ms, requests));
        let Some((then_ms, before)) = last else { return 0 };
        let (new, elapsed) = (requests.saturating_sub(before), now_ms.saturating_sub(then_ms));
        let window_ms = WINDOW as u64 * 1_000;
        if elapsed <= window_ms { new } else { (u128::from(new) * u128::from(window_ms) / u128::from(elapsed)) as u64 }
    }
}
