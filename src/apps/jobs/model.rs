//! What people and programs see of jobs and workflows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jobs::model::{Attempt, Run, RunState, Step};
use crate::jobs::plan::Decision;
use crate::jobs::timetable::Timetable;
use crate::jobs::{Definition, Listed};
use crate::kernel::clock::Timestamp;
use crate::stack::model::{Misfire, Overlap, StepTrigger};

/// A job, or a workflow of several steps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    pub name: String,
    /// `job` or `workflow`.
    pub kind: String,
    pub description: Option<String>,
    /// When it starts by itself.
    pub schedule: Option<JobScheduleView>,
    /// What runs may be given.
    pub parameters: Vec<JobParameterView>,
    pub steps: Vec<JobStepView>,
    /// Seconds a run may take.
    pub deadline_seconds: u32,
    /// Ended runs that are kept.
    pub history: u32,
    pub last: Option<JobRunView>,
}

/// A schedule and what comes of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobScheduleView {
    /// Minute, hour, day, month, weekday.
    pub cron: String,
    /// An IANA time zone.
    pub zone: String,
    /// `skip` or `once`: a run whose time passed while the platform was down.
    pub misfire: String,
    /// `skip`, `replace` or `allow`: a run whose time comes while the last one runs.
    pub overlap: String,
    /// RFC 3339; none while it is held, or the app is stopped.
    pub next: Vec<String>,
    /// The same as clocks of its zone show it.
    pub next_local: Vec<String>,
    /// Who holds it, so that it starts nothing.
    pub suspended_by: Option<String>,
}

/// A parameter of a workflow.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobParameterView {
    pub name: String,
    /// None: a value must be given.
    pub default: Option<String>,
    pub description: Option<String>,
}

/// A step as the manifest has it, or as it stands in a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobStepView {
    pub name: String,
    pub service: String,
    /// Steps that must have ended before.
    pub needs: Vec<String>,
    /// `on-success`, `on-failure` or `always`: how they must have ended.
    pub trigger: String,
    /// The condition it depends on, such as `DAY == today`.
    pub condition: Option<String>,
    /// One container for each; empty: one.
    pub items: Vec<String>,
    /// `waiting`, `running`, `retrying`, `succeeded`, `failed`, `skipped` or `cancelled`; none outside of a run.
    pub state: Option<String>,
    pub reason: Option<String>,
    pub attempts: Vec<JobAttemptView>,
}

/// One try: a container.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobAttemptView {
    pub item: Option<String>,
    /// 1 for the first.
    pub number: u32,
    /// `starting`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    pub exit_code: Option<i64>,
    pub reason: Option<String>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub ended_at: Option<String>,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobRunView {
    pub job: String,
    /// `job` or `workflow`.
    pub kind: String,
    /// Counts up from 1 for each job and workflow.
    pub number: i64,
    /// `waiting`, `running`, `succeeded`, `failed`, `cancelled` or `skipped`.
    pub state: String,
    /// `schedule`, `catch-up` or `manual`.
    pub cause: String,
    pub actor: String,
    pub revision: i64,
    /// The operation that holds its log; none when it was skipped.
    pub operation: Option<String>,
    pub parameters: BTreeMap<String, String>,
    /// RFC 3339; the moment of the schedule it belongs to.
    pub scheduled_for: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub deadline_at: String,
    pub cancelled_by: Option<String>,
    /// Why it ended as it did, in one sentence.
    pub reason: Option<String>,
}

/// One run with all its steps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobRunDetail {
    #[serde(flatten)]
    pub run: JobRunView,
    pub steps: Vec<JobStepView>,
}

/// How a run is started.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobStart {
    /// Values of its parameters, which its containers see as environment variables. A job takes any.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl JobStepView {
    fn of(name: &str, step: &Step) -> Self {
        let trigger = match step.trigger {
            StepTrigger::OnSuccess => "on-success",
            StepTrigger::OnFailure => "on-failure",
            StepTrigger::Always => "always",
        };
        let condition = step.condition.as_ref().map(|c| {
            let sign = if c.differs { "!=" } else { "==" };
            format!("{} {sign} {}", c.parameter.as_str(), c.value)
        });
        Self {
            name: name.to_owned(),
            service: step.service.to_string(),
            needs: step.needs.clone(),
            trigger: trigger.to_owned(),
            condition,
            items: step.items.clone(),
            state: None,
            reason: None,
            attempts: Vec::new(),
        }
    }
}

impl JobView {
    pub(super) fn of(listed: &Listed) -> Self {
        let definition = &listed.definition;
        let parameters = definition.parameters.iter().map(|(name, p)| JobParameterView {
            name: name.clone(),
            default: p.default.clone(),
            description: p.description.clone(),
        });
        Self {
            name: definition.subject.name.clone(),
            kind: definition.subject.kind.as_str().to_owned(),
            description: definition.description.clone(),
            schedule: schedule(definition, &listed.upcoming, listed.suspended_by.as_ref()),
            parameters: parameters.collect(),
            steps: definition.program.steps.iter().map(|(name, step)| JobStepView::of(name, step)).collect(),
            deadline_seconds: definition.program.deadline_seconds,
            history: definition.history,
            last: listed.last.as_ref().map(JobRunView::of),
        }
    }
}

fn schedule(definition: &Definition, next: &[Timestamp], held: Option<&String>) -> Option<JobScheduleView> {
    let schedule = definition.schedule.as_ref()?;
    let table = Timetable::new(schedule).ok();
    let misfire = match definition.misfire {
        Misfire::Skip => "skip",
        Misfire::Once => "once",
    };
    let overlap = match definition.overlap {
        Overlap::Skip => "skip",
        Overlap::Replace => "replace",
        Overlap::Allow => "allow",
    };
    Some(JobScheduleView {
        cron: schedule.cron.clone(),
        zone: schedule.zone.clone(),
        misfire: misfire.to_owned(),
        overlap: overlap.to_owned(),
        next: next.iter().map(|at| at.rfc3339()).collect(),
        next_local: table.iter().flat_map(|t| next.iter().map(|at| t.local(*at))).collect(),
        suspended_by: held.cloned(),
    })
}

impl JobRunView {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            job: run.subject.name.clone(),
            kind: run.subject.kind.as_str().to_owned(),
            number: run.number,
            state: run.state.as_str().to_owned(),
            cause: run.trigger.as_str().to_owned(),
            actor: run.actor.clone(),
            revision: run.revision,
            operation: (run.state != RunState::Skipped).then(|| run.id.to_string()),
            parameters: run.program.parameters.clone(),
            scheduled_for: run.scheduled_for.map(Timestamp::rfc3339),
            created_at: run.created_at.rfc3339(),
            started_at: run.started_at.map(Timestamp::rfc3339),
            finished_at: run.finished_at.map(Timestamp::rfc3339),
            deadline_at: run.deadline().rfc3339(),
            cancelled_by: run.cancelled_by.clone(),
            reason: run.reason.clone(),
        }
    }
}

impl JobRunDetail {
    pub(super) fn of(run: &Run, attempts: &[Attempt], decision: &Decision) -> Self {
        let step = |(name, step): (&String, &Step)| {
            let standing = decision.standings.get(name);
            let made = attempts.iter().filter(|a| a.step == *name);
            JobStepView {
                // A run that was left out has no steps that wait.
                state: standing.filter(|_| run.state != RunState::Skipped).map(|s| s.as_str().to_owned()),
                reason: standing.and_then(|s| s.reason()).map(str::to_owned),
                attempts: made.map(|a| attempt(step, a)).collect(),
                ..JobStepView::of(name, step)
            }
        };
        Self { run: JobRunView::of(run), steps: run.program.steps.iter().map(step).collect() }
    }
}

fn attempt(step: &Step, attempt: &Attempt) -> JobAttemptView {
    JobAttemptView {
        item: step.items.get(attempt.item as usize).cloned(),
        number: attempt.number,
        state: attempt.state.as_str().to_owned(),
        exit_code: attempt.exit_code,
        reason: attempt.reason.clone(),
        started_at: attempt.created_at.rfc3339(),
        ended_at: attempt.ended_at.map(Timestamp::rfc3339),
    }
}
