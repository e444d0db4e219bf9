//! Statistics of routes, with quantiles and what the functions did.

use std::sync::atomic::Ordering::Relaxed;

use crate::ingress::engine::Engine;
use crate::ingress::entry::RouteEntry;
use crate::ingress::histogram::{BUCKETS, SCALE};
use crate::ingress::reports::{BackendReport, BreakerReport, ConcurrencyReport, Events, Quantiles, RouteReport};
use crate::ingress::stats::{Event, RouteStats};

/// All routes, or the one named.
pub(crate) fn route_reports(engine: &Engine, query: &str) -> Vec<RouteReport> {
    let pairs = super::pairs(query);
    let wanted = super::value(&pairs, "route");
    let table = engine.table();
    let entries = table.routes.iter().filter(|entry| wanted.is_none_or(|id| entry.route.id == id));
    entries.map(report).collect()
}

fn report(entry: &RouteEntry) -> RouteReport {
    let backends = entry.route.backends.iter().zip(&entry.backends).map(|(backend, stats)| {
        let (classes, latency) = figures(stats);
        BackendReport { backend: backend.id.clone(), classes, latency }
    });
    let (classes, latency) = figures(&entry.stats);
    RouteReport {
        route: entry.route.id.clone(),
        service: entry.route.owner.service.clone(),
        classes,
        latency,
        events: events(&entry.stats),
        breaker: entry
            .breaker
            .as_ref()
            .map(|breaker| breaker.with(|machine| BreakerReport { open: machine.is_open(), trips: machine.trips })),
        concurrency: entry
            .limit
            .as_ref()
            .map(|limit| ConcurrencyReport { limit: limit.current(), in_flight: limit.in_flight() }),
        backends: backends.collect(),
    }
}

fn events(stats: &RouteStats) -> Events {
    Events {
        retries: stats.events(Event::Retry),
        retries_refused: stats.events(Event::RetryRefused),
        ejections: stats.ejections(),
        limited: stats.events(Event::Limited),
        broken: stats.events(Event::Broken),
        shed: stats.events(Event::Shed),
        denied: stats.events(Event::Denied),
        waited: stats.events(Event::Waited),
        waits_refused: stats.events(Event::WaitRefused),
        mirrored: stats.events(Event::Mirrored),
        mirrors_dropped: stats.events(Event::MirrorDropped),
        compressed: stats.events(Event::Compressed),
    }
}

fn figures(stats: &RouteStats) -> ([u64; 6], Quantiles) {
    let (mut classes, mut counts, mut sum) = ([0; 6], [0; BUCKETS], 0);
    for shard in stats.shards() {
        for (total, class) in classes.iter_mut().zip(&shard.classes) {
            *total += class.load(Relaxed);
        }
        shard.latency.add_to(&mut counts, &mut sum);
    }
    (classes, quantiles(&counts, sum))
}

/// Quantiles as the upper ends of the buckets they fall into.
pub(crate) fn quantiles(counts: &[u64; BUCKETS], sum_us: u64) -> Quantiles {
    let all: u64 = counts.iter().sum();
    let upper = |bucket: usize| 2f64.powf((bucket + 1) as f64 / f64::from(1u32 << SCALE)).round() as u64;
    let at = |percent: u64| {
        let rank = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map_or(0, upper)
    };
    Quantiles { p50_us: at(50), p90_us: at(90), p99_us: at(99), max_us: at(100), mean_us: sum_us / all.max(1) }
}
