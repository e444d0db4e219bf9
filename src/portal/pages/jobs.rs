//! Jobs and workflows: the list, one with its graph, its runs and its log, and the buttons.

use askama::Template;
use axum::extract::Form;

use crate::api::access::{App, In, Me, State};
use crate::apps::{AppPath, Caller, JobRunDetail, JobRunView, JobStart, JobStepView, JobView, OperationLine};
use crate::kernel::id::OperationId;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::context::{Params, app_path};
use crate::portal::forms::Errors;
use crate::portal::graph::Graph;
use crate::portal::i18n::Language;
use crate::portal::live;
use crate::portal::shell::{Shell, Theme};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use crate::tenancy::roles::Permission;

/// Runs shown below a job.
const RUNS: usize = 20;
/// Before the names of a form's fields that are parameters.
const PARAMETER: &str = "param-";

#[derive(Template)]
#[template(path = "pages/jobs.html", blocks = ["list"])]
pub(crate) struct JobsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub jobs: Vec<JobView>,
}

#[derive(Template)]
#[template(path = "pages/job.html", blocks = ["status"])]
pub(crate) struct JobPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub job: JobView,
    /// The run that is looked at; none when there was none.
    pub run: Option<JobRunDetail>,
    pub runs: Vec<JobRunView>,
    pub lines: Vec<OperationLine>,
    pub errors: Errors,
}

impl JobsPage {
    /// The newest run's state, in the words of the page.
    fn state_of<'a>(&self, job: &'a JobView) -> Option<&'a str> {
        job.last.as_ref().map(|r| r.state.as_str())
    }
}

impl JobPage {
    fn is_workflow(&self) -> bool {
        self.job.kind == "workflow"
    }

    /// The steps of the run that is looked at, or as the manifest has them.
    fn steps(&self) -> &[JobStepView] {
        self.run.as_ref().map_or(&self.job.steps, |run| &run.steps)
    }

    fn graph(&self) -> Graph {
        Graph::of(self.steps())
    }

    fn is_over(&self) -> bool {
        self.run.as_ref().is_none_or(|r| r.run.finished_at.is_some())
    }

    /// The operation whose log is shown.
    fn operation(&self) -> Option<&str> {
        self.run.as_ref()?.run.operation.as_deref()
    }

    fn number(&self) -> i64 {
        self.run.as_ref().map_or(0, |r| r.run.number)
    }

    fn last_seq(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.seq)
    }

    fn tone(&self) -> &'static str {
        match self.run.as_ref().map(|r| r.run.state.as_str()) {
            Some("succeeded") => "ok",
            Some("failed") => "bad",
            _ => "info",
        }
    }
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    let page = JobsPage {
        jobs: portal.apps.jobs(&caller, &app).await?,
        app: portal.app(&visit, &caller, &app).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Jobs,
    };
    if visit.partial { answer::html(&page.as_list()) } else { answer::html(&page) }
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    name: &str,
    number: Option<i64>,
    errors: Errors,
) -> Result<JobPage, Failure> {
    let apps = &portal.apps;
    let job = apps.job(caller, app, name).await?;
    let mut runs = apps.job_runs(caller, app, name).await?;
    runs.truncate(RUNS);
    let number = number.or_else(|| runs.first().map(|r| r.number));
    let run = match number {
        Some(number) => Some(apps.job_run(caller, app, name, number).await?),
        None => None,
    };
    let operation = run.as_ref().and_then(|r| r.run.operation.as_deref()?.parse::<OperationId>().ok());
    let lines = match operation {
        Some(id) if !visit.partial => {
            let lines = apps.follow_operation(caller, app, &id, 0).await?;
            live::present(lines).await.into_iter().flatten().collect()
        }
        _ => Vec::new(),
    };
    Ok(JobPage {
        job,
        run,
        runs,
        lines,
        app: portal.app(visit, caller, app).await?,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Jobs,
        errors,
    })
}

pub(crate) async fn detail(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    params: Params,
    visit: Visit,
) -> Answer {
    let name: String = params.get("job")?;
    let number = params.get::<i64>("run").ok();
    let page = page(&portal, &visit, (&who, &caller, &app), &name, number, Errors::default()).await?;
    if visit.partial { answer::html(&page.as_status()) } else { answer::html(&page) }
}

pub(crate) async fn start(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    params: Params,
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Answer {
    let name: String = params.get("job")?;
    let given = |(field, value): (String, String)| Some((field.strip_prefix(PARAMETER)?.to_owned(), value));
    let start = JobStart { parameters: fields.into_iter().filter_map(given).collect() };
    match portal.apps.start_job(&caller, &app, &name, start).await {
        Ok(run) => answer::go(&format!("{}/jobs/{name}/{}", app_path(&caller, &app), run.number)),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(&portal, &visit, (&who, &caller, &app), &name, None, errors).await?)
        }
    }
}

pub(crate) async fn cancel(
    State(portal): State<PortalState>,
    (In(caller), App(app)): (In, App),
    params: Params,
) -> Answer {
    let (name, number): (String, i64) = (params.get("job")?, params.get("run")?);
    let there = format!("{}/jobs/{name}/{number}", app_path(&caller, &app));
    match portal.apps.cancel_job(&caller, &app, &name, number).await {
        // It may have ended meanwhile, which its page shows.
        Ok(_) | Err(crate::apps::AppError::Conflict(_)) => answer::go(&there),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn suspend(state: State<PortalState>, at: (In, App), params: Params) -> Answer {
    hold(state, at, params, true).await
}

pub(crate) async fn resume(state: State<PortalState>, at: (In, App), params: Params) -> Answer {
    hold(state, at, params, false).await
}

async fn hold(
    State(portal): State<PortalState>,
    (In(caller), App(app)): (In, App),
    params: Params,
    hold: bool,
) -> Answer {
    let name: String = params.get("job")?;
    portal.apps.suspend_job(&caller, &app, &name, hold).await?;
    answer::go(&format!("{}/jobs/{name}", app_path(&caller, &app)))
}

#[cfg(test)]
mod sample;
#[cfg(test)]
pub(crate) use sample::samples;
