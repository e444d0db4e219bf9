//! Criticality: who starts first, who yields first, and when what has yielded comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::fixtures::{owner, service, stack_of};
use crate::kernel::clock::Timestamp;
use crate::scheduler::memory::Memory;
use crate::scheduler::model::{Action, Desired, DesiredEnvironment, Release, Version, Wanted, network_name};
use crate::scheduler::plan::plan;
use crate::scheduler::policy::Policy;
use crate::scheduler::pressure::{Figures, Pressure, relieve};
use crate::stack::model::{Care, Criticality};
use crate::stack::{Service, ServiceKind};

const TOTAL_MIB: u64 = 8_192;

fn of(criticality: Criticality, replicas: u32) -> Service {
    Service { criticality, ..service(ServiceKind::Worker, replicas) }
}

/// Two environments of two tenants, with services of every criticality.
fn desired() -> Desired {
    let mut pet = of(Criticality::Normal, 1);
    pet.care = Care::Pet;
    let stacks = [
        stack_of([
            ("bank", of(Criticality::Critical, 2)),
            ("batch", of(Criticality::Low, 2)),
            ("cart", of(Criticality::High, 2)),
            ("pet", pet),
        ]),
        stack_of([("blog", of(Criticality::Normal, 2)), ("thumbs", of(Criticality::Low, 1))]),
    ];
    let mut desired = Desired::default();
    for (number, stack) in (0..).zip(stacks) {
        let (id, owner) = owner(number);
        let version = Version { revision: 1, generation: 1 };
        let release = Release { version, config_version: 0, stack: stack.into(), kept: BTreeMap::new() };
        desired.environments.insert(id, DesiredEnvironment::new(owner, Wanted::Run, Some(release)));
    }
    desired
}

fn figures(memory_free_mib: u64, cpu_busy_permille: u32) -> Figures {
    Figures { memory_total_mib: TOTAL_MIB, memory_free_mib, cpu_busy_permille, cpu_millis: 2_000 }
}

/// What is left of each service when so much memory has been short for so many looks.
fn left(looks: i64, free: u64) -> BTreeMap<String, u32> {
    let (policy, mut pressure) = (Policy::default(), Pressure::default());
    for look in 0..looks {
        pressure.note(figures(free, 0), &policy, Timestamp(look * policy.yield_step_ms));
    }
    let mut desired = desired();
    relieve(&mut desired, &pressure, &policy);
    let all = desired.environments.values().flat_map(|e| {
        let services = &e.serving.as_ref().expect("it serves").stack.services;
        services.iter().map(|(name, service)| (name.to_string(), e.replicas(name, service))).collect::<Vec<_>>()
    });
    all.collect()
}

fn counts(text: &str) -> BTreeMap<String, u32> {
    let one = |word: &str| {
        let (name, n) = word.split_once('=').expect("name=count");
        (name.to_owned(), n.parse().expect("a number"))
    };
    text.split_whitespace().map(one).collect()
}

#[test]
fn low_services_yield_first_and_critical_ones_never() {
    let all = counts("bank=2 batch=2 cart=2 pet=1 blog=2 thumbs=1");
    assert_eq!(left(0, 0), all, "nothing was measured");
    assert_eq!(left(1, 4_096), all, "half of it is free");
    // 819 MiB are wanted free: with 200 free, two instances of 512 MiB have to go.
    assert_eq!(left(1, 200), counts("bank=2 batch=0 cart=2 pet=1 blog=2 thumbs=1"));
    assert_eq!(left(2, 200), counts("bank=2 batch=0 cart=2 pet=1 blog=2 thumbs=0"));
    assert_eq!(left(3, 200), counts("bank=2 batch=0 cart=2 pet=1 blog=1 thumbs=0"));
    // In the end what may never yield is left: critical ones, a pet, one instance of what matters much.
    assert_eq!(left(50, 0), counts("bank=2 batch=0 cart=1 pet=1 blog=0 thumbs=0"));
}

#[test]
fn the_longer_it_lasts_the_more_yields_and_nothing_else_changes() {
    let mut before = left(0, 100);
    for looks in 1..30 {
        let now = left(looks, 100);
        assert!(now.iter().all(|(name, n)| *n <= before[name]), "{before:?}, then {now:?}");
        before = now;
    }
}

#[test]
fn what_has_yielded_comes_back_when_enough_was_free_for_a_while() {
    let (policy, mut pressure) = (Policy::default(), Pressure::default());
    let mut now = Timestamp(0);
    pressure.note(figures(100, 0), &policy, now);
    assert!(!pressure.is_over());
    // Neither short nor enough: it stays as it is.
    for _ in 0..100 {
        now = now.plus_ms(10_000);
        pressure.note(figures(500, 0), &policy, now);
    }
    assert!(!pressure.is_over());
    now = now.plus_ms(policy.relief_ms - 1);
    pressure.note(figures(4_000, 0), &policy, now);
    assert!(!pressure.is_over(), "not at once");
    pressure.note(figures(4_000, 0), &policy, now.plus_ms(1));
    assert!(pressure.is_over());
}

#[test]
fn for_want_of_processor_time_only_low_services_yield() {
    let (policy, mut pressure) = (Policy::default(), Pressure::default());
    let mut now = Timestamp(0);
    for _ in 0..1_000 {
        pressure.note(figures(4_000, 1_000), &policy, now);
        now = now.plus_ms(10_000);
    }
    let mut desired = desired();
    relieve(&mut desired, &pressure, &policy);
    let yields: BTreeSet<String> =
        desired.environments.values().flat_map(|e| e.yields.keys().map(ToString::to_string)).collect();
    assert_eq!(yields, ["batch", "thumbs"].map(str::to_owned).into());
    // A build that takes all processors for a minute is no reason.
    let mut short = Pressure::default();
    for second in 0..60 {
        short.note(figures(4_000, 1_000), &policy, Timestamp(second * 1_000));
    }
    assert!(short.is_over());
}

/// The world where everything is still to be started.
fn starts(desired: &Desired, policy: &Policy) -> (Vec<String>, Vec<String>) {
    let now = Timestamp(100_000);
    let mut memory = Memory::new(Timestamp(0));
    let networks = desired.environments.keys().map(network_name).collect();
    memory.engine_seen(desired, policy, Vec::new(), networks, now);
    let made = plan(desired, &memory.world(), policy, now);
    let name = |action: &Action| match action {
        Action::Start { key, .. } => Some(format!("{}.{}", key.service, key.slot)),
        _ => None,
    };
    let alarms = made.report.environments.into_values().flat_map(|e| e.alarms).collect();
    (made.actions.iter().filter_map(name).collect(), alarms)
}

#[test]
fn what_matters_more_starts_first_on_the_whole_node() {
    let policy = Policy::default();
    let (order, _) = starts(&desired(), &policy);
    // Four of each environment may start at a time.
    assert_eq!(order, ["bank.1", "bank.2", "cart.1", "cart.2", "blog.1", "blog.2", "thumbs.1"]);
}

#[test]
fn the_report_says_who_yields_and_why() {
    let (policy, mut pressure) = (Policy::default(), Pressure::default());
    pressure.note(figures(200, 0), &policy, Timestamp(0));
    let mut desired = desired();
    relieve(&mut desired, &pressure, &policy);
    let (_, alarms) = starts(&desired, &policy);
    let expected = "batch: 0 of 2 instances run, because the machine is short of memory (200 of 8192 MiB are free) \
                    and other services matter more";
    assert_eq!(alarms, [expected]);
}
