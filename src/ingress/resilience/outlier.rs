//! Passive outlier ejection: what each attempt says about its upstream, and when that is enough.

use super::health;
use crate::ingress::core::Core;
use crate::ingress::entry::RouteEntry;
use crate::ingress::snapshot::Outlier;

/// An attempt has ended: with an answer below 500, or not.
pub(crate) fn settle(core: &Core, entry: &RouteEntry, index: usize, good: bool) {
    let state = &entry.upstreams[index];
    if good {
        state.health.succeeded();
        return;
    }
    state.went_wrong(core.worker);
    if let Some(rules) = &entry.route.policy.outlier
        && state.health.failed(rules)
    {
        eject(entry, index, rules, core.clock.now_ms());
    }
}

/// Ejects an upstream unless too many of its backend are out already.
pub(crate) fn eject(entry: &RouteEntry, index: usize, rules: &Outlier, now_ms: u64) {
    let group = entry.balancer.groups.iter().find(|group| group.members.contains(&index));
    let (state, Some(group)) = (&entry.upstreams[index], group) else { return };
    let is_out = |member: &&usize| entry.upstreams[**member].health.is_ejected(now_ms);
    let out = group.members.iter().filter(is_out).count();
    if state.health.is_ejected(now_ms) || !health::may_eject(rules, out, group.members.len()) {
        return;
    }
    state.health.eject(rules, now_ms);
    entry.stats.count_ejection();
    tracing::warn!(route = %entry.route.id, upstream = %state.id, address = %state.address, "ejected: it fails requests");
}

/// Whether an upstream that failed so many of its latest requests is to be ejected.
pub(crate) fn fails_too_often(rules: &Outlier, requests: u64, failures: u64) -> bool {
    rules.failure_percent > 0
        && requests >= u64::from(rules.min_requests.max(1))
        && failures * 100 >= requests * u64::from(rules.failure_percent)
}
