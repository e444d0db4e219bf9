//! Which upstream of the route gets the request: of two drawn at random by weight, the one that promises the shorter
//! wait (power of two choices over peak EWMA: expected latency times requests in flight). Upstreams that refused connections lately are left out while others
//! can answer; draining ones always.

use crate::ingress::core::Random;
use crate::ingress::table::RouteEntry;

/// Index of the upstream to use, or `None` when every one is in `tried`, draining or without weight.
pub(crate) fn choose(
    entry: &RouteEntry,
    tried: &[usize],
    worker: usize,
    now_ms: u64,
    random: &Random,
) -> Option<usize> {
    let usable = |index: usize| {
        let upstream = &entry.route.upstreams[index];
        !upstream.draining && upstream.weight > 0 && !tried.contains(&index)
    };
    if entry.upstreams.len() == 1 {
        return usable(0).then_some(0);
    }
    let healthy = |index: usize| usable(index) && !entry.upstreams[index].is_ejected(now_ms);
    draw(entry, worker, now_ms, random, &healthy).or_else(|| draw(entry, worker, now_ms, random, &usable))
}

/// The second one drawn has to be this much cheaper to win over the first: small differences are noise.
const CLEARLY: f64 = 1.25;

/// Only upstreams of equal weight compete by cost. Between weights the draw decides alone, so that a canary of 5 % gets
/// its 5 % also when it is idle.
fn draw(
    entry: &RouteEntry,
    worker: usize,
    now_ms: u64,
    random: &Random,
    usable: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let first = pick(entry, random, usable)?;
    let weight = |index: usize| entry.route.upstreams[index].weight;
    let rival = |index: usize| index != first && weight(index) == weight(first) && usable(index);
    let Some(second) = pick(entry, random, &rival) else { return Some(first) };
    let cost = |index: usize| entry.upstreams[index].cost(worker, now_ms);
    if cost(second) * CLEARLY < cost(first) { Some(second) } else { Some(first) }
}

fn pick(entry: &RouteEntry, random: &Random, usable: &dyn Fn(usize) -> bool) -> Option<usize> {
    let weights = || entry.route.upstreams.iter().enumerate().filter(|(index, _)| usable(*index));
    let total: u64 = weights().map(|(_, upstream)| u64::from(upstream.weight)).sum();
    let mut at = random.below(total);
    for (index, upstream) in weights() {
        match at.checked_sub(u64::from(upstream.weight)) {
            Some(rest) => at = rest,
            None => return Some(index),
        }
    }
    None
}
