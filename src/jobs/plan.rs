//! The state machine of a run: from what a run is and has done to what is to be done now. Pure.
//!
//! The whole state is the program and the attempts made so far; all else follows from them, so a control plane that
//! begins anew knows as much as the one that died.

use std::collections::BTreeMap;

use super::model::{Attempt, AttemptState, Program, Run, RunState, Step, StopCause};
use super::program::back_off_ms;
use crate::kernel::clock::Timestamp;
use crate::stack::model::StepTrigger;

/// Containers of one run at the same time.
pub const MOST_AT_ONCE: usize = 16;
/// A container that was told to stop has so long before its attempt is given up; the engine then removes it when it
/// answers again.
pub const STOP_MS: i64 = 60_000;
/// Pause before a container that was told to stop is looked at again.
const STOP_AGAIN_MS: i64 = 1_000;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes a container for the step.
    Start { serial: u32, step: String, item: u32, number: u32 },
    /// Stops one.
    Stop { serial: u32, cause: StopCause },
    /// Counts it as ended though nobody saw its end.
    GiveUp { serial: u32 },
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Steps it needs have not ended.
    Waiting,
    Running,
    /// The next try begins then.
    Retrying {
        at: Timestamp,
    },
    Succeeded,
    /// Why, in one sentence.
    Failed {
        reason: String,
    },
    /// Why, in one sentence; `missing` when that is the failure of another step.
    Skipped {
        reason: String,
        missing: bool,
    },
    Cancelled,
}

impl Standing {
    /// Whether it has ended, or will never begin.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Retrying { .. })
    }

    /// The word for people and programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying { .. } => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// What there is to say about it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason } | Self::Skipped { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// What a look at a run says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    pub actions: Vec<Action>,
    pub standings: BTreeMap<String, Standing>,
    /// How it ended, when it has.
    pub outcome: Option<(RunState, String)>,
    /// When time alone changes something.
    pub wake_at: Option<Timestamp>,
}

/// Why nothing new begins any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Cancelled,
    Deadline,
}

/// What is to be done for a run that is under way. `room` is how many containers more the platform can have now.
pub fn decide(run: &Run, attempts: &[Attempt], now: Timestamp, room: usize) -> Decision {
    let over = match (&run.cancelled_by, now >= run.deadline()) {
        (Some(_), _) => Some(Over::Cancelled),
        (None, true) => Some(Over::Deadline),
        (None, false) => None,
    };
    let mut look = Look { program: &run.program, attempts, now, over, standings: BTreeMap::new() };
    for name in run.program.steps.keys() {
        look.standing(name);
    }
    let mut decision = Decision { actions: Vec::new(), standings: BTreeMap::new(), outcome: None, wake_at: None };
    stop(run, &look, &mut decision);
    if over.is_none() {
        start(run, &look, room, &mut decision);
        wake(Some(run.deadline()), &mut decision);
    }
    if attempts.iter().all(|a| !a.state.is_live()) && look.standings.values().all(Standing::is_final) {
        decision.outcome = Some(outcome(run, &look.standings, over));
        decision.wake_at = None;
    }
    decision.standings = look.standings;
    decision
}

fn wake(at: Option<Timestamp>, decision: &mut Decision) {
    decision.wake_at = [decision.wake_at, at].into_iter().flatten().min();
}

struct Look<'a> {
    program: &'a Program,
    attempts: &'a [Attempt],
    now: Timestamp,
    over: Option<Over>,
    standings: BTreeMap<String, Standing>,
}

/// One container's worth of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    /// Nothing was tried yet.
    Fresh,
    Live,
    /// May be tried again from then on; so many tries failed.
    Retry {
        at: Timestamp,
        failed: u32,
    },
    Done,
    Lost {
        reason: String,
    },
    Cancelled,
}

impl<'a> Look<'a> {
    fn of<'b>(&'b self, step: &'b str, item: u32) -> impl Iterator<Item = &'a Attempt> + 'b {
        self.attempts.iter().filter(move |a| a.step == step && a.item == item)
    }

    fn cell(&self, name: &str, step: &Step, item: u32) -> Cell {
        let Some(last) = self.of(name, item).max_by_key(|a| a.number) else {
            return if self.over.is_some() { Cell::Cancelled } else { Cell::Fresh };
        };
        match last.state {
            AttemptState::Starting | AttemptState::Running => Cell::Live,
            AttemptState::Succeeded => Cell::Done,
            AttemptState::Cancelled => Cell::Cancelled,
            AttemptState::Failed if last.number <= step.retry.attempts && self.over.is_none() => {
                let ended = last.ended_at.unwrap_or(last.created_at);
                Cell::Retry { at: ended.plus_ms(back_off_ms(step.retry, last.number)), failed: last.number }
            }
            AttemptState::Failed => Cell::Lost { reason: last.reason.clone().unwrap_or_default() },
        }
    }

    fn cells(&self, name: &str, step: &Step) -> Vec<Cell> {
        (0..step.width()).map(|item| self.cell(name, step, item)).collect()
    }

    /// Where a step stands; looks at what it needs first. Manifests with circles are refused, so this ends.
    fn standing(&mut self, name: &str) -> Standing {
        if let Some(known) = self.standings.get(name) {
            return known.clone();
        }
        let standing = match self.program.steps.get(name) {
            Some(step) if self.attempts.iter().any(|a| a.step == name) => self.begun(name, step),
            Some(step) => self.not_begun(step),
            // Needs of steps that are not there are refused by the manifest.
            None => Standing::Skipped { reason: "there is no such step".to_owned(), missing: true },
        };
        self.standings.insert(name.to_owned(), standing.clone());
        standing
    }

    fn begun(&self, name: &str, step: &Step) -> Standing {
        let cells = self.cells(name, step);
        if cells.contains(&Cell::Live) {
            return Standing::Running;
        }
        // One that has failed for good lets its siblings come to their end.
        let retry = cells.iter().filter_map(|c| if let Cell::Retry { at, .. } = c { Some(*at) } else { None }).min();
        if cells.contains(&Cell::Fresh) || retry.is_some_and(|at| at <= self.now) {
            return Standing::Running;
        }
        if let Some(at) = retry {
            return Standing::Retrying { at };
        }
        let lost = cells.iter().position(|c| matches!(c, Cell::Lost { .. }));
        if let Some(at) = lost
            && let Cell::Lost { reason } = &cells[at]
        {
            let item = step.items.get(at).map(|i| format!("`{i}`: ")).unwrap_or_default();
            return Standing::Failed { reason: format!("{item}{reason}") };
        }
        if cells.contains(&Cell::Cancelled) { Standing::Cancelled } else { Standing::Succeeded }
    }

    fn not_begun(&mut self, step: &'a Step) -> Standing {
        let needs: Vec<(&String, Standing)> = step.needs.iter().map(|n| (n, self.standing(n))).collect();
        match self.over {
            Some(Over::Cancelled) => return Standing::Cancelled,
            Some(Over::Deadline) => {
                let reason = "the run had no time left".to_owned();
                return Standing::Skipped { reason, missing: true };
            }
            None => {}
        }
        if needs.iter().any(|(_, s)| !s.is_final()) {
            return Standing::Waiting;
        }
        let failed = needs.iter().find(|(name, s)| self.is_missed(name, s)).map(|(name, _)| name.as_str());
        let skip = |reason: String, missing: bool| Standing::Skipped { reason, missing };
        match (step.trigger, failed) {
            (StepTrigger::OnSuccess, Some(name)) => return skip(format!("`{name}` did not succeed"), true),
            (StepTrigger::OnFailure, None) => return skip("nothing failed".to_owned(), false),
            _ => {}
        }
        match &step.condition {
            Some(c) => {
                let value = self.program.parameters.get(c.parameter.as_str()).map_or("", String::as_str);
                if (value == c.value) == c.differs {
                    let name = c.parameter.as_str();
                    return skip(format!("{name} is `{value}`"), false);
                }
                Standing::Waiting
            }
            None => Standing::Waiting,
        }
    }

    /// Whether a step that is needed did not do its work.
    fn is_missed(&self, name: &str, standing: &Standing) -> bool {
        match standing {
            Standing::Failed { .. } => !self.program.steps.get(name).is_some_and(|s| s.allow_failure),
            Standing::Skipped { missing, .. } => *missing,
            Standing::Cancelled => true,
            _ => false,
        }
    }

    /// Whether a step that has not begun may.
    fn is_ready(&self, step: &Step) -> bool {
        step.needs.iter().all(|n| self.standings.get(n).is_some_and(Standing::is_final))
    }
}

/// Stops what is past its time, or not wanted any more.
fn stop(run: &Run, look: &Look<'_>, decision: &mut Decision) {
    for attempt in look.attempts.iter().filter(|a| a.state.is_live()) {
        let Some(step) = run.program.steps.get(&attempt.step) else { continue };
        if let Some(asked) = attempt.stop {
            // While the run may go on, a next try must not begin beside this one.
            decision.actions.push(match look.over.is_some() && look.now >= asked.at.plus_ms(STOP_MS) {
                true => Action::GiveUp { serial: attempt.serial },
                false => Action::Stop { serial: attempt.serial, cause: asked.cause },
            });
            wake(Some(look.now.plus_ms(STOP_AGAIN_MS)), decision);
            continue;
        }
        let late = attempt.created_at.plus_secs(step.deadline_seconds.into());
        let cause = match look.over {
            Some(Over::Cancelled) => StopCause::Cancelled,
            Some(Over::Deadline) => StopCause::RunDeadline,
            None if look.now >= late => StopCause::StepDeadline,
            None => {
                wake(Some(late), decision);
                continue;
            }
        };
        decision.actions.push(Action::Stop { serial: attempt.serial, cause });
        wake(Some(look.now.plus_ms(STOP_AGAIN_MS)), decision);
    }
}

/// Starts what may begin, in the order of the steps' names and items.
fn start(run: &Run, look: &Look<'_>, room: usize, decision: &mut Decision) {
    let live = look.attempts.iter().filter(|a| a.state.is_live()).count();
    let mut room = room.min(MOST_AT_ONCE.saturating_sub(live));
    let mut serial = look.attempts.iter().map(|a| a.serial).max().unwrap_or(0);
    for (name, step) in &run.program.steps {
        let standing = &look.standings[name];
        let begun = look.attempts.iter().any(|a| a.step == *name);
        let may = match standing {
            Standing::Waiting => !begun && look.is_ready(step),
            Standing::Running | Standing::Retrying { .. } => true,
            _ => false,
        };
        if !may {
            continue;
        }
        let of_step = look.attempts.iter().filter(|a| a.step == *name && a.state.is_live()).count();
        let mut places = (step.parallelism as usize).saturating_sub(of_step);
        for item in 0..step.width() {
            let number = match look.cell(name, step, item) {
                Cell::Fresh => 1,
                Cell::Retry { at, failed } if at <= look.now => failed + 1,
                Cell::Retry { at, .. } => {
                    wake(Some(at), decision);
                    continue;
                }
                _ => continue,
            };
            if places == 0 || room == 0 {
                continue;
            }
            (places, room, serial) = (places - 1, room - 1, serial + 1);
            decision.actions.push(Action::Start { serial, step: name.clone(), item, number });
        }
    }
}

fn outcome(run: &Run, standings: &BTreeMap<String, Standing>, over: Option<Over>) -> (RunState, String) {
    let failed = standings.iter().find_map(|(name, s)| match s {
        Standing::Failed { reason } if !run.program.steps.get(name).is_some_and(|s| s.allow_failure) => {
            Some(if run.program.steps.len() == 1 { reason.clone() } else { format!("step `{name}`: {reason}") })
        }
        _ => None,
    });
    let unfinished =
        standings.values().any(|s| matches!(s, Standing::Cancelled | Standing::Skipped { missing: true, .. }));
    match (over, failed) {
        (Some(Over::Cancelled), _) if unfinished => {
            let by = run.cancelled_by.as_deref().unwrap_or("somebody");
            (RunState::Cancelled, format!("cancelled by {by}"))
        }
        (Some(Over::Deadline), _) if unfinished => {
            let seconds = run.program.deadline_seconds;
            (RunState::Failed, format!("it was not done within its {seconds} s"))
        }
        (_, Some(reason)) => (RunState::Failed, reason),
        _ => (RunState::Succeeded, "done".to_owned()),
    }
}

/// Why an attempt that was stopped has not succeeded, and what it counts as.
#[must_use]
pub fn stopped(cause: StopCause, step: &Step, run: &Run) -> (AttemptState, String) {
    match cause {
        StopCause::StepDeadline => {
            (AttemptState::Failed, format!("took longer than its {} s and was stopped", step.deadline_seconds))
        }
        StopCause::RunDeadline => (
            AttemptState::Failed,
            format!("was stopped, because the run took longer than its {} s", run.program.deadline_seconds),
        ),
        StopCause::Cancelled => (AttemptState::Cancelled, "was stopped, because the run was cancelled".to_owned()),
    }
}
