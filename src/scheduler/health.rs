//! When an instance counts as healthy: a small state machine over the results of probes. Pure.

use serde::Serialize;

use crate::kernel::clock::Timestamp;
use crate::stack::{HealthCheck, Protocol};

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It answered as it should.
    Passed,
    /// It did not, in words that follow the instance's name ("does not accept connections on …").
    Failed { detail: String },
    /// It listens, but where nobody will reach it.
    Misplaced { detail: String },
}

/// What the probes of one run of one instance add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Since when this run is watched; its start deadline counts from here.
    pub watched_since: Timestamp,
    /// Start of the present unbroken row of passes.
    passing_since: Option<Timestamp>,
    /// It passed for the settling time once.
    settled_at: Option<Timestamp>,
    /// Failures in a row.
    failures: u32,
    failing_since: Option<Timestamp>,
    /// Since when it has listened on a wrong address only.
    pub misplaced_since: Option<Timestamp>,
    /// What the last probe that failed found.
    pub detail: Option<String>,
    /// When the last probe passed.
    pub last_pass: Option<Timestamp>,
}

/// The judgement on a running instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not passed yet, and still in time.
    Starting,
    /// Passed, and not failing since.
    Healthy { since: Timestamp },
    /// It passed once and fails now.
    Ill { since: Timestamp },
    /// It did not pass within its start deadline.
    Late,
}

/// Milliseconds between probes of an instance that is starting: the first second of a start matters most.
const STARTING_INTERVAL_MS: i64 = 100;
/// The same, after ten seconds without a pass.
const SLOW_START_INTERVAL_MS: i64 = 500;
/// Milliseconds between probes of an instance that just failed one.
const FAILING_INTERVAL_MS: i64 = 1_000;

/// Milliseconds between commands in an instance that is starting: each is a process of its own.
const COMMAND_INTERVAL_MS: i64 = 1_000;

/// Whether anybody is asked; otherwise an instance is as healthy as it is alive.
fn is_asked(check: &HealthCheck) -> bool {
    check.protocol != Protocol::Process || check.command.is_some()
}

impl Health {
    /// A run first seen at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            watched_since: now,
            passing_since: None,
            settled_at: None,
            failures: 0,
            failing_since: None,
            misplaced_since: None,
            detail: None,
            last_pass: None,
        }
    }

    /// Takes one probe's result in.
    pub fn record(&mut self, check: &HealthCheck, probe: Probe, now: Timestamp) {
        match probe {
            Probe::Passed => {
                let since = *self.passing_since.get_or_insert(now);
                if self.settled_at.is_none() && now.since_ms(since) >= i64::from(check.settle_ms) {
                    self.settled_at = Some(now);
                }
                self.failures = 0;
                self.failing_since = None;
                self.misplaced_since = None;
                self.detail = None;
                self.last_pass = Some(now);
            }
            Probe::Failed { detail } => {
                self.misplaced_since = None;
                self.fail(detail, now);
            }
            Probe::Misplaced { detail } => {
                self.misplaced_since.get_or_insert(now);
                self.fail(detail, now);
            }
        }
    }

    fn fail(&mut self, detail: String, now: Timestamp) {
        self.passing_since = None;
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        self.detail = Some(detail);
    }

    /// The judgement at `now` on a run that began at `started_at`.
    #[must_use]
    pub fn verdict(&self, check: &HealthCheck, started_at: Timestamp, now: Timestamp) -> Verdict {
        if !is_asked(check) {
            let since = started_at.plus_ms(i64::from(check.settle_ms));
            return if now >= since { Verdict::Healthy { since } } else { Verdict::Starting };
        }
        match (self.settled_at, self.failing_since) {
            (Some(_), Some(since)) if self.failures >= check.failures.max(1) => Verdict::Ill { since },
            (Some(since), _) => Verdict::Healthy { since },
            (None, _) if now.since_ms(self.watched_since) >= i64::from(check.start_deadline_ms) => Verdict::Late,
            (None, _) => Verdict::Starting,
        }
    }

    /// Whether enough is known to judge a run that was already there when watching began: it passed, or it
    /// failed as often as it takes to call it ill.
    #[must_use]
    pub fn is_known(&self, check: &HealthCheck) -> bool {
        !is_asked(check) || self.settled_at.is_some() || self.failures >= check.failures.max(1)
    }

    /// Milliseconds from one probe to the next.
    #[must_use]
    pub fn interval_ms(&self, check: &HealthCheck, now: Timestamp) -> i64 {
        if self.settled_at.is_none() {
            if let Some(own) = check.start_interval_ms {
                return i64::from(own).max(STARTING_INTERVAL_MS);
            }
            if check.command.is_some() {
                return COMMAND_INTERVAL_MS;
            }
            return if now.since_ms(self.watched_since) < 10_000 {
                STARTING_INTERVAL_MS
            } else {
                SLOW_START_INTERVAL_MS
            };
        }
        let calm = i64::from(check.interval_ms).max(STARTING_INTERVAL_MS);
        if self.failures > 0 { calm.min(FAILING_INTERVAL_MS) } else { calm }
    }
}
