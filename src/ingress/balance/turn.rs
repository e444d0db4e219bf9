//! Round robin by weight: a schedule in which each upstream stands as often as its weight says, as evenly spaced as
//! possible (smooth weighted round robin), made once; a counter walks through it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Longest schedule; weights are scaled down to fit.
const MAX_SCHEDULE: u64 = 4_096;

#[derive(Debug)]
pub(super) struct Turns {
    /// Positions in the group's list of members.
    schedule: Box<[u32]>,
    next: AtomicUsize,
}

impl Turns {
    /// `weights` in the order of the group's members.
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let weights = reduce(weights.map(u64::from).collect());
        let total: u64 = weights.iter().sum();
        let mut credit = vec![0i64; weights.len()];
        let mut schedule = Vec::with_capacity(total as usize);
        for _ in 0..total {
            for (credit, weight) in credit.iter_mut().zip(&weights) {
                *credit += *weight as i64;
            }
            // The last of equals: any rule does, as long as it is always the same.
            let Some((best, _)) = credit.iter().enumerate().max_by_key(|(_, credit)| **credit) else { break };
            credit[best] -= total as i64;
            schedule.push(best as u32);
        }
        Self { schedule: schedule.into(), next: AtomicUsize::new(0) }
    }

    pub(super) fn choose(&self, members: &[usize], usable: &dyn Fn(usize) -> bool) -> Option<usize> {
        let turn = self.next.fetch_add(1, Relaxed);
        let n = self.schedule.len();
        (0..n).map(|step| members[self.schedule[turn.wrapping_add(step) % n] as usize]).find(|index| usable(*index))
    }
}

/// The same proportions in small numbers; whoever has weight keeps some.
fn reduce(mut weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    weights.iter_mut().for_each(|weight| *weight /= divisor);
    let total: u64 = weights.iter().sum();
    if total > MAX_SCHEDULE {
        for weight in weights.iter_mut().filter(|weight| **weight > 0) {
            *weight = (*weight * MAX_SCHEDULE / total).max(1);
        }
    }
    weights
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
