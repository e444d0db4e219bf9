//! The state machine of a run, rule by rule.

use super::{START, attempt, program, run, step};
use crate::jobs::model::AttemptState::{Cancelled, Failed, Running, Succeeded};
use crate::jobs::model::{Attempt, Program, Run, RunState, Step, Stop, StopCause};
use crate::jobs::plan::{Action, Decision, MOST_AT_ONCE, STOP_MS, Standing, decide};
use crate::jobs::program::{back_off_ms, definitions};
use crate::kernel::random::Random;
use crate::stack::model::{Retry, StepCondition, StepTrigger};

fn of(program: Program) -> Run {
    run(1, program, &Random::seeded(7))
}

fn look(run: &Run, attempts: &[Attempt]) -> Decision {
    decide(run, attempts, START, 100)
}

fn starts(decision: &Decision) -> Vec<(String, u32, u32)> {
    let start = |action: &Action| match action {
        Action::Start { step, item, number, .. } => Some((step.clone(), *item, *number)),
        _ => None,
    };
    decision.actions.iter().filter_map(start).collect()
}

fn outcome(decision: &Decision) -> Option<RunState> {
    decision.outcome.as_ref().map(|(state, _)| *state)
}

#[test]
fn a_step_begins_when_all_it_needs_has_succeeded() {
    let run = of(program([("a", step(&[])), ("b", step(&[])), ("c", step(&["a", "b"]))]));
    let first = look(&run, &[]);
    assert_eq!(starts(&first), [("a".into(), 0, 1), ("b".into(), 0, 1)]);
    let half = [attempt(1, "a", 0, 1, Succeeded), attempt(2, "b", 0, 1, Running)];
    assert_eq!(starts(&look(&run, &half)), []);
    let both = [attempt(1, "a", 0, 1, Succeeded), attempt(2, "b", 0, 1, Succeeded)];
    assert_eq!(look(&run, &both).actions, [Action::Start { serial: 3, step: "c".into(), item: 0, number: 1 }]);
    let all = [both[0].clone(), both[1].clone(), attempt(3, "c", 0, 1, Succeeded)];
    assert_eq!(look(&run, &all).outcome, Some((RunState::Succeeded, "done".to_owned())));
}

#[test]
fn a_failure_skips_what_needs_it_lets_the_others_go_on_and_calls_who_cleans_up() {
    let clean = Step { trigger: StepTrigger::OnFailure, ..step(&["a", "b", "c"]) };
    let run = of(program([("a", step(&[])), ("b", step(&["a"])), ("c", step(&[])), ("clean", clean)]));
    let failed = [attempt(1, "a", 0, 1, Failed), attempt(2, "c", 0, 1, Running)];
    let seen = look(&run, &failed);
    assert_eq!(starts(&seen), []);
    assert_eq!(seen.standings["b"].as_str(), "skipped");
    assert_eq!(seen.standings["clean"], Standing::Waiting, "the other branch still runs");
    let then = [failed[0].clone(), attempt(2, "c", 0, 1, Succeeded)];
    assert_eq!(starts(&look(&run, &then)), [("clean".into(), 0, 1)]);
    let end = [then[0].clone(), then[1].clone(), attempt(3, "clean", 0, 1, Succeeded)];
    assert_eq!(look(&run, &end).outcome, Some((RunState::Failed, "step `a`: it broke".to_owned())));
    let well = ["a", "b", "c"].map(|s| attempt(1, s, 0, 1, Succeeded));
    let seen = look(&run, &well);
    assert_eq!((seen.standings["clean"].as_str(), outcome(&seen)), ("skipped", Some(RunState::Succeeded)));
}

#[test]
fn a_failure_that_is_allowed_stops_nothing() {
    let run = of(program([("a", Step { allow_failure: true, ..step(&[]) }), ("b", step(&["a"]))]));
    let failed = attempt(1, "a", 0, 1, Failed);
    assert_eq!(starts(&look(&run, std::slice::from_ref(&failed))), [("b".into(), 0, 1)]);
    assert_eq!(outcome(&look(&run, &[failed, attempt(2, "b", 0, 1, Succeeded)])), Some(RunState::Succeeded));
}

#[test]
fn a_condition_that_does_not_hold_skips_one_step_and_not_those_that_need_it() {
    let parameter = "DAY".parse().unwrap();
    let condition = Some(StepCondition { parameter, value: "sunday".to_owned(), differs: false });
    let mut run = of(program([("a", Step { condition, ..step(&[]) }), ("b", step(&["a"]))]));
    run.program.parameters.insert("DAY".to_owned(), "monday".to_owned());
    let seen = look(&run, &[]);
    assert_eq!(seen.standings["a"].reason(), Some("DAY is `monday`"));
    assert_eq!(starts(&seen), [("b".into(), 0, 1)]);
    run.program.parameters.insert("DAY".to_owned(), "sunday".to_owned());
    assert_eq!(starts(&look(&run, &[])), [("a".into(), 0, 1)]);
}

#[test]
fn fan_out_keeps_its_width_and_waits_for_all() {
    let items: Vec<String> = (0..6).map(|n| format!("item{n}")).collect();
    let wide = Step { items, parallelism: 2, ..step(&[]) };
    let run = of(program([("a", wide), ("b", step(&["a"]))]));
    assert_eq!(starts(&look(&run, &[])), [("a".into(), 0, 1), ("a".into(), 1, 1)]);
    let next = [attempt(1, "a", 0, 1, Failed), attempt(2, "a", 1, 1, Running)];
    assert_eq!(starts(&look(&run, &next)), [("a".into(), 2, 1)], "a failed one lets its siblings go on");
    let all: Vec<Attempt> =
        (0..6).map(|n| attempt(n + 1, "a", n, 1, if n == 3 { Failed } else { Succeeded })).collect();
    let seen = look(&run, &all);
    assert_eq!(seen.standings["a"], Standing::Failed { reason: "`item3`: it broke".to_owned() });
    assert_eq!(outcome(&seen), Some(RunState::Failed));
    let much = Step { items: (0..90).map(|n| n.to_string()).collect(), parallelism: 90, ..step(&[]) };
    let run = of(program([("a", much)]));
    assert_eq!(look(&run, &[]).actions.len(), MOST_AT_ONCE);
    assert_eq!(decide(&run, &[], START, 3).actions.len(), 3, "and no more than the platform has room for");
}

#[test]
fn what_failed_is_tried_again_after_a_growing_wait() {
    let retry = Retry { attempts: 2, delay_seconds: 10 };
    assert_eq!([1, 2, 3].map(|n| back_off_ms(retry, n)), [10_000, 20_000, 40_000]);
    assert_eq!(back_off_ms(Retry { attempts: 100, delay_seconds: 10 }, 90), 3_600_000);
    let run = of(program([("a", Step { retry, ..step(&[]) })]));
    let once = [attempt(1, "a", 0, 1, Failed)];
    let seen = look(&run, &once);
    assert_eq!(seen.standings["a"], Standing::Retrying { at: START.plus_secs(10) });
    assert_eq!((starts(&seen).len(), seen.wake_at), (0, Some(START.plus_secs(10))));
    assert_eq!(starts(&decide(&run, &once, START.plus_secs(10), 1)), [("a".into(), 0, 2)]);
    let thrice = [1, 2, 3].map(|n| attempt(n, "a", 0, n, Failed));
    assert_eq!(look(&run, &thrice).outcome, Some((RunState::Failed, "it broke".to_owned())));
}

#[test]
fn what_takes_too_long_is_stopped_and_a_run_ends_by_its_deadline() {
    let run = of(program([("a", Step { deadline_seconds: 60, ..step(&[]) }), ("b", step(&["a"]))]));
    let live = attempt(1, "a", 0, 1, Running);
    let seen = look(&run, std::slice::from_ref(&live));
    assert_eq!((seen.actions.len(), seen.wake_at), (0, Some(START.plus_secs(60))));
    let late = decide(&run, std::slice::from_ref(&live), START.plus_secs(60), 9);
    assert_eq!(late.actions, [Action::Stop { serial: 1, cause: StopCause::StepDeadline }]);
    let asked = Attempt { stop: Some(Stop { cause: StopCause::StepDeadline, at: START.plus_secs(60) }), ..live };
    let long_after = decide(&run, std::slice::from_ref(&asked), START.plus_secs(600), 9);
    assert_eq!(long_after.actions, [Action::Stop { serial: 1, cause: StopCause::StepDeadline }], "as long as it takes");
    let over = decide(&run, std::slice::from_ref(&asked), run.deadline(), 9);
    assert_eq!(over.actions, [Action::GiveUp { serial: 1 }], "but not beyond the run's end");
    assert_eq!(over.outcome, None, "it has not ended yet");
    let ended = Attempt { state: Failed, ended_at: Some(run.deadline()), ..asked };
    assert_eq!(outcome(&decide(&run, &[ended], run.deadline(), 9)), Some(RunState::Failed));
    let nothing = decide(&run, &[], run.deadline(), 9);
    assert_eq!(nothing.outcome, Some((RunState::Failed, "it was not done within its 3600 s".to_owned())));
}

#[test]
fn a_cancelled_run_stops_what_runs_and_begins_nothing() {
    let mut run = of(program([("a", step(&[])), ("b", step(&["a"]))]));
    run.cancelled_by = Some("ann".to_owned());
    let live = attempt(1, "a", 0, 1, Running);
    let seen = look(&run, std::slice::from_ref(&live));
    assert_eq!(seen.actions, [Action::Stop { serial: 1, cause: StopCause::Cancelled }]);
    let asked = Attempt { stop: Some(Stop { cause: StopCause::Cancelled, at: START }), ..live };
    let later = decide(&run, std::slice::from_ref(&asked), START.plus_ms(STOP_MS), 9);
    assert_eq!(later.actions, [Action::GiveUp { serial: 1 }]);
    let ended = Attempt { state: Cancelled, ended_at: Some(START), ..asked };
    assert_eq!(look(&run, &[ended]).outcome, Some((RunState::Cancelled, "cancelled by ann".to_owned())));
    let done = ["a", "b"].map(|s| attempt(1, s, 0, 1, Succeeded));
    assert_eq!(outcome(&look(&run, &done)), Some(RunState::Succeeded), "it came too late");
}

#[test]
fn a_manifest_becomes_programs() {
    let text = "
services:
  tool: {image: tool, x-wharf: {job: {start: manual, completions: 3, parallelism: 2, retries: 1, history: 5}}}
x-wharf:
  workflows:
    nightly:
      schedule: {cron: '0 3 * * *', zone: Europe/Berlin, misfire: once, overlap: replace}
      parameters: {DAY: {default: today}, WHO: {description: whom it is for}}
      steps:
        dump: {service: tool, command: [dump], artifacts: [out.sql]}
        load: {service: tool, needs: [dump], for_each: [a, b], when: DAY == today}
        tell: {service: tool, when: on_failure}
        tidy: {service: tool, when: always and DAY != never}
";
    let stack = super::stack_of(text);
    let all = definitions(&stack);
    let (job, workflow) = (&all[0], &all[1]);
    assert_eq!((job.history, job.program.steps["tool"].width(), job.program.steps["tool"].parallelism), (5, 3, 2));
    let tell = &workflow.program.steps["tell"];
    assert_eq!(
        (tell.trigger, tell.needs.as_slice()),
        (StepTrigger::OnFailure, &["dump".to_owned(), "load".to_owned()][..])
    );
    assert!(workflow.program.steps["tidy"].condition.as_ref().is_some_and(|c| c.differs));
    assert!(workflow.program.shares_files());
    let with = |given: &[(&str, &str)]| workflow.with(given.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    assert!(with(&[]).unwrap_err().contains("`WHO` has no default"));
    assert!(with(&[("WHO", "ann"), ("DAYS", "2")]).unwrap_err().contains("it has: DAY, WHO"));
    assert!(with(&[("WHARF_APP", "x")]).unwrap_err().contains("take another name"));
    let program = with(&[("WHO", "ann")]).unwrap();
    assert_eq!(
        program.parameters.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["DAY=today", "WHO=ann"]
    );
}
