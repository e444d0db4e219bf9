//! Jobs and workflows: what runs to its end, on a schedule or on request.
//!
//! The way through the room: [`program`] makes of a revision's stack what a run carries out; [`timetable`] and [`due`]
//! say which runs a schedule owes and what becomes of one whose predecessor is still under way; [`plan`] is the state
//! machine of a run. All of these are pure. [`store`] keeps runs and attempts, `task` is the loop that reads (`places`),
//! decides and writes (`calendar`: what schedules owe), `flight` carries one container (`container`) from its start to
//! its end, and [`handle`] is what other rooms hold.
//!
//! A job is a workflow of one step. A run has an operation of the same id, which holds its log and keeps the scheduler
//! from taking its containers for leftovers. Its whole state is its program and its attempts; an attempt is written down
//! before its container is made, and the container's name follows from it. So after a `kill -9` the next control plane
//! finds each container again, and makes none twice.
//!
//! Invariants: a moment of a schedule has at most one run, and what must run alone has one under way (unique indexes of
//! the schema hold both); a step never begins before what it needs has ended; each container is started once; every run
//! ends by its deadline, and a minute later even when the engine does not answer; nothing of a run is left when it ends.
//!
//! To add one more trigger of runs: a variant of [`model::Trigger`], and a call of `Jobs::enter`. To add one more
//! condition of steps: its field in [`model::Step`], its rule in [`plan`], and what the simulation in `tests` knows of it.

mod calendar;
mod container;
pub mod due;
mod flight;
pub mod handle;
pub mod model;
mod places;
pub mod plan;
pub mod program;
pub mod store;
mod task;
pub mod timetable;

pub(crate) use container::run_of as run_of_volume;
pub use handle::{Jobs, JobsParts, Listed, StartError};
pub use model::{Definition, Kind, Run, RunState, Subject, Trigger};

#[cfg(test)]
mod tests;
