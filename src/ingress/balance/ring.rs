//! Consistent hashing with bounded load: upstreams own points on a ring, a key belongs to the next point at or after
//! its hash. When an upstream leaves, only its keys move. One that carries more than its bounded share of the load is
//! passed over, so that a hot key cannot sink it ("Consistent Hashing with Bounded Loads", Mirrokni and others, 2016).

use super::{Fleet, hash};

/// Points per unit of weight.
const POINTS: u64 = 128;
/// Most points of a ring; with more the points per weight shrink.
const MAX_POINTS: u64 = 65_536;

#[derive(Debug)]
pub(super) struct Ring {
    /// `(hash, position in the group's list of members)`, sorted.
    points: Box<[(u64, u32)]>,
    bounded_load_percent: u32,
}

impl Ring {
    /// `upstreams`: id and weight in the order of the group's members.
    pub(super) fn new<'a>(upstreams: impl Iterator<Item = (&'a str, u32)>, bounded_load_percent: u32) -> Self {
        let upstreams: Vec<(&str, u64)> = upstreams.map(|(id, weight)| (id, u64::from(weight))).collect();
        let total: u64 = upstreams.iter().map(|(_, weight)| weight).sum();
        let count = |weight: u64| match total * POINTS {
            0..=MAX_POINTS => weight * POINTS,
            _ => (u128::from(weight) * u128::from(MAX_POINTS) / u128::from(total)) as u64,
        };
        let mut points = Vec::new();
        for (position, (id, weight)) in upstreams.iter().enumerate().filter(|(_, (_, weight))| *weight > 0) {
            let points_of = (0..count(*weight).max(1)).map(|n| hash::of(format!("{id}#{n}").as_bytes()));
            points.extend(points_of.map(|point| (point, position as u32)));
        }
        points.sort_unstable();
        Self { points: points.into(), bounded_load_percent }
    }

    pub(super) fn choose(
        &self,
        key: u64,
        members: &[usize],
        fleet: &dyn Fleet,
        usable: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < key);
        let walk = || {
            let rotated = self.points[start..].iter().chain(&self.points[..start]);
            rotated.map(|(_, position)| members[*position as usize]).filter(|index| usable(*index))
        };
        let first = walk().next()?;
        let share = Share::new(members, fleet, usable, self.bounded_load_percent);
        if share.allows(first, fleet) {
            return Some(first);
        }
        walk().find(|index| share.allows(*index, fleet)).or(Some(first))
    }
}

/// How many requests in flight each upstream may have.
struct Share {
    /// Requests that would be in flight with this one, times the bound.
    bounded: f64,
    weights: f64,
}

impl Share {
    fn new(members: &[usize], fleet: &dyn Fleet, usable: &dyn Fn(usize) -> bool, percent: u32) -> Self {
        let (mut flying, mut weights) = (1u64, 0u64);
        for index in members.iter().copied().filter(|index| usable(*index)) {
            flying += u64::from(fleet.in_flight(index));
            weights += fleet.weight(index);
        }
        Self { bounded: flying as f64 * f64::from(percent.max(100)) / 100.0, weights: weights as f64 }
    }

    fn allows(&self, index: usize, fleet: &dyn Fleet) -> bool {
        let cap = (self.bounded * fleet.weight(index) as f64 / self.weights).ceil();
        f64::from(fleet.in_flight(index) + 1) <= cap
    }
}
