//! Jobs and workflows: what there is, their runs, starting, cancelling and holding them.

use http::StatusCode;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Item, Json, Pair, Query};
use super::problem::Problem;
use super::reply::{Page, Paging};
use super::routes::APP;
use crate::apps::{JobRunDetail, JobRunView, JobStart, JobView};

/// List the jobs and workflows.
#[utoipa::path(get, context_path = APP, path = "/jobs", tag = "jobs", params(Paging),
    responses((status = 200, description = "All of the release that serves, with their next and last runs", body = Page<JobView>)))]
pub(super) async fn list(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<JobView>>, Problem> {
    Page::of(api.apps.jobs(&caller, &app).await?, &paging, |j| j.name.clone())
}

/// Look at a job or workflow.
#[utoipa::path(get, context_path = APP, path = "/jobs/{name}", tag = "jobs",
    responses((status = 200, description = "The job or workflow", body = JobView)))]
pub(super) async fn detail(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(api.apps.job(&caller, &app, &name).await?))
}

/// List the runs of a job or workflow.
#[utoipa::path(get, context_path = APP, path = "/jobs/{name}/runs", tag = "jobs", params(Paging),
    responses((status = 200, description = "The runs, newest first", body = Page<JobRunView>)))]
pub(super) async fn runs(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<JobRunView>>, Problem> {
    Page::of(api.apps.job_runs(&caller, &app, &name).await?, &paging, |r| r.number.to_string())
}

/// Run a job or workflow.
///
/// Its log is that of its operation.
#[utoipa::path(post, context_path = APP, path = "/jobs/{name}/runs", tag = "jobs",
    request_body(content = Option<JobStart>, example = json!({"parameters": {"DAY": "2026-03-01"}})),
    responses((status = 202, description = "The run has begun, or waits for the one before it", body = JobRunView)))]
pub(super) async fn start(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
    how: Option<Json<JobStart>>,
) -> Result<(StatusCode, Json<JobRunView>), Problem> {
    let how = how.map(|Json(how)| how).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, Json(api.apps.start_job(&caller, &app, &name, how).await?)))
}

/// Look at a run.
#[utoipa::path(get, context_path = APP, path = "/jobs/{name}/runs/{number}", tag = "jobs",
    responses((status = 200, description = "The run with its steps and their tries", body = JobRunDetail)))]
pub(super) async fn run(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Pair(name, number): Pair<String, i64>,
) -> Result<Json<JobRunDetail>, Problem> {
    Ok(Json(api.apps.job_run(&caller, &app, &name, number).await?))
}

/// Cancel a run.
///
/// Its containers are stopped, and it ends as cancelled.
#[utoipa::path(post, context_path = APP, path = "/jobs/{name}/runs/{number}/cancel", tag = "jobs",
    responses((status = 202, description = "It was told to stop", body = JobRunView)))]
pub(super) async fn cancel(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Pair(name, number): Pair<String, i64>,
) -> Result<(StatusCode, Json<JobRunView>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(api.apps.cancel_job(&caller, &app, &name, number).await?)))
}

/// Hold the schedule of a job or workflow.
#[utoipa::path(post, context_path = APP, path = "/jobs/{name}/suspend", tag = "jobs",
    responses((status = 204, description = "It starts nothing until it is resumed")))]
pub(super) async fn suspend(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
) -> Result<StatusCode, Problem> {
    api.apps.suspend_job(&caller, &app, &name, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a held schedule go on.
///
/// What passed meanwhile is not made up for.
#[utoipa::path(post, context_path = APP, path = "/jobs/{name}/resume", tag = "jobs",
    responses((status = 204, description = "It starts at its next time")))]
pub(super) async fn resume(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(name): Item<String>,
) -> Result<StatusCode, Problem> {
    api.apps.suspend_job(&caller, &app, &name, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
