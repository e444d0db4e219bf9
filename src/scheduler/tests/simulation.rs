//! The seeded simulation. `WHARF_SIM_SEED=n` replays one seed with its trace; `WHARF_SIM_SEEDS=n` runs more.

use super::fixtures::service;
use super::properties::{targets_end_in_time, world_is_as_wanted};
use super::sim::Sim;
use super::world::Behaviour;
use crate::scheduler::model::Wanted;
use crate::scheduler::policy::Bug;
use crate::stack::ServiceKind;

/// Steps with faults and edits, and the most steps a quiet world may need to come to rest.
const STORMY_STEPS: usize = 120;
const QUIET_STEPS: usize = 700;
const QUIET_STEP_MS: i64 = 500;
/// Steps for which a world at rest must stay so.
const STILL_STEPS: usize = 10;

/// One whole life: a storm, then quiet.
fn live(seed: u64, bug: Option<Bug>) -> (Sim, Result<(), String>) {
    let faults = !seed.is_multiple_of(4);
    let mut sim = Sim::new(seed, faults, bug);
    let environments = 1 + u32::try_from(seed % 3).expect("small");
    (0..environments).for_each(|n| sim.add_environment(n));
    let result = storm_and_calm(&mut sim);
    (sim, result)
}

fn storm_and_calm(sim: &mut Sim) -> Result<(), String> {
    for step in 0..STORMY_STEPS {
        let ms = sim.rng.between(20, 900);
        let _ = sim.step(ms, true).map_err(|e| format!("step {step}: {e}"))?;
        targets_end_in_time(sim).map_err(|e| format!("step {step}: {e}"))?;
    }
    sim.mend();
    let mut still = 0;
    for step in 0..QUIET_STEPS {
        if std::mem::take(&mut sim.alarmed) {
            sim.forgive();
        }
        let plan = sim.step(QUIET_STEP_MS, false).map_err(|e| format!("quiet step {step}: {e}"))?;
        targets_end_in_time(sim).map_err(|e| format!("quiet step {step}: {e}"))?;
        let sees = plan.report.blind.is_none();
        let settled = sees && plan.actions.is_empty() && plan.report.environments.values().all(|e| e.settled);
        still = if settled { still + 1 } else { 0 };
        if still == STILL_STEPS {
            return world_is_as_wanted(sim);
        }
    }
    let waits: Vec<_> =
        sim.step(QUIET_STEP_MS, false)?.report.environments.into_values().map(|e| e.summary()).collect();
    Err(format!("not at rest after {QUIET_STEPS} quiet steps: {waits:?}"))
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    match (number("WHARF_SIM_SEED"), number("WHARF_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(default),
    }
}

#[test]
fn thousands_of_lives_keep_every_property() {
    let range = seeds(2_000);
    let single = range.end - range.start == 1;
    for seed in range {
        let (sim, result) = live(seed, None);
        if single {
            sim.trace.iter().for_each(|line| eprintln!("{line}"));
        }
        if let Err(broken) = result {
            let tail: Vec<_> = sim.trace.iter().rev().take(25).rev().cloned().collect();
            panic!("seed {seed}: {broken}\nlast events:\n{}\nreplay with WHARF_SIM_SEED={seed}", tail.join("\n"));
        }
    }
}

#[test]
fn equal_seeds_give_equal_traces() {
    for seed in 0..20 {
        let (first, _) = live(seed, None);
        let (second, _) = live(seed, None);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// What must hold, and faults in the planner that break it.
const INVARIANTS: [(&str, &[Bug]); 10] = [
    ("it converges once faults stop", &[Bug::ForgetCrashed]),
    ("never two writers", &[Bug::TwoWriters]),
    ("never below the minimum of healthy instances", &[Bug::BelowMinimum]),
    ("the old release serves until the new one passed", &[Bug::RetireServingEarly, Bug::ServeTooEarly]),
    ("requests reach only what has passed, and end before it stops", &[Bug::RouteUnproven, Bug::StopWithoutDrain]),
    ("targets end by their deadline", &[Bug::NeverFail]),
    ("no orphans", &[Bug::LeaveOrphans]),
    ("services start and stop in order", &[Bug::IgnoreOrder]),
    ("no quota is passed", &[Bug::IgnoreQuota]),
    ("tenants do not touch, and yield in order", &[Bug::MixTenants, Bug::YieldTheWrongWay]),
];

#[test]
fn a_fault_planted_against_each_invariant_is_found() {
    for (invariant, bugs) in INVARIANTS {
        for bug in bugs {
            let found = (0..400).find_map(|seed| live(seed, Some(*bug)).1.err().map(|e| (seed, e)));
            let (seed, text) = found.unwrap_or_else(|| panic!("{invariant}: {bug:?} is not found"));
            eprintln!("{invariant}: {bug:?} is found by seed {seed}: {}", text.chars().take(100).collect::<String>());
        }
    }
}

#[test]
fn without_faults_good_targets_serve_and_bad_ones_fail_with_their_reason() {
    let cases = [
        (Behaviour::Good { listens_after: 1_000 }, None),
        (Behaviour::ExitsAtOnce { after: 100 }, Some("web.1 exited with code 3 twice in a row")),
        (Behaviour::OutOfMemory { after: 100 }, Some("killed for using more than its 512 MiB of memory")),
        (Behaviour::NeverListens, Some("did not become healthy within 20 s: it does not accept connections")),
        (Behaviour::Misplaced, Some("listens on 127.0.0.1:3000, expected 0.0.0.0:8080")),
        (Behaviour::StartFails, Some("could not be started: no such file")),
        (Behaviour::ImageMissing, Some("its image is missing")),
    ];
    for (behaviour, reason) in cases {
        let mut sim = Sim::new(7, false, None);
        sim.add_environment(0);
        let id = sim.environments.keys().next().cloned().expect("one");
        let old = service(ServiceKind::Web, 1);
        sim.deploy(&id, vec![("web", old, Behaviour::Good { listens_after: 50 })]);
        while sim.environments[&id].target.is_some() {
            let _ = sim.step(100, false).expect("no property is broken");
        }
        sim.deploy(&id, vec![("web", service(ServiceKind::Web, 2), behaviour)]);
        let since = sim.world.now;
        while sim.environments[&id].target.is_some() {
            let _ = sim.step(100, false).expect("no property is broken");
        }
        let took = sim.world.now.since_ms(since);
        let e = &sim.environments[&id];
        let (version, said) = e.outcomes.last().expect("it ended");
        assert_eq!(version.revision, 2);
        match reason {
            None => assert_eq!((said, e.serving.map(|v| v.revision)), (&None, Some(2))),
            Some(reason) => {
                let said = said.as_ref().expect("it failed");
                assert!(said.contains(reason), "{behaviour:?}: {said}");
                assert_eq!(e.serving.map(|v| v.revision), Some(1), "the old release goes on");
                assert!(took < 25_000, "{behaviour:?} took {took} ms");
            }
        }
        assert_eq!(e.wanted, Wanted::Run);
    }
}
