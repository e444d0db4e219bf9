//! How much a stack uses, and whether that is allowed: amounts, quotas, and the sentence that refuses. Pure.

use std::ops::{Add, AddAssign};

use super::model::{Strategy, UpdateOrder};
use super::{Service, Stack};
use crate::kernel::name::ServiceName;

/// Instances with the most that they may use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    pub instances: u64,
    /// Thousandths of a processor core.
    pub cpu_millis: u64,
    pub memory_mib: u64,
}

/// What may be used at most; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    pub instances: Option<u64>,
    /// Thousandths of a processor core.
    pub cpu_millis: Option<u64>,
    pub memory_mib: Option<u64>,
}

/// A quota that does not allow something, with the figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} may use {most} {what}: {used} are taken, and {more} more are needed")]
pub struct Exceeded {
    /// `the organisation` or `the project`.
    pub whose: &'static str,
    pub what: &'static str,
    pub most: u64,
    pub used: u64,
    pub more: u64,
}

impl Amounts {
    /// What so many instances of a service may use.
    #[must_use]
    pub fn of(service: &Service, instances: u32) -> Self {
        let n = u64::from(instances);
        let limits = &service.limits;
        Self {
            instances: n,
            cpu_millis: n * u64::from(limits.cpu_millis),
            memory_mib: n * u64::from(limits.memory_mib),
        }
    }

    /// The larger of both in everything.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            instances: self.instances.max(other.instances),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_mib: self.memory_mib.max(other.memory_mib),
        }
    }
}

impl Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            instances: self.instances + other.instances,
            cpu_millis: self.cpu_millis + other.cpu_millis,
            memory_mib: self.memory_mib + other.memory_mib,
        }
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Amounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Quota {
    /// Whether `more` is allowed beside what is `used`.
    ///
    /// # Errors
    /// The first limit that is passed, with the figures.
    pub fn allows(&self, whose: &'static str, used: Amounts, more: Amounts) -> Result<(), Exceeded> {
        let each = [
            ("instances", self.instances, used.instances, more.instances),
            ("MiB of memory", self.memory_mib, used.memory_mib, more.memory_mib),
            ("thousandths of a processor core", self.cpu_millis, used.cpu_millis, more.cpu_millis),
        ];
        for (what, most, used, more) in each {
            if let Some(most) = most.filter(|most| more > 0 && used + more > *most) {
                return Err(Exceeded { whose, what, most, used, more });
            }
        }
        Ok(())
    }
}

/// What a stack uses when nothing changes; `wanted` says how many instances of a service there shall be.
#[must_use]
pub fn steady(stack: &Stack, wanted: impl Fn(&ServiceName, &Service) -> u32) -> Amounts {
    stack.services.iter().map(|(name, service)| Amounts::of(service, wanted(name, service))).sum()
}

/// What a stack uses at most on its way from the one that serves, in the way each service changes.
#[must_use]
pub fn peak(old: Option<&Stack>, new: &Stack, wanted: impl Fn(&ServiceName, &Service) -> u32) -> Amounts {
    let on_the_way = |(name, service): (&ServiceName, &Service)| {
        let after = Amounts::of(service, wanted(name, service));
        match old.and_then(|o| o.services.get(name)) {
            None => after,
            Some(before) => both(before, service, Amounts::of(before, wanted(name, before)), after),
        }
    };
    let leaving = old.into_iter().flat_map(|o| &o.services).filter(|(name, _)| !new.services.contains_key(*name));
    let leaving: Amounts = leaving.map(|(name, service)| Amounts::of(service, wanted(name, service))).sum();
    new.services.iter().map(on_the_way).sum::<Amounts>() + leaving
}

fn both(old: &Service, new: &Service, before: Amounts, after: Amounts) -> Amounts {
    let rollout = &new.rollout;
    if old == new {
        return after;
    }
    match rollout.strategy {
        _ if !old.may_overlap() || !new.may_overlap() => before.max(after),
        Strategy::Recreate => before.max(after),
        Strategy::Rolling => {
            let first = rollout.order == UpdateOrder::StartFirst;
            let surge = rollout.max_surge.map_or(u32::from(first), |a| a.of_up(new.replicas));
            before.max(after) + Amounts::of(new, surge)
        }
        _ => before + after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ServiceKind;
    use crate::stack::model::{Care, ImageRef};

    fn stack(strategy: Strategy, replicas: u32, version: &str) -> Stack {
        let mut web = Service::new(ServiceKind::Web, ImageRef::unpinned("web"));
        web.replicas = replicas;
        web.rollout.strategy = strategy;
        web.environment.insert("VERSION".to_owned(), version.to_owned());
        let mut db = Service::new(ServiceKind::Database, ImageRef::unpinned("db"));
        db.care = Care::Pet;
        let services = [("web".parse().expect("a name"), web), ("db".parse().expect("a name"), db)];
        Stack { services: services.into(), ..Stack::default() }
    }

    fn wanted(_: &ServiceName, service: &Service) -> u32 {
        service.replicas
    }

    #[test]
    fn the_way_over_costs_what_its_strategy_needs() {
        let instances = |strategy| {
            let (old, new) = (stack(strategy, 3, "1"), stack(strategy, 3, "2"));
            peak(Some(&old), &new, wanted).instances
        };
        // One database in any case: it has not changed.
        assert_eq!(instances(Strategy::Rolling), 3 + 1 + 1);
        assert_eq!(instances(Strategy::BlueGreen), 6 + 1);
        assert_eq!(instances(Strategy::Recreate), 3 + 1);
        let first = stack(Strategy::BlueGreen, 3, "1");
        assert_eq!(peak(None, &first, wanted), steady(&first, wanted));
    }

    #[test]
    fn a_refusal_names_the_figures() {
        let quota = Quota { memory_mib: Some(2_048), ..Quota::default() };
        let of = |instances: u64| Amounts { instances, cpu_millis: 0, memory_mib: instances * 512 };
        assert_eq!(quota.allows("the project", of(2), of(2)), Ok(()));
        let refused = quota.allows("the project", of(2), of(3)).expect_err("too much").to_string();
        let expected = "the project may use 2048 MiB of memory: 1024 are taken, and 1536 more are needed";
        assert_eq!(refused, expected);
        // Whoever is above already may go on with less.
        assert_eq!(quota.allows("the project", of(9), of(0)), Ok(()));
    }
}
