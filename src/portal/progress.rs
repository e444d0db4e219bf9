//! An operation as steps a person can follow. Pure.

use crate::apps::OperationView;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepState {
    Done,
    Current,
    Failed,
    Todo,
}

impl StepState {
    /// The word for classes and texts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Current => "current",
            Self::Failed => "failed",
            Self::Todo => "todo",
        }
    }
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The end of its text's key under `step`.
    pub name: &'static str,
    pub state: StepState,
}

/// The steps an operation of a kind goes through, with the phases each covers.
fn plan(kind: &str) -> &'static [(&'static str, &'static [&'static str])] {
    const QUEUED: (&str, &[&str]) = ("queued", &["receive", "build-queue"]);
    const ROLLOUT: (&str, &[&str]) = ("rollout", &["rollout", "settle"]);
    match kind {
        "deploy" => &[QUEUED, ("build", &["build"]), ("release", &["release"]), ROLLOUT],
        "destroy" => &[QUEUED, ("remove", &["destroy"])],
        "stop" => &[QUEUED, ("stop", &["rollout", "settle"])],
        "run" => &[QUEUED, ("run", &["run"])],
        _ => &[QUEUED, ROLLOUT],
    }
}

/// The steps of an operation: what is behind it, what it does now, what is to come.
pub(crate) fn steps(operation: &OperationView) -> Vec<Step> {
    // Few apps have a release command: its step shows only while it runs, or when it was what failed.
    let plan: Vec<_> =
        plan(&operation.kind).iter().filter(|(name, _)| *name != "release" || operation.phase == "release").collect();
    let queued = operation.state == "queued";
    let known = plan.iter().position(|(_, phases)| phases.contains(&operation.phase.as_str()));
    let at = if queued { 0 } else { known.unwrap_or(plan.len() - 1) };
    let state = |n: usize| match (operation.state.as_str(), n.cmp(&at)) {
        ("succeeded", _) | (_, std::cmp::Ordering::Less) => StepState::Done,
        (_, std::cmp::Ordering::Greater) => StepState::Todo,
        ("failed" | "cancelled", std::cmp::Ordering::Equal) => StepState::Failed,
        (_, std::cmp::Ordering::Equal) => StepState::Current,
    };
    plan.iter().enumerate().map(|(n, (name, _))| Step { name, state: state(n) }).collect()
}

/// Whether it has ended.
pub(crate) fn is_over(operation: &OperationView) -> bool {
    matches!(operation.state.as_str(), "succeeded" | "failed" | "cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::samples::operation;

    fn check(kind: &str, state: &str, phase: &str, wanted: &str) {
        let shown: Vec<_> = steps(&operation(kind, state, phase, 9))
            .iter()
            .map(|step| format!("{} {}", step.name, step.state.word()))
            .collect();
        assert_eq!(shown.join(", "), wanted);
    }

    #[test]
    fn steps_follow_the_phase() {
        check("deploy", "queued", "build-queue", "queued current, build todo, rollout todo");
        check("deploy", "running", "receive", "queued current, build todo, rollout todo");
        check("deploy", "running", "release", "queued done, build done, release current, rollout todo");
        check("deploy", "running", "settle", "queued done, build done, rollout current");
        check("deploy", "failed", "build", "queued done, build failed, rollout todo");
        check("deploy", "failed", "release", "queued done, build done, release failed, rollout todo");
        check("deploy", "succeeded", "settle", "queued done, build done, rollout done");
        check("rollback", "cancelled", "rollout", "queued done, rollout failed");
        check("destroy", "running", "destroy", "queued done, remove current");
    }
}
