//! Tests of the room.

mod due;
mod live;
mod plan;
mod sim;
mod timetable;

use std::collections::BTreeMap;

use super::model::{Attempt, AttemptState, Kind, Program, Run, RunState, Step, Subject, Trigger};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{EnvironmentId, OperationId, TenantId};
use crate::kernel::random::Random;
use crate::stack::Stack;
use crate::stack::compose::{self, InMemory};
use crate::stack::model::{Retry, StepTrigger};

/// 2026-03-01T00:00:00Z
pub(super) const START: Timestamp = Timestamp(1_772_323_200_000);

pub(super) fn step(needs: &[&str]) -> Step {
    Step {
        service: "tool".parse().unwrap(),
        command: None,
        needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        trigger: StepTrigger::OnSuccess,
        condition: None,
        items: Vec::new(),
        parallelism: 4,
        environment: BTreeMap::new(),
        retry: Retry::default(),
        deadline_seconds: 600,
        artifacts: Vec::new(),
        allow_failure: false,
    }
}

pub(super) fn program<const N: usize>(steps: [(&str, Step); N]) -> Program {
    let steps = steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect();
    Program { steps, deadline_seconds: 3_600, parameters: BTreeMap::new() }
}

pub(super) fn run(number: i64, program: Program, random: &Random) -> Run {
    Run {
        id: OperationId::new(START, random),
        tenant: TenantId::new(START, random),
        environment: EnvironmentId::new(START, random),
        subject: Subject { kind: Kind::Workflow, name: "nightly".to_owned() },
        number,
        revision: 1,
        trigger: Trigger::Manual,
        actor: "ann".to_owned(),
        scheduled_for: None,
        program,
        state: RunState::Running,
        alone: true,
        cancelled_by: None,
        reason: None,
        created_at: START,
        started_at: Some(START),
        finished_at: None,
    }
}

pub(super) fn attempt(serial: u32, step: &str, item: u32, number: u32, state: AttemptState) -> Attempt {
    Attempt {
        serial,
        step: step.to_owned(),
        item,
        number,
        state,
        stop: None,
        container: None,
        created_at: START,
        ended_at: (!state.is_live()).then_some(START),
        exit_code: None,
        reason: (state == AttemptState::Failed).then(|| "it broke".to_owned()),
    }
}

/// The stack of a manifest.
pub(super) fn stack_of(text: &str) -> Stack {
    let files = InMemory([("compose.yaml".to_owned(), text.as_bytes().to_vec())].into());
    let read = compose::parse(&files, &compose::Request::default());
    read.manifest.unwrap_or_else(|| panic!("{:?}", read.findings)).stack
}
