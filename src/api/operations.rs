//! Operations: the list, one of them, cancelling it, and its log as it is written.

use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Item, Json, Query};
use super::problem::Problem;
use super::reply::{Accepted, Page, Paging, accepted};
use super::routes::APP;
use super::streaming::{HEARTBEAT, Line, ndjson, present};
use crate::apps::{AppError, AppPath, Caller, LineStream, OperationLine, OperationView};
use crate::kernel::id::OperationId;

/// List the operations.
#[utoipa::path(get, context_path = APP, path = "/operations", tag = "operations", params(Paging),
    responses((status = 200, description = "The operations, newest first", body = Page<OperationView>)))]
pub(super) async fn list(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<OperationView>>, Problem> {
    let limit = paging.limit()?;
    let before = paging.after()?.map(|id| id.parse::<OperationId>()).transpose();
    let before = before.map_err(|e| Problem::invalid("cursor", e))?;
    // One more than wanted tells whether others follow.
    let mut items = api.apps.operations(&caller, &app, before, limit + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Page::cut(items, more, |o| o.id.clone()))
}

/// Look at an operation.
#[utoipa::path(get, context_path = APP, path = "/operations/{id}", tag = "operations",
    responses((status = 200, description = "The operation", body = OperationView)))]
pub(super) async fn detail(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(id): Item<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    Ok(Json(api.apps.operation(&caller, &app, &id).await?))
}

/// Cancel an operation.
///
/// It ends as cancelled, and what served before goes on.
#[utoipa::path(post, context_path = APP, path = "/operations/{id}/cancel", tag = "operations",
    responses((status = 202, description = "It was asked to stop", body = OperationView)))]
pub(super) async fn cancel(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(id): Item<OperationId>,
) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.cancel(&caller, &app, &id).await?))
}

/// Which lines of an operation are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// Only lines with a greater `seq`.
    #[serde(default)]
    after: i64,
    /// Stay until the operation ends; the last line is then `{"end": OperationView}`.
    #[serde(default)]
    follow: bool,
}

/// Read an operation's log.
///
/// One JSON object in each line. While following, an empty line comes each 15 seconds when there is nothing to say.
/// A failure on the way is a last line `{"error": Problem}`.
#[utoipa::path(get, context_path = APP, path = "/operations/{id}/log", tag = "operations", params(After),
    responses((status = 200, description = "The lines", body = OperationLine, content_type = "application/x-ndjson")))]
pub(super) async fn log(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(id): Item<OperationId>,
    Query(query): Query<After>,
) -> Result<Response, Problem> {
    let lines = api.apps.follow_operation(&caller, &app, &id, query.after).await?;
    if query.follow {
        let end = end_of(api, caller, app, id).map_ok(|o| Line::Other(json!({"end": o})));
        return Ok(ndjson(lines.map_ok(Line::Item).chain(end), Some(HEARTBEAT)));
    }
    Ok(ndjson(present(lines).map_ok(Line::Item), None))
}

/// What the operation came to, asked once its lines have ended.
fn end_of(
    api: ApiState,
    caller: Caller,
    app: AppPath,
    id: OperationId,
) -> impl Stream<Item = Result<OperationView, AppError>> + Send {
    stream::once(async move { api.apps.operation(&caller, &app, &id).await })
}

/// Follow an operation's log as server-sent events.
///
/// Events are `line` (data: a line; id: its `seq`) and, last, `end` (data: the operation). `Last-Event-ID` resumes.
#[utoipa::path(get, context_path = APP, path = "/operations/{id}/events", tag = "operations",
    params(("Last-Event-ID" = Option<i64>, Header, description = "The last `seq` that was seen")),
    responses((status = 200, description = "The events", body = OperationLine, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(id): Item<OperationId>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, AppError>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
    let lines: LineStream<OperationLine> = api.apps.follow_operation(&caller, &app, &id, last).await?;
    let lines = lines.and_then(async |line| {
        let event = Event::default().id(line.seq.to_string()).event("line");
        event.json_data(&line).map_err(|e| AppError::internal("the line could not be written", e))
    });
    let end = end_of(api, caller, app, id).and_then(async |operation| {
        let event = Event::default().event("end");
        event.json_data(&operation).map_err(|e| AppError::internal("the end could not be written", e))
    });
    Ok(Sse::new(lines.chain(end)).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}
