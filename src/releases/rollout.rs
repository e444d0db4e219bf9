//! How far a target is on its way to the traffic: what is stored with it, and what people may do to it. Pure.
//!
//! The planner reads it and proposes the next value; a person's command changes it in between. Both go through the
//! methods here, so that an illegal change is refused with a reason wherever it comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Timestamp;
use crate::kernel::name::ServiceName;

/// The stored state of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Who wanted it.
    pub actor: String,
    /// Why: `deploy`, `rollback`, `config` …
    pub cause: String,
    /// The whole new set first, then the traffic at once, whatever the services' strategies are: going back must not
    /// take its time.
    pub at_once: bool,
    /// Nothing is changed while this is set.
    pub paused: Option<Pause>,
    /// The end of the last pause; the deadline counts anew from here.
    pub resumed_at: Option<Timestamp>,
    /// What each canary is at.
    pub steps: BTreeMap<ServiceName, Step>,
    /// Somebody said that it shall take the whole traffic without further steps.
    pub full: bool,
    /// It is being taken back.
    pub withdrawn: Option<Withdrawal>,
}

/// A rollout that a person stopped for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub since: Timestamp,
    pub by: String,
}

/// A step of a canary under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Counts from 0.
    pub index: u32,
    pub since: Timestamp,
    /// Somebody said: go on.
    #[serde(default)]
    pub promoted: bool,
    /// Since when requests are counted for the next verdict.
    pub window_since: Timestamp,
    /// Requests the new version answered in the windows of this step that are closed.
    #[serde(default)]
    pub answered: u64,
    /// Verdicts of this step that were good.
    #[serde(default)]
    pub good: u32,
    /// Bad verdicts in a row.
    #[serde(default)]
    pub bad: u32,
}

impl Step {
    /// The step of this index, from now on.
    #[must_use]
    pub fn begin(index: u32, now: Timestamp) -> Self {
        Self { index, since: now, promoted: false, window_since: now, answered: 0, good: 0, bad: 0 }
    }

    /// The same step after a verdict on its window.
    #[must_use]
    pub fn judged(&self, good: bool, answered: u64, now: Timestamp) -> Self {
        Self {
            window_since: now,
            answered: self.answered.saturating_add(answered),
            good: self.good + u32::from(good),
            bad: if good { 0 } else { self.bad + 1 },
            ..self.clone()
        }
    }
}

/// Why and since when a target is being taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub since: Timestamp,
    pub reason: String,
}

impl Progress {
    /// The state of a rollout that begins.
    #[must_use]
    pub fn begin(actor: &str, cause: &str, at_once: bool) -> Self {
        Self { actor: actor.to_owned(), cause: cause.to_owned(), at_once, ..Self::default() }
    }

    /// Stops it where it is.
    ///
    /// # Errors
    /// When it is stopped already, or being taken back.
    pub fn pause(&mut self, by: &str, now: Timestamp) -> Result<(), String> {
        self.must_go_forward()?;
        if let Some(pause) = &self.paused {
            return Err(format!("it is paused already, by {}", pause.by));
        }
        self.paused = Some(Pause { since: now, by: by.to_owned() });
        Ok(())
    }

    /// Lets it go on after a pause.
    ///
    /// # Errors
    /// When it is not paused.
    pub fn resume(&mut self, now: Timestamp) -> Result<(), String> {
        if self.paused.take().is_none() {
            return Err("it is not paused".to_owned());
        }
        self.resumed_at = Some(now);
        Ok(())
    }

    /// Ends the steps that are under way, or all of them with `full`; ends a pause too.
    ///
    /// # Errors
    /// When it is being taken back, or nothing waits for a person.
    pub fn promote(&mut self, full: bool, now: Timestamp) -> Result<(), String> {
        self.must_go_forward()?;
        if self.steps.is_empty() && self.paused.is_none() && !full {
            return Err("it is at no step yet; what it waits for is shown by `wharf status`".to_owned());
        }
        if self.paused.take().is_some() {
            self.resumed_at = Some(now);
        }
        self.full |= full;
        self.steps.values_mut().for_each(|step| step.promoted = true);
        Ok(())
    }

    /// Takes it back from now on; the reason that was first stays.
    pub fn withdraw(&mut self, reason: &str, now: Timestamp) {
        self.paused = None;
        self.withdrawn.get_or_insert_with(|| Withdrawal { since: now, reason: reason.to_owned() });
    }

    fn must_go_forward(&self) -> Result<(), String> {
        match &self.withdrawn {
            Some(withdrawn) => Err(format!("it is being rolled back already: {}", withdrawn.reason)),
            None => Ok(()),
        }
    }
}
