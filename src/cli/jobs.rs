//! `wharf jobs` and `wharf workflows`: what runs to its end, on a schedule or on request.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::context::{Context, Global, encode};
use super::failure::{Failure, exit};
use super::{follow, output};
use crate::apps::{JobRunDetail, JobRunView, JobView, OperationView};

/// Which of the two a command is about; each has the other's verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Jobs,
    Workflows,
}

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List jobs with their schedules, next and last runs
    #[command(after_help = "Example:\n  wharf jobs --app shop")]
    List,
    /// Run a job now, and watch it to its end
    #[command(after_help = "Example:\n  wharf jobs run report --param DAY=2026-03-01")]
    Run(Start),
    /// List the past runs of a job
    #[command(after_help = "Example:\n  wharf jobs history report")]
    History(Name),
    /// Show one run with its tries
    #[command(after_help = "Example:\n  wharf jobs show report 12")]
    Show(One),
    /// Show what a run printed; follows one that is under way
    #[command(after_help = "Example:\n  wharf jobs logs report 12")]
    Logs(One),
    /// Stop a run
    #[command(after_help = "Example:\n  wharf jobs cancel report")]
    Cancel(One),
    /// Hold the schedule of a job
    #[command(after_help = "Example:\n  wharf jobs suspend report")]
    Suspend(Name),
    /// Let a held schedule go on
    #[command(after_help = "Example:\n  wharf jobs resume report")]
    Resume(Name),
}

#[derive(Debug, Subcommand)]
pub(super) enum Workflows {
    /// List workflows with their schedules, next and last runs
    #[command(after_help = "Example:\n  wharf workflows --app shop")]
    List,
    /// Run a workflow now, and watch it to its end
    #[command(after_help = "Example:\n  wharf workflows run nightly --param DAY=2026-03-01")]
    Run(Start),
    /// List the past runs of a workflow
    #[command(after_help = "Example:\n  wharf workflows history nightly")]
    History(Name),
    /// Show one run with its steps
    #[command(after_help = "Example:\n  wharf workflows show nightly 12")]
    Show(One),
    /// Show what a run printed; follows one that is under way
    #[command(after_help = "Example:\n  wharf workflows logs nightly 12")]
    Logs(One),
    /// Stop a run
    #[command(after_help = "Example:\n  wharf workflows cancel nightly")]
    Cancel(One),
    /// Hold the schedule of a workflow
    #[command(after_help = "Example:\n  wharf workflows suspend nightly")]
    Suspend(Name),
    /// Let a held schedule go on
    #[command(after_help = "Example:\n  wharf workflows resume nightly")]
    Resume(Name),
}

impl From<Workflows> for Jobs {
    fn from(command: Workflows) -> Self {
        match command {
            Workflows::List => Self::List,
            Workflows::Run(a) => Self::Run(a),
            Workflows::History(a) => Self::History(a),
            Workflows::Show(a) => Self::Show(a),
            Workflows::Logs(a) => Self::Logs(a),
            Workflows::Cancel(a) => Self::Cancel(a),
            Workflows::Suspend(a) => Self::Suspend(a),
            Workflows::Resume(a) => Self::Resume(a),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Start {
    name: String,
    /// A parameter, which its containers see as an environment variable
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
pub(super) struct Name {
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct One {
    name: String,
    /// Number of the run; the newest when left out
    run: Option<i64>,
}

pub(super) async fn run(global: &Global, about: About, command: Jobs) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let at = |name: &str| format!("{app}/jobs/{}", encode(name));
    match command {
        Jobs::List => list(&context, &app, about).await,
        Jobs::Run(start) => begin(&context, &app, &start).await,
        Jobs::History(Name { name }) => history(&context, &at(&name)).await,
        Jobs::Show(one) => show(&context, &at(&one.name), one.run).await,
        Jobs::Logs(one) => logs(&context, &app, &at(&one.name), one.run).await,
        Jobs::Cancel(one) => {
            let number = number(&context, &at(&one.name), one.run).await?;
            let path = format!("{}/runs/{number}/cancel", at(&one.name));
            let run: JobRunView = context.client.call(Method::POST, &path, &()).await?;
            if context.json {
                return output::json(&run);
            }
            println!("Run {number} of {} is being stopped.", one.name);
            Ok(())
        }
        Jobs::Suspend(Name { name }) => hold(&context, &at(&name), "suspend", &format!("{name} is held.")).await,
        Jobs::Resume(Name { name }) => {
            hold(&context, &at(&name), "resume", &format!("{name} starts at its next time.")).await
        }
    }
}

async fn list(context: &Context, app: &str, about: About) -> Result<(), Failure> {
    let mut all: Vec<JobView> = context.client.items(&format!("{app}/jobs")).await?;
    let kind = if about == About::Jobs { "job" } else { "workflow" };
    all.retain(|j| j.kind == kind);
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("This app has no {kind}; its Compose file says them, see docs/manifest.md.");
        return Ok(());
    }
    let rows = all.iter().map(|j| {
        let (when, zone, next) = match &j.schedule {
            None => ("on request".to_owned(), String::new(), String::new()),
            Some(s) => {
                let held = s.suspended_by.as_ref().map(|by| format!("held by {by}"));
                let next = held.or_else(|| s.next_local.first().cloned()).unwrap_or_default();
                (s.cron.clone(), s.zone.clone(), next)
            }
        };
        let last = j.last.as_ref();
        let state = last.map(|r| output::state(&r.state)).unwrap_or_default();
        let ran = last.map(|r| format!("run {}, {}", r.number, output::ago(&r.created_at))).unwrap_or_default();
        vec![j.name.clone(), when, zone, next, state, ran]
    });
    let name = if about == About::Jobs { "JOB" } else { "WORKFLOW" };
    output::table(&[name, "SCHEDULE", "ZONE", "NEXT", "LAST", "WHEN"], rows.collect());
    Ok(())
}

async fn begin(context: &Context, app: &str, start: &Start) -> Result<(), Failure> {
    let mut parameters = BTreeMap::new();
    for text in &start.param {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!("`{text}` is not a parameter; write NAME=VALUE")));
        };
        parameters.insert(name.to_owned(), value.to_owned());
    }
    let path = format!("{app}/jobs/{}/runs", encode(&start.name));
    let run: JobRunView = context.client.call(Method::POST, &path, &json!({ "parameters": parameters })).await?;
    if start.detach {
        if context.json {
            return output::json(&run);
        }
        println!("Run {} of {} is {}.", run.number, run.job, run.state);
        return Ok(());
    }
    watch(context, app, &run).await
}

/// Shows a run's log, to its end.
async fn watch(context: &Context, app: &str, run: &JobRunView) -> Result<(), Failure> {
    let Some(operation) = &run.operation else {
        let reason = run.reason.clone().unwrap_or_default();
        return Err(Failure::new(exit::NOT_FOUND, format!("run {} printed nothing: {reason}", run.number)));
    };
    let mut operation: OperationView = context.client.get(&format!("{app}/operations/{operation}")).await?;
    // Its log is shown also when it has ended.
    operation.finished_at = None;
    run.kind.clone_into(&mut operation.kind);
    follow::follow(context, app, &operation).await
}

/// The number that is meant: the newest when none was said.
async fn number(context: &Context, job: &str, said: Option<i64>) -> Result<i64, Failure> {
    if let Some(number) = said {
        return Ok(number);
    }
    let all: Vec<JobRunView> = context.client.items(&format!("{job}/runs?limit=1")).await?;
    all.first().map(|r| r.number).ok_or_else(|| Failure::new(exit::NOT_FOUND, "it has not run yet".to_owned()))
}

async fn history(context: &Context, job: &str) -> Result<(), Failure> {
    let all: Vec<JobRunView> = context.client.items(&format!("{job}/runs")).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("It has not run yet.");
        return Ok(());
    }
    let rows = all.iter().map(|r| {
        let about = r.reason.clone().unwrap_or_default();
        let cells = [r.number.to_string(), output::state(&r.state), output::ago(&r.created_at)];
        cells.into_iter().chain([format!("v{}", r.revision), r.cause.clone(), r.actor.clone(), about]).collect()
    });
    output::table(&["RUN", "STATE", "BEGAN", "RELEASE", "CAUSE", "BY", "ABOUT"], rows.collect());
    Ok(())
}

async fn show(context: &Context, job: &str, said: Option<i64>) -> Result<(), Failure> {
    let number = number(context, job, said).await?;
    let detail: JobRunDetail = context.client.get(&format!("{job}/runs/{number}")).await?;
    if context.json {
        return output::json(&detail);
    }
    let run = &detail.run;
    println!("{} run {number}: {}", run.job, output::state(&run.state));
    println!("  v{}, {} by {}, began {}", run.revision, run.cause, run.actor, output::ago(&run.created_at));
    for (name, value) in &run.parameters {
        println!("  {name}={value}");
    }
    if let Some(reason) = &run.reason {
        println!("  {reason}");
    }
    let rows = detail.steps.iter().map(|s| {
        let state = s.state.as_deref().map(output::state).unwrap_or_default();
        let tries = match s.attempts.len() {
            0 => String::new(),
            1 => "1 container".to_owned(),
            n => format!("{n} containers"),
        };
        vec![s.name.clone(), state, s.needs.join(", "), tries, s.reason.clone().unwrap_or_default()]
    });
    output::table(&["STEP", "STATE", "NEEDS", "TRIES", "ABOUT"], rows.collect());
    Ok(())
}

async fn logs(context: &Context, app: &str, job: &str, said: Option<i64>) -> Result<(), Failure> {
    let number = number(context, job, said).await?;
    let detail: JobRunDetail = context.client.get(&format!("{job}/runs/{number}")).await?;
    watch(context, app, &detail.run).await
}

async fn hold(context: &Context, job: &str, verb: &str, said: &str) -> Result<(), Failure> {
    context.client.call_empty(Method::POST, &format!("{job}/{verb}"), None::<&()>).await?;
    if !context.json {
        println!("{said}");
    }
    Ok(())
}
