//! Power of two choices over peak EWMA: of two upstreams drawn by weight, the one that promises the shorter wait.

use super::Fleet;
use crate::ingress::core::Random;

/// The second one drawn has to be this much cheaper to win over the first: small differences are noise.
const CLEARLY: f64 = 1.25;

/// Only upstreams of equal weight compete by cost. Between weights the draw decides alone, so that a canary of 5 % gets
/// its 5 % also when it is idle.
pub(super) fn choose(
    members: &[usize],
    fleet: &dyn Fleet,
    random: &Random,
    usable: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let first = pick(members, fleet, random, usable)?;
    let rival = |index: usize| index != first && fleet.weight(index) == fleet.weight(first) && usable(index);
    let Some(second) = pick(members, fleet, random, &rival) else { return Some(first) };
    if fleet.cost(second) * CLEARLY < fleet.cost(first) { Some(second) } else { Some(first) }
}

/// One by weight.
pub(super) fn pick(
    members: &[usize],
    fleet: &dyn Fleet,
    random: &Random,
    usable: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let members = || members.iter().copied().filter(|index| usable(*index));
    let total: u64 = members().map(|index| fleet.weight(index)).sum();
    let mut at = random.below(total);
    for index in members() {
        match at.checked_sub(fleet.weight(index)) {
            Some(rest) => at = rest,
            None => return Some(index),
        }
    }
    None
}
