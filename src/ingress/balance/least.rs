//! Least requests: the upstream with the fewest requests in flight for its weight, counted over all threads. Ties are
//! drawn, so that idle upstreams share alike.

use super::Fleet;
use crate::ingress::core::Random;

pub(super) fn choose(
    members: &[usize],
    fleet: &dyn Fleet,
    random: &Random,
    usable: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let load = |index: usize| (u64::from(fleet.in_flight(index)) + 1) as f64 / fleet.weight(index) as f64;
    let mut best: Option<(usize, f64)> = None;
    let mut ties = 0;
    for index in members.iter().copied().filter(|index| usable(*index)) {
        let load = load(index);
        match best {
            Some((_, least)) if load > least => {}
            Some((_, least)) if load == least => {
                ties += 1;
                // The n-th of equals replaces the one held with chance 1/n: each wins alike.
                if random.below(ties) == 0 {
                    best = Some((index, load));
                }
            }
            _ => {
                ties = 1;
                best = Some((index, load));
            }
        }
    }
    best.map(|(index, _)| index)
}
