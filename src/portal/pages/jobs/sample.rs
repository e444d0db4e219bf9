//! Sample data of the pages of jobs.

use super::{JobPage, JobsPage};
use crate::apps::{
    AppState, JobAttemptView, JobParameterView, JobRunDetail, JobRunView, JobScheduleView, JobStepView, JobView,
    OperationLine,
};
use crate::portal::app_view::Tab;
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::samples::{Sample, app, before, shell, viewer};

fn run(job: &str, kind: &str, number: i64, state: &str, seconds_ago: i64) -> JobRunView {
    let over = !matches!(state, "running" | "waiting");
    JobRunView {
        job: job.into(),
        kind: kind.into(),
        number,
        state: state.into(),
        cause: if number % 5 == 0 { "manual" } else { "schedule" }.into(),
        actor: if number % 5 == 0 { "ada@acme.example" } else { "schedule" }.into(),
        revision: 42,
        operation: (state != "skipped").then(|| "op_01937c1e000070008000000000000001".into()),
        parameters: [("DAY".to_owned(), "yesterday".to_owned())].into(),
        scheduled_for: Some(before(seconds_ago)),
        created_at: before(seconds_ago),
        started_at: Some(before(seconds_ago)),
        finished_at: over.then(|| before(seconds_ago - 75)),
        deadline_at: before(seconds_ago - 7_200),
        cancelled_by: (state == "cancelled").then(|| "ada@acme.example".into()),
        reason: match state {
            "failed" => Some(
                "step `load`: `us`: it used more memory than its limit allows and was killed (exit code 137)".into(),
            ),
            "skipped" => Some("run 17 was still under way when its time came".into()),
            "succeeded" => Some("done".into()),
            "cancelled" => Some("cancelled by ada@acme.example".into()),
            _ => None,
        },
    }
}

fn step(name: &str, needs: &[&str], items: &[&str], state: Option<&str>) -> JobStepView {
    let tries = items.iter().map(|i| Some((*i).to_owned())).chain(items.is_empty().then_some(None));
    let begun = state.is_some_and(|s| !matches!(s, "waiting" | "skipped"));
    let attempt = |item: Option<String>| JobAttemptView {
        item,
        number: 1,
        state: state.unwrap_or_default().into(),
        exit_code: (state == Some("failed")).then_some(137),
        reason: (state == Some("failed"))
            .then(|| "it used more memory than its limit allows and was killed (exit code 137)".into()),
        started_at: before(70),
        ended_at: (state != Some("running")).then(|| before(20)),
    };
    JobStepView {
        name: name.into(),
        service: "tool".into(),
        needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        trigger: if name == "alarm" { "on-failure" } else { "on-success" }.into(),
        condition: (name == "publish").then(|| "DAY == yesterday".into()),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        state: state.map(str::to_owned),
        reason: match state {
            Some("skipped") => Some("`load` did not succeed".into()),
            Some("failed") => {
                Some("`us`: it used more memory than its limit allows and was killed (exit code 137)".into())
            }
            _ => None,
        },
        attempts: if begun { tries.map(attempt).collect() } else { Vec::new() },
    }
}

fn steps(states: [Option<&str>; 5]) -> Vec<JobStepView> {
    vec![
        step("export", &[], &[], states[0]),
        step("load", &["export"], &["eu", "us", "asia-pacific"], states[1]),
        step("rebuild-search-index", &["export"], &[], states[2]),
        step("publish", &["load", "rebuild-search-index"], &[], states[3]),
        step("alarm", &["export", "load", "rebuild-search-index", "publish"], &[], states[4]),
    ]
}

fn schedule(cron: &str, held: bool) -> JobScheduleView {
    let next = if held { Vec::new() } else { vec![before(-40_000), before(-126_400)] };
    let local = ["2026-11-24 03:00 CET", "2026-11-25 03:00 CET"].map(str::to_owned);
    JobScheduleView {
        cron: cron.into(),
        zone: "Europe/Berlin".into(),
        misfire: "once".into(),
        overlap: "skip".into(),
        next_local: local[..next.len()].to_vec(),
        next,
        suspended_by: held.then(|| "ada@acme.example".into()),
    }
}

fn nightly() -> JobView {
    JobView {
        name: "nightly".into(),
        kind: "workflow".into(),
        description: Some("Takes the day's orders to the warehouse".into()),
        schedule: Some(schedule("0 3 * * *", false)),
        parameters: vec![
            JobParameterView {
                name: "DAY".into(),
                default: Some("yesterday".into()),
                description: Some("Which day".into()),
            },
            JobParameterView { name: "REGION".into(), default: None, description: None },
        ],
        steps: steps([None; 5]),
        deadline_seconds: 7_200,
        history: 20,
        last: Some(run("nightly", "workflow", 18, "running", 74)),
    }
}

fn jobs() -> Vec<JobView> {
    let job = |name: &str, schedule, last| JobView {
        name: name.into(),
        kind: "job".into(),
        description: None,
        schedule,
        parameters: Vec::new(),
        steps: vec![step(name, &[], &[], None)],
        deadline_seconds: 1_200,
        history: 20,
        last,
    };
    vec![
        job("clean-up", Some(schedule("15 * * * *", true)), Some(run("clean-up", "job", 9, "failed", 4_000))),
        job("import", None, None),
        job("report", Some(schedule("0 6 * * 1-5", false)), Some(run("report", "job", 204, "succeeded", 20_000))),
        nightly(),
    ]
}

fn lines() -> Vec<OperationLine> {
    let line = |(seq, (kind, line)): (i64, (&str, &str))| OperationLine {
        seq,
        at: before(75 - seq * 4),
        kind: kind.into(),
        line: line.into(),
    };
    let all = [
        ("step", "export"),
        ("output", "export | 1204 orders written to orders.csv"),
        ("notice", "export: done"),
        ("step", "load[eu], try 1 of 3"),
        ("output", "load[eu] | 812 rows"),
        ("error", "load[us]: it used more memory than its limit allows and was killed (exit code 137)"),
    ];
    (1..).zip(all).map(line).collect()
}

pub(crate) fn samples(language: Language) -> Vec<Sample> {
    let list = |jobs| JobsPage {
        shell: shell(language, "/t/acme/shop/production/jobs"),
        app: app(AppState::Running),
        tab: Tab::Jobs,
        jobs,
    };
    let page = |job: JobView, run: Option<JobRunView>, steps: Vec<JobStepView>| JobPage {
        shell: shell(language, "/t/acme/shop/production/jobs/nightly"),
        app: app(AppState::Running),
        tab: Tab::Jobs,
        runs: run
            .iter()
            .cloned()
            .chain([run_of("succeeded", 17), run_of("skipped", 16), run_of("cancelled", 15)])
            .collect(),
        lines: if run.is_some() { lines() } else { Vec::new() },
        run: run.map(|run| JobRunDetail { run, steps }),
        job,
        errors: Errors::default(),
    };
    let running = page(
        nightly(),
        Some(run("nightly", "workflow", 18, "running", 74)),
        steps([Some("succeeded"), Some("running"), Some("retrying"), Some("waiting"), Some("waiting")]),
    );
    let failed = page(
        nightly(),
        Some(run("nightly", "workflow", 18, "failed", 74)),
        steps([Some("succeeded"), Some("failed"), Some("succeeded"), Some("skipped"), Some("succeeded")]),
    );
    let mut fresh = page(jobs().remove(1), None, Vec::new());
    fresh.runs.clear();
    let mut looking = page(
        nightly(),
        Some(run("nightly", "workflow", 18, "succeeded", 74)),
        steps([Some("succeeded"), Some("succeeded"), Some("succeeded"), Some("succeeded"), Some("skipped")]),
    );
    looking.shell = viewer(language, "/t/acme/shop/production/jobs/nightly");
    let full = list(jobs());
    vec![
        Sample::page("jobs", &full).with(&full.as_list()),
        Sample::page("jobs-empty", &list(Vec::new())),
        Sample::page("job-running", &running).with(&running.as_status()),
        Sample::page("job-failed", &failed),
        Sample::page("job-fresh", &fresh),
        Sample::page("job-viewer", &looking),
    ]
}

fn run_of(state: &str, number: i64) -> JobRunView {
    run("nightly", "workflow", number, state, (19 - number) * 86_400)
}
