//! What instances print.

use axum::response::Response;
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::Query;
use super::problem::Problem;
use super::routes::APP;
use super::streaming::{HEARTBEAT, Line, ndjson};
use crate::apps::{LogFilter, LogLine};

/// Which lines are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only this service.
    service: Option<String>,
    /// Only so many seconds back.
    since: Option<u32>,
    /// At most so many of the last lines of each instance.
    tail: Option<u32>,
    /// Go on with new lines, also of instances that start later.
    #[serde(default)]
    follow: bool,
}

/// Read what instances print.
///
/// One JSON object in each line. While following, an empty line comes each 15 seconds when there is nothing to say.
#[utoipa::path(get, context_path = APP, path = "/logs", tag = "operate", params(Wanted),
    responses((status = 200, description = "The lines", body = LogLine, content_type = "application/x-ndjson")))]
pub(super) async fn logs(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let follow = wanted.follow;
    let filter = LogFilter { service: wanted.service, since_seconds: wanted.since, tail: wanted.tail, follow };
    let lines = api.apps.logs(&caller, &app, filter).await?;
    Ok(ndjson(lines.map_ok(Line::Item), follow.then_some(HEARTBEAT)))
}
