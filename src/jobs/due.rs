//! Which runs of the schedules are due. Pure.

use super::model::{Definition, Run, RunState, Trigger};
use super::timetable::Timetable;
use crate::kernel::clock::Timestamp;
use crate::stack::model::{Misfire, Overlap};

/// A run begins in time when it begins so soon after its moment: a restart of the platform is shorter.
pub const IN_TIME_MS: i64 = 60_000;

/// A moment of a schedule that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A run belongs to it.
    Run { moment: Timestamp, trigger: Trigger },
    /// It passed unseen, and is not made up for.
    Missed { moment: Timestamp },
}

/// What has come since `seen`: up to then all moments were dealt with. At most one run, however many have passed.
#[must_use]
pub fn due(timetable: &Timetable, misfire: Misfire, seen: Timestamp, now: Timestamp) -> Option<Due> {
    let moment = timetable.last(seen, now)?;
    Some(match misfire {
        _ if now.since_ms(moment) <= IN_TIME_MS => Due::Run { moment, trigger: Trigger::Schedule },
        Misfire::Once => Due::Run { moment, trigger: Trigger::CatchUp },
        Misfire::Skip => Due::Missed { moment },
    })
}

/// What becomes of a run that is asked for, or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It begins.
    Begin,
    /// It waits until the others have ended; those that are named are told to.
    Wait { replace: Vec<crate::kernel::id::OperationId> },
    /// It is left out, for this reason.
    Refuse { reason: String },
}

/// Judges a run by the others of the same job or workflow that have not ended, in the order of their numbers.
/// `number` is its own; those that came after it do not matter to it, but to replace it.
#[must_use]
pub fn admit(overlap: Overlap, others: &[Run], number: i64) -> Admission {
    let open: Vec<&Run> = others.iter().filter(|r| r.number != number && !r.state.is_final()).collect();
    let earlier: Vec<&&Run> = open.iter().filter(|r| r.number < number || r.state == RunState::Running).collect();
    let Some(first) = earlier.first() else { return Admission::Begin };
    match overlap {
        Overlap::Allow => Admission::Begin,
        Overlap::Skip => {
            Admission::Refuse { reason: format!("run {} was still under way when its time came", first.number) }
        }
        Overlap::Replace => {
            let replace = earlier.iter().filter(|r| r.cancelled_by.is_none()).map(|r| r.id.clone()).collect();
            Admission::Wait { replace }
        }
    }
}

impl Definition {
    /// Its table, when it has a schedule that can be read.
    ///
    /// # Errors
    /// What cannot be read, in a sentence.
    pub fn timetable(&self) -> Option<Result<Timetable, String>> {
        self.schedule.as_ref().map(Timetable::new)
    }
}
