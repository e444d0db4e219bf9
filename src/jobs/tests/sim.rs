//! A deterministic simulation: schedules, runs and containers over a control plane that dies between any two of its
//! writes and calls, and an engine that is away at times, loses answers, and starts what it was told though nobody heard
//! so. Judged by what truly runs, not by what is written down.

use std::collections::{BTreeMap, BTreeSet};

use super::{START, program, run as fresh_run, step};
use crate::jobs::due::{Admission, Due, admit, due};
use crate::jobs::model::{Attempt, AttemptState, Program, Run, RunState, Step, Stop, StopCause, Trigger};
use crate::jobs::plan::{Action, STOP_MS, decide, stopped};
use crate::jobs::timetable::Timetable;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::OperationId;
use crate::kernel::random::Random;
use crate::stack::model::{Misfire, Overlap, Retry, Schedule, StepTrigger};

/// Seeds of one test run; more with `WHARF_SIM_SEEDS`.
const SEEDS: u64 = 2_000;
/// Steps with faults, then as many seconds without them as a run may take.
const STEPS: u32 = 400;

type Key = (OperationId, u32);

/// What truly is in the engine.
struct Container {
    step: String,
    item: u32,
    number: i64,
    ends_at: Timestamp,
    code: i64,
    ended: Option<i64>,
}

/// What a crash takes away.
struct Flight {
    known: bool,
    stop: Option<StopCause>,
}

struct Died;

struct Sim {
    rng: u64,
    now: Timestamp,
    random: Random,
    overlap: Overlap,
    misfire: Misfire,
    table: Timetable,
    program: Program,
    // Rows.
    seen: Timestamp,
    runs: Vec<Run>,
    attempts: BTreeMap<OperationId, Vec<Attempt>>,
    loose: BTreeSet<Key>,
    // The world.
    engine: BTreeMap<Key, Container>,
    started: BTreeMap<Key, u32>,
    engine_is_up: bool,
    // Memory.
    flights: BTreeMap<Key, Flight>,
    /// Deaths of a thousand chances.
    danger: u64,
    planted: Option<Bug>,
}

/// Mistakes of a control plane that the properties must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Starts first and writes it down afterwards.
    StartBeforeWriting,
    /// Takes a container that is not seen for one that was never made.
    MakeAnew,
    /// Lets runs begin without looking at the others.
    NoAdmission,
    /// Begins steps without looking at what they need.
    IgnoreNeeds,
    /// Waits for the end of a stopped container for ever.
    WaitForEver,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let mut sim = Self {
            rng: seed,
            now: START,
            random,
            overlap: Overlap::Skip,
            misfire: Misfire::Skip,
            table: Timetable::new(&Schedule { cron: "*/5 * * * *".into(), zone: "UTC".into() }).unwrap(),
            program: Program::default(),
            seen: START,
            runs: Vec::new(),
            attempts: BTreeMap::new(),
            loose: BTreeSet::new(),
            engine: BTreeMap::new(),
            started: BTreeMap::new(),
            engine_is_up: true,
            flights: BTreeMap::new(),
            danger: 15,
            planted: None,
        };
        sim.overlap = [Overlap::Skip, Overlap::Replace, Overlap::Allow][sim.below(3) as usize];
        sim.misfire = [Misfire::Skip, Misfire::Once][sim.below(2) as usize];
        sim.program = sim.any_program();
        sim
    }

    fn next(&mut self) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn any_program(&mut self) -> Program {
        let names = ["a", "b", "c", "d", "e"];
        let mut program = program([]);
        for (at, name) in names.iter().enumerate().take(1 + self.below(5) as usize) {
            let needs: Vec<&str> = names[..at].iter().copied().filter(|_| self.below(3) == 0).collect();
            let items = (0..self.below(4)).map(|n| n.to_string()).collect();
            let triggers = [StepTrigger::OnSuccess, StepTrigger::OnFailure, StepTrigger::Always];
            let trigger = if needs.is_empty() { StepTrigger::OnSuccess } else { triggers[self.below(3) as usize] };
            let retry = Retry { attempts: self.below(3) as u32, delay_seconds: self.below(20) as u32 };
            let drawn = Step {
                items,
                trigger,
                retry,
                parallelism: 1 + self.below(3) as u32,
                deadline_seconds: 20 + self.below(200) as u32,
                allow_failure: self.below(4) == 0,
                ..step(&needs)
            };
            program.steps.insert((*name).to_owned(), drawn);
        }
        program.deadline_seconds = 60 + self.below(600) as u32;
        program
    }

    /// A chance to die: before each write and each call.
    fn survive(&mut self) -> Result<(), Died> {
        if self.below(1_000) < self.danger { Err(Died) } else { Ok(()) }
    }

    fn advance(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        for container in self.engine.values_mut().filter(|c| c.ended.is_none() && c.ends_at <= self.now) {
            container.ended = Some(container.code);
        }
    }

    fn admission(&self, number: i64) -> Admission {
        if self.planted == Some(Bug::NoAdmission) { Admission::Begin } else { admit(self.overlap, &self.runs, number) }
    }

    /// A pass of the loop, as `task` makes it.
    fn pass(&mut self) -> Result<(), Died> {
        if let Some(owed) = due(&self.table, self.misfire, self.seen, self.now) {
            self.survive()?;
            self.seen = self.now;
            if let Due::Run { moment, trigger } = owed {
                self.enter(trigger, Some(moment));
            }
        }
        for at in 0..self.runs.len() {
            if self.runs[at].state == RunState::Waiting {
                self.survive()?;
                let run = &self.runs[at];
                let earlier = |r: &Run| r.state == RunState::Running || (!r.state.is_final() && r.number < run.number);
                let free = !self.runs.iter().any(|r| r.id != run.id && earlier(r));
                let state = match (&run.cancelled_by, self.now >= run.deadline()) {
                    (Some(_), _) => RunState::Cancelled,
                    (None, true) => RunState::Failed,
                    (None, false) if free => RunState::Running,
                    (None, false) => continue,
                };
                self.set(at, state);
            }
        }
        for at in 0..self.runs.len() {
            if self.runs[at].state == RunState::Running {
                self.carry_on(at)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, at: usize, state: RunState) {
        let now = self.now;
        let run = &mut self.runs[at];
        run.state = state;
        if state.is_final() {
            run.finished_at = Some(now);
        }
    }

    fn enter(&mut self, trigger: Trigger, moment: Option<Timestamp>) {
        let number = self.runs.len() as i64 + 1;
        let state = match self.admission(number) {
            Admission::Begin => RunState::Running,
            Admission::Wait { replace } => {
                for run in self.runs.iter_mut().filter(|r| replace.contains(&r.id)) {
                    run.cancelled_by = Some("its successor".to_owned());
                }
                RunState::Waiting
            }
            Admission::Refuse { .. } => RunState::Skipped,
        };
        let alone = self.overlap != Overlap::Allow;
        let base = fresh_run(number, self.program.clone(), &self.random);
        let finished_at = state.is_final().then_some(self.now);
        let run = Run { trigger, scheduled_for: moment, state, alone, created_at: self.now, finished_at, ..base };
        self.attempts.insert(run.id.clone(), Vec::new());
        self.runs.push(run);
    }

    fn carry_on(&mut self, at: usize) -> Result<(), Died> {
        let mut run = self.runs[at].clone();
        if self.planted == Some(Bug::IgnoreNeeds) {
            run.program.steps.values_mut().for_each(|s| s.needs.clear());
        }
        let attempts = self.attempts[&run.id].clone();
        let decision = decide(&run, &attempts, self.now, 64);
        if let Some((state, _)) = decision.outcome {
            self.survive()?;
            self.set(at, state);
            return Ok(());
        }
        self.survive()?;
        if self.planted == Some(Bug::StartBeforeWriting) {
            for action in &decision.actions {
                if let Action::Start { serial, step, item, .. } = action {
                    self.start((run.id.clone(), *serial), step, *item, &run);
                    self.survive()?;
                }
            }
        }
        for action in &decision.actions {
            self.write_down(&run, action);
        }
        self.survive()?;
        for attempt in self.attempts[&run.id].clone().iter().filter(|a| a.state.is_live()) {
            let known = attempt.state == AttemptState::Running;
            let flight = self.flights.entry((run.id.clone(), attempt.serial)).or_insert(Flight { known, stop: None });
            flight.stop = flight.stop.or(attempt.stop.map(|s| s.cause));
        }
        Ok(())
    }

    fn write_down(&mut self, run: &Run, action: &Action) {
        let now = self.now;
        let rows = self.attempts.get_mut(&run.id).expect("it has rows");
        match action {
            Action::Start { serial, step, item, number } => {
                let row = super::attempt(*serial, step, *item, *number, AttemptState::Starting);
                rows.push(Attempt { created_at: now, ..row });
            }
            Action::Stop { serial, cause } => {
                let row = rows.iter_mut().find(|a| a.serial == *serial).expect("a known attempt");
                row.stop.get_or_insert(Stop { cause: *cause, at: now });
            }
            Action::GiveUp { .. } if self.planted == Some(Bug::WaitForEver) => {}
            Action::GiveUp { serial } => {
                let row = rows.iter_mut().find(|a| a.serial == *serial).expect("a known attempt");
                (row.state, row.ended_at) = (AttemptState::Failed, Some(now));
                self.loose.insert((run.id.clone(), *serial));
                self.flights.remove(&(run.id.clone(), *serial));
            }
        }
    }

    /// The engine's idempotent start: a name is made once, and what has ended is not run again.
    fn start(&mut self, key: Key, step: &str, item: u32, run: &Run) {
        if self.engine.contains_key(&key) {
            return;
        }
        let (lasts, code) = (self.below(90_000) as i64, if self.below(3) == 0 { 1 } else { 0 });
        *self.started.entry(key.clone()).or_default() += 1;
        let ends_at = if self.below(8) == 0 { Timestamp(i64::MAX) } else { self.now.plus_ms(lasts) };
        let container = Container { step: step.to_owned(), item, number: run.number, ends_at, code, ended: None };
        self.engine.insert(key, container);
    }

    /// Brings one container that is followed a step further, as `flight` does.
    fn fly(&mut self, key: &Key) -> Result<(), Died> {
        let Some(run) = self.runs.iter().find(|r| r.id == key.0).cloned() else { return Ok(()) };
        let Some(row) = self.attempts[&key.0].iter().find(|a| a.serial == key.1).cloned() else { return Ok(()) };
        if !row.state.is_live() {
            self.flights.remove(key);
            return Ok(());
        }
        if !self.engine_is_up {
            return Ok(());
        }
        let stop = self.flights[key].stop;
        let Some(container) = self.engine.get(key) else {
            let anew = self.planted == Some(Bug::MakeAnew);
            if row.state == AttemptState::Running && !anew {
                return self.land(key, &run, AttemptState::Failed);
            }
            if let Some(cause) = stop {
                let (state, _) = stopped(cause, &run.program.steps[&row.step], &run);
                return self.land(key, &run, state);
            }
            if run.alone {
                for loose in std::mem::take(&mut self.loose) {
                    self.engine.remove(&loose);
                }
            }
            self.survive()?;
            self.start(key.clone(), &row.step, row.item, &run);
            // The answer may be lost, with the control plane or without it.
            self.survive()?;
            return Ok(());
        };
        let (ended, code) = (container.ended, container.code);
        if row.state == AttemptState::Starting {
            self.survive()?;
            let rows = self.attempts.get_mut(&key.0).expect("it has rows");
            rows.iter_mut().find(|a| a.serial == key.1).expect("a known attempt").state = AttemptState::Running;
            self.flights.get_mut(key).expect("it flies").known = true;
            return Ok(());
        }
        match (ended, stop) {
            (None, Some(_)) => {
                self.survive()?;
                self.engine.get_mut(key).expect("it is there").ended = Some(143);
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), Some(cause)) => {
                let (state, _) = stopped(cause, &run.program.steps[&row.step], &run);
                self.land(key, &run, state)
            }
            (Some(_), None) => {
                self.land(key, &run, if code == 0 { AttemptState::Succeeded } else { AttemptState::Failed })
            }
        }
    }

    fn land(&mut self, key: &Key, run: &Run, state: AttemptState) -> Result<(), Died> {
        self.survive()?;
        let now = self.now;
        let rows = self.attempts.get_mut(&run.id).expect("it has rows");
        let row = rows.iter_mut().find(|a| a.serial == key.1).expect("a known attempt");
        if row.state.is_live() {
            (row.state, row.ended_at, row.reason) = (state, Some(now), Some("it ended".to_owned()));
        }
        self.flights.remove(key);
        self.survive()?;
        self.engine.remove(key);
        Ok(())
    }

    /// The scheduler's part: containers whose run has ended are leftovers.
    fn tidy(&mut self) {
        if self.engine_is_up {
            let over: BTreeSet<OperationId> =
                self.runs.iter().filter(|r| r.state.is_final()).map(|r| r.id.clone()).collect();
            self.engine.retain(|(run, _), _| !over.contains(run));
        }
    }

    fn one_step(&mut self, quiet: bool) {
        let what = self.below(100);
        let outcome = match what {
            0..=29 => {
                let ms = self.below(5_000) as i64;
                self.advance(ms);
                Ok(())
            }
            30..=59 => self.pass(),
            60..=89 => {
                let keys: Vec<Key> = self.flights.keys().cloned().collect();
                match keys.len() as u64 {
                    0 => Ok(()),
                    n => {
                        let at = self.below(n) as usize;
                        self.fly(&keys[at])
                    }
                }
            }
            90..=92 => {
                self.tidy();
                Ok(())
            }
            _ if quiet => Ok(()),
            93 => {
                self.engine_is_up = self.below(3) != 0;
                Ok(())
            }
            94 => {
                // The platform is down for a while.
                self.flights.clear();
                let ms = self.below(900_000) as i64;
                self.advance(ms);
                Ok(())
            }
            95 => {
                if let Some(run) = self.runs.iter_mut().filter(|r| !r.state.is_final()).last() {
                    run.cancelled_by.get_or_insert("ann".to_owned());
                }
                Ok(())
            }
            96 => {
                self.enter(Trigger::Manual, None);
                Ok(())
            }
            97 => {
                // Somebody removes a container. One that nobody knows to have been started would be started anew.
                let known = |(run, serial): &&Key| {
                    let is_it = |a: &Attempt| a.serial == *serial && a.state == AttemptState::Running;
                    self.attempts[run].iter().any(is_it)
                };
                if let Some(key) = self.engine.keys().find(known).cloned() {
                    self.engine.remove(&key);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if outcome.is_err() {
            self.flights.clear();
        }
    }

    fn check(&self) -> Result<(), String> {
        if let Some((key, n)) = self.started.iter().find(|(_, n)| **n > 1) {
            return Err(format!("container {} of {} was started {n} times", key.1, key.0));
        }
        let alive: Vec<(&Key, &Container)> = self.engine.iter().filter(|(_, c)| c.ended.is_none()).collect();
        let mut cells = BTreeSet::new();
        let mut flights = BTreeSet::new();
        for (key, container) in &alive {
            // What was given up waits for the scheduler, or for the next run of the same.
            let row = self.attempts[&key.0].iter().find(|a| a.serial == key.1);
            if !cells.insert((&key.0, &container.step, container.item)) {
                return Err(format!("step {} runs twice in run {}", container.step, container.number));
            }
            if self.overlap != Overlap::Allow {
                flights.insert(container.number);
            }
            if row.is_none() {
                return Err(format!("container {} of run {} is written down nowhere", key.1, container.number));
            }
        }
        if flights.len() > 1 {
            return Err(format!("runs {flights:?} are under way together"));
        }
        let under_way = self.runs.iter().filter(|r| r.alone && r.state == RunState::Running).count();
        if under_way > 1 {
            return Err(format!("{under_way} runs are under way together"));
        }
        let mut moments = BTreeSet::new();
        for run in &self.runs {
            if !run.scheduled_for.is_none_or(|m| moments.insert(m)) {
                return Err(format!("run {} is the second of its moment", run.number));
            }
            self.check_needs(run)?;
        }
        Ok(())
    }

    fn check_needs(&self, run: &Run) -> Result<(), String> {
        let rows = &self.attempts[&run.id];
        for row in rows {
            for need in &self.program.steps[&row.step].needs {
                let after = |a: &Attempt| a.ended_at.is_none_or(|end| end > row.created_at);
                if rows.iter().any(|a| a.step == *need && after(a)) {
                    return Err(format!("step {} began before {need}, which it needs, had ended", row.step));
                }
            }
        }
        Ok(())
    }

    /// Once faults stop: no run is left beyond its deadline, and nothing of ended runs is left in the engine.
    fn settle(&mut self) -> Result<(), String> {
        self.engine_is_up = true;
        self.danger = 0;
        let longest = i64::from(self.program.deadline_seconds) * 1_000 + STOP_MS;
        // No new ones, whatever the schedule says.
        self.seen = Timestamp(i64::MAX / 2);
        let end = self.now.plus_ms(2 * longest + 120_000);
        while self.now < end {
            self.advance(1_000);
            let _ = self.pass();
            for key in self.flights.keys().cloned().collect::<Vec<_>>() {
                for _ in 0..3 {
                    if self.flights.contains_key(&key) {
                        let _ = self.fly(&key);
                    }
                }
            }
            self.tidy();
            self.check()?;
            if self.engine.is_empty() && self.runs.iter().all(|r| r.state.is_final()) {
                break;
            }
        }
        if let Some(run) = self.runs.iter().find(|r| !r.state.is_final()) {
            return Err(format!("run {} has not ended: {:?}", run.number, self.attempts[&run.id]));
        }
        match self.engine.keys().next() {
            Some(key) => Err(format!("container {} of {} is left behind", key.1, key.0)),
            None => Ok(()),
        }
    }

    /// Nothing is said to go on a minute after its deadline, as soon as somebody looks.
    fn check_deadlines(&self) -> Result<(), String> {
        let late = |r: &&Run| {
            let live = self.attempts[&r.id].iter().any(|a| a.stop.is_some_and(|s| self.now < s.at.plus_ms(STOP_MS)));
            !r.state.is_final() && self.now > r.deadline().plus_ms(STOP_MS) && !live && r.state == RunState::Running
        };
        match self.runs.iter().find(late) {
            Some(run) if self.attempts[&run.id].iter().all(|a| !a.state.is_live() || a.stop.is_some()) => {
                let rows = &self.attempts[&run.id];
                Err(format!("run {} goes on after its deadline: {rows:?}", run.number))
            }
            _ => Ok(()),
        }
    }
}

fn simulate(seed: u64, planted: Option<Bug>) -> Result<usize, String> {
    let mut sim = Sim::new(seed);
    sim.planted = planted;
    for number in 0..STEPS {
        sim.one_step(false);
        sim.check().map_err(|e| format!("step {number}: {e}"))?;
        // With the engine away, time alone must end what is over.
        if number % 50 == 49 && sim.pass().is_ok() && sim.pass().is_ok() && sim.pass().is_ok() {
            sim.check_deadlines().map_err(|e| format!("step {number}: {e}"))?;
        }
    }
    sim.settle().map_err(|e| format!("at rest: {e}"))?;
    Ok(sim.runs.len())
}

#[test]
fn runs_keep_their_promises_whatever_dies_when() {
    let seeds = std::env::var("WHARF_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    let mut runs = 0;
    for seed in 0..seeds {
        runs += simulate(seed, None).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    assert!(runs as u64 > 3 * seeds, "the simulation does something: {runs} runs");
}

#[test]
fn a_planted_bug_of_each_kind_is_found() {
    for bug in [Bug::StartBeforeWriting, Bug::MakeAnew, Bug::NoAdmission, Bug::IgnoreNeeds, Bug::WaitForEver] {
        assert!((0..2_000).any(|seed| simulate(seed, Some(bug)).is_err()), "{bug:?} is not found");
    }
}
