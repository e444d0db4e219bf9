//! Which upstream of the route gets the request: of two drawn at random by weight, the one with fewer requests in
//! flight for its weight (power of two choices). Upstreams that refused connections lately are left out while others
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
    draw(entry, worker, random, &healthy).or_else(|| draw(entry, worker, random, &usable))
}

fn draw(entry: &RouteEntry, worker: usize, random: &Random, usable: &dyn Fn(usize) -> bool) -> Option<usize> {
    let first = pick(entry, random, usable)?;
    let Some(second) = pick(entry, random, &|index| index != first && usable(index)) else { return Some(first) };
    let load = |index: usize| u64::from(entry.upstreams[index].local_in_flight(worker));
    let weight = |index: usize| u64::from(entry.route.upstreams[index].weight);
    // Equal loads keep the draw by weight, so that a 5 % canary gets 5 %.
    if load(second) * weight(first) < load(first) * weight(second) { Some(second) } else { Some(first) }
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
