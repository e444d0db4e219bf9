//! Once a second: which upstreams failed too large a share of their requests lately, and how busy the node is. It reads
//! the counters that requests leave anyway, so requests pay nothing for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::outlier::{eject, fails_too_often};
use super::shedding::{Load, next_level};
use crate::ingress::engine::Engine;
use crate::ingress::entry::RouteEntry;
use crate::ingress::snapshot::Outlier;

const INTERVAL: Duration = Duration::from_secs(1);
/// Seconds over which shares are measured.
const WINDOW: usize = 10;
/// So many sweeps without an ejection make the next one shorter.
const FORGET_EVERY: u64 = 30;

/// Counters of one upstream over the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Track {
    /// `(requests, failures)` in all, at each of the last sweeps.
    readings: std::collections::VecDeque<(u64, u64)>,
}

impl Track {
    /// Takes a reading in; requests and failures within the window.
    pub(crate) fn read(&mut self, requests: u64, failures: u64) -> (u64, u64) {
        self.readings.push_back((requests, failures));
        if self.readings.len() > WINDOW + 1 {
            self.readings.pop_front();
        }
        let (first_requests, first_failures) = self.readings.front().copied().unwrap_or_default();
        (requests.saturating_sub(first_requests), failures.saturating_sub(first_failures))
    }

    /// Starts anew, after an ejection.
    fn clear(&mut self) {
        self.readings.clear();
    }
}

/// Sweeps for ever.
pub(crate) async fn run(engine: Arc<Engine>) {
    let (mut tracks, mut cpu, mut level, mut turn) = (HashMap::new(), CpuMeter::default(), 0.0, 0u64);
    loop {
        tokio::time::sleep(INTERVAL).await;
        turn += 1;
        let table = engine.table();
        let now_ms = engine.shared.started.elapsed().as_millis() as u64;
        let mut in_flight = 0;
        let mut seen = HashMap::with_capacity(tracks.len());
        for entry in &table.routes {
            in_flight += entry.upstreams.iter().map(|state| state.in_flight()).sum::<u32>();
            if let Some(rules) = &entry.route.policy.outlier {
                sweep_route(entry, rules, now_ms, turn, &mut tracks, &mut seen);
            }
        }
        tracks = seen;
        let rules = &table.snapshot.settings.shedding;
        if rules.cpu_percent > 0
            && let Some((cpu_percent, cpus)) = cpu.read()
        {
            level = next_level(rules, level, Load { cpu_percent, in_flight, cpus });
        } else {
            level = 0.0;
        }
        engine.shared.shedding.set(level);
    }
}

fn sweep_route(
    entry: &RouteEntry,
    rules: &Outlier,
    now_ms: u64,
    turn: u64,
    tracks: &mut HashMap<u64, Track>,
    seen: &mut HashMap<u64, Track>,
) {
    for (index, state) in entry.upstreams.iter().enumerate() {
        let mut track = tracks.remove(&state.serial).unwrap_or_default();
        let (requests, failures) = track.read(state.requests(), state.bad_answers());
        if fails_too_often(rules, requests, failures) && !state.health.is_ejected(now_ms) {
            eject(entry, index, rules, now_ms);
            track.clear();
        }
        if turn.is_multiple_of(FORGET_EVERY) {
            state.health.forget_one_ejection(now_ms);
        }
        seen.insert(state.serial, track);
    }
}

/// Busy share of the CPUs since the last look, from `/proc/stat`.
#[derive(Debug, Default)]
struct CpuMeter {
    last: Option<(u64, u64)>,
}

impl CpuMeter {
    /// Percent busy and the number of CPUs; `None` at the first look and where the kernel does not say.
    fn read(&mut self) -> Option<(f64, u32)> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let (busy, all, cpus) = cpu_times(&text)?;
        let (busy_before, all_before) = self.last.replace((busy, all))?;
        let passed = all.saturating_sub(all_before).max(1);
        Some((busy.saturating_sub(busy_before) as f64 * 100.0 / passed as f64, cpus))
    }
}

/// `(busy, all, number of CPUs)`; idle is the time idle and waiting for disks.
pub(crate) fn cpu_times(stat: &str) -> Option<(u64, u64, u32)> {
    let mut lines = stat.lines();
    let total = lines.next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest times are part of user.
    let times: Vec<u64> = total.split_ascii_whitespace().take(8).filter_map(|time| time.parse().ok()).collect();
    let idle = times.get(3)? + times.get(4)?;
    let all: u64 = times.iter().sum();
    let cpus = lines.take_while(|line| line.starts_with("cpu")).count() as u32;
    Some((all - idle, all, cpus.max(1)))
}
