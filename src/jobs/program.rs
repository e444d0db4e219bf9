//! From a revision's stack to what its jobs and workflows carry out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Definition, Kind, Parameter, Program, Step, Subject};
use crate::kernel::name::{ServiceName, VariableName};
use crate::stack::model::{Job, Overlap, Retry, StepTrigger, Workflow, WorkflowStep};
use crate::stack::{Service, Stack};

/// Containers of one step at the same time, unless its job says otherwise.
const PARALLEL: u32 = 4;
/// Seconds a workflow may take when it does not say.
const WORKFLOW_SECONDS: u32 = 6 * 3_600;
/// Bytes the value of a parameter may have.
const LONGEST_VALUE: usize = 32 * 1024;
/// Parameters of one run.
const MOST_PARAMETERS: usize = 64;

/// All jobs and workflows of a stack, jobs first.
#[must_use]
pub fn definitions(stack: &Stack) -> Vec<Definition> {
    let jobs = stack.services.iter().filter_map(|(name, service)| Some(of_job(name, service, service.job.as_ref()?)));
    let workflows = stack.workflows.iter().map(|(name, workflow)| of_workflow(name.as_str(), workflow));
    jobs.chain(workflows).collect()
}

/// One of them.
#[must_use]
pub fn definition(stack: &Stack, subject: &Subject) -> Option<Definition> {
    definitions(stack).into_iter().find(|d| d.subject == *subject)
}

fn of_job(name: &ServiceName, _service: &Service, job: &Job) -> Definition {
    let step = Step {
        service: name.clone(),
        command: None,
        needs: Vec::new(),
        trigger: StepTrigger::OnSuccess,
        condition: None,
        items: match job.completions {
            0 | 1 => Vec::new(),
            several => (1..=several).map(|n| n.to_string()).collect(),
        },
        parallelism: job.parallelism.max(1),
        environment: BTreeMap::new(),
        retry: job.retry,
        deadline_seconds: job.deadline_seconds,
        artifacts: Vec::new(),
        allow_failure: false,
    };
    Definition {
        subject: Subject { kind: Kind::Job, name: name.to_string() },
        description: None,
        schedule: job.schedule.clone(),
        misfire: job.misfire,
        overlap: job.overlap,
        history: job.history,
        program: Program {
            steps: BTreeMap::from([(name.to_string(), step)]),
            deadline_seconds: job.deadline_seconds,
            parameters: BTreeMap::new(),
        },
        parameters: BTreeMap::new(),
    }
}

fn of_workflow(name: &str, workflow: &Workflow) -> Definition {
    let steps = workflow.steps.iter().map(|(name, step)| (name.clone(), of_step(name, step, workflow))).collect();
    let parameter = |(name, input): (&VariableName, &crate::stack::model::WorkflowInput)| {
        let known = Parameter { default: input.default.clone(), description: input.description.clone() };
        (name.as_str().to_owned(), known)
    };
    Definition {
        subject: Subject { kind: Kind::Workflow, name: name.to_owned() },
        description: workflow.description.clone(),
        schedule: workflow.schedule.clone(),
        misfire: workflow.misfire,
        overlap: workflow.overlap,
        history: workflow.history.unwrap_or(Job::default().history),
        program: Program {
            steps,
            deadline_seconds: workflow.deadline_seconds.unwrap_or(WORKFLOW_SECONDS),
            parameters: BTreeMap::new(),
        },
        parameters: workflow.parameters.iter().map(parameter).collect(),
    }
}

fn of_step(name: &str, step: &WorkflowStep, workflow: &Workflow) -> Step {
    let reacts = step.trigger != StepTrigger::OnSuccess && step.needs.is_empty();
    Step {
        service: step.service.clone(),
        command: step.command.clone(),
        needs: if reacts { all_before(name, workflow) } else { step.needs.clone() },
        trigger: step.trigger,
        condition: step.condition.clone(),
        items: step.for_each.clone(),
        parallelism: PARALLEL,
        environment: step.environment.clone(),
        retry: step.retry,
        deadline_seconds: step.deadline_seconds,
        artifacts: step.artifacts.clone(),
        allow_failure: step.allow_failure,
    }
}

/// All steps that can end before this one begins: those that do the work, and do not need this one.
fn all_before(name: &str, workflow: &Workflow) -> Vec<String> {
    let mut after = BTreeSet::from([name.to_owned()]);
    loop {
        let more: Vec<String> = workflow
            .steps
            .iter()
            .filter(|(n, s)| !after.contains(*n) && s.needs.iter().any(|need| after.contains(need)))
            .map(|(n, _)| n.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        after.extend(more);
    }
    let works = |(n, s): &(&String, &WorkflowStep)| s.trigger == StepTrigger::OnSuccess && !after.contains(*n);
    workflow.steps.iter().filter(works).map(|(n, _)| n.clone()).collect()
}

impl Definition {
    /// The program of one run with these values of its parameters.
    ///
    /// # Errors
    /// What is missing or not known, in a sentence.
    pub fn with(&self, given: BTreeMap<String, String>) -> Result<Program, String> {
        if given.len() > MOST_PARAMETERS {
            return Err(format!("a run takes at most {MOST_PARAMETERS} parameters"));
        }
        for (name, value) in &given {
            let parsed: Result<VariableName, _> = name.parse();
            parsed.map_err(|e| format!("the parameter `{}`: {e}", name.escape_debug()))?;
            if name.starts_with("WHARF_") {
                return Err(format!("the parameter `{name}` would replace what the platform says; take another name"));
            }
            if value.len() > LONGEST_VALUE || value.contains('\0') {
                return Err(format!("the value of `{name}` is too long, or holds a NUL byte"));
            }
            if self.subject.kind == Kind::Workflow && !self.parameters.contains_key(name) {
                let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(format!("the {} has no parameter `{name}`; it has: {known}", self.subject));
            }
        }
        let mut parameters = given;
        for (name, parameter) in &self.parameters {
            if !parameters.contains_key(name) {
                let default = parameter.default.clone();
                let value = default.ok_or_else(|| format!("the parameter `{name}` has no default: give it a value"))?;
                parameters.insert(name.clone(), value);
            }
        }
        Ok(Program { parameters, ..self.program.clone() })
    }

    /// Whether two runs of it may be under way together.
    #[must_use]
    pub fn may_overlap(&self) -> bool {
        self.overlap == Overlap::Allow
    }
}

/// How long to wait after a failed try: the delay, twice as long each time.
#[must_use]
pub fn back_off_ms(retry: Retry, failed: u32) -> i64 {
    /// The longest wait between two tries.
    const MOST_MS: i64 = 3_600_000;
    let doubled = 1_i64.checked_shl(failed.saturating_sub(1)).filter(|n| *n > 0).unwrap_or(i64::MAX);
    let base = i64::from(retry.delay_seconds).saturating_mul(1_000);
    base.saturating_mul(doubled).min(MOST_MS.max(base))
}
