//! Waiting for the world to be as wanted, and saying all the while what is waited for.

use std::time::Duration;

use super::Deployer;
use super::drive::{Failure, Progress};
use crate::kernel::clock::Timestamp;
use crate::releases::{Attempt, store as releases};

/// The state is looked at at least so often, should a hint be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a release that serves waits for the ingress to say that it has the routes.
const INGRESS_PATIENCE: Duration = Duration::from_secs(15);

/// An operation that waits for a rollout is given more time when it has less than this.
const MARGIN_MS: i64 = 120_000;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitFor {
    /// This attempt takes the traffic.
    Attempt(Attempt),
    /// Everything is as wanted.
    Settled,
}

impl Deployer {
    /// Returns when it is so; fails with the true reason when the attempt was given up.
    pub(super) async fn wait_for(&self, job: &Progress<'_>, goal: WaitFor) -> Result<(), Failure> {
        let scheduler = &self.parts.scheduler;
        let mut said = Vec::new();
        scheduler.nudge();
        let begun = scheduler.passes();
        let mut deadline = job.operation.deadline_at;
        loop {
            let changed = scheduler.changed();
            match goal {
                WaitFor::Attempt(attempt) => {
                    if self.attempt_passed(job, attempt).await? {
                        self.wait_for_routes(job, attempt).await;
                        return Ok(());
                    }
                }
                // A report of before the change says nothing; wait for one made after it was stored.
                WaitFor::Settled => {
                    let settled = scheduler.report(&job.environment.id).is_some_and(|r| r.settled);
                    if settled && scheduler.passes() >= begun + 2 {
                        return Ok(());
                    }
                }
            }
            self.say_waits(job, &mut said).await;
            deadline = self.keep_alive(job, goal, deadline).await?;
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = job.cancel.cancelled() => return Err(Failure::Cancelled),
            }
        }
    }

    /// A rollout that takes its time lawfully (steps, pauses, people) is not cut off: the planner, which sees it, ends it by
    /// its own deadlines. While the planner sees nothing, the operation's deadline stands.
    async fn keep_alive(&self, job: &Progress<'_>, goal: WaitFor, deadline: Timestamp) -> Result<Timestamp, Failure> {
        let now = self.parts.clock.now();
        let scheduler = &self.parts.scheduler;
        let WaitFor::Attempt(attempt) = goal else { return Ok(deadline) };
        if deadline.since_ms(now) >= MARGIN_MS || scheduler.blind().is_some() {
            return Ok(deadline);
        }
        let report = scheduler.report(&job.environment.id).and_then(|r| r.rollout);
        if report.is_none_or(|r| Attempt::from(r.version) != attempt) {
            return Ok(deadline);
        }
        let deadline = now.plus_ms(2 * MARGIN_MS);
        job.operations.extend(&job.operation.id, deadline).await?;
        Ok(deadline)
    }

    /// Nobody is told that a release is live while requests may still reach the one before. An ingress that does not
    /// answer takes the routes when it is back, so it does not fail what has passed.
    async fn wait_for_routes(&self, job: &Progress<'_>, attempt: Attempt) {
        let scheduler = &self.parts.scheduler;
        let routed = async {
            loop {
                let changed = scheduler.changed();
                let report = scheduler.report(&job.environment.id);
                if report.is_some_and(|r| r.routed && r.serving.map(Attempt::from) == Some(attempt)) {
                    return;
                }
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        };
        if tokio::time::timeout(INGRESS_PATIENCE, routed).await.is_err() {
            job.log.notice("the ingress has not taken the new routes yet; it takes them when it answers").await;
        }
    }

    async fn attempt_passed(&self, job: &Progress<'_>, attempt: Attempt) -> Result<bool, Failure> {
        let desired = releases::desired(&self.parts.store, job.tenant, &job.environment.id).await?;
        let Some(desired) = desired else { return Err(Failure::Platform("the app is gone".to_owned())) };
        if desired.serving == Some(attempt) {
            // It is live only when the ingress sends requests to it.
            return Ok(self.parts.scheduler.is_live(&job.environment.id, attempt));
        }
        if desired.target.map(|t| t.0) == Some(attempt) {
            return Ok(false);
        }
        let known = self.parts.scheduler.failure(&job.environment.id, attempt);
        let stored = match known {
            Some(reason) => Some(reason),
            None => releases::get(&self.parts.store, job.tenant, &job.environment.id, attempt.revision)
                .await?
                .and_then(|s| s.failed_reason),
        };
        Err(Failure::Theirs(stored.unwrap_or_else(|| "something else was wanted meanwhile".to_owned())))
    }

    /// Logs what is waited for whenever that changes.
    async fn say_waits(&self, job: &Progress<'_>, said: &mut Vec<String>) {
        let waits = self.parts.scheduler.report(&job.environment.id).map(|r| r.waits).unwrap_or_default();
        // Figures in a sentence change all the time ("3 s of 60 s"); the sentence is said once.
        let shape = |text: &String| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        for wait in &waits {
            if !said.contains(&shape(wait)) {
                said.push(shape(wait));
                job.log.output(format!("waiting: {wait}")).await;
            }
        }
    }
}
