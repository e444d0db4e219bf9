//! What changes the running app: scale, restart, stop, start, releases, images, sources.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::access::{App, In, State};
use super::extract::{Json, Query};
use super::model::Rollback;
use super::problem::Problem;
use super::reply::{Accepted, Page, Paging, accepted};
use super::routes::APP;
use crate::apps::{
    ImageDeploy, OperationView, PlanBase, PlanView, RevisionView, RolloutCommand, RolloutView, SourceDeploy,
};
use crate::pipelines::Request;

/// Set how many instances run.
#[utoipa::path(put, context_path = APP, path = "/formation", tag = "operate",
    request_body(content = BTreeMap<String, u32>, example = json!({"web": 3, "worker": 1})),
    responses((status = 202, description = "The app is being scaled", body = OperationView)))]
pub(super) async fn scale(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Json(formation): Json<BTreeMap<String, u32>>,
) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.scale(&caller, &app, formation).await?))
}

/// Replace all instances, one after another.
#[utoipa::path(post, context_path = APP, path = "/restart", tag = "operate",
    responses((status = 202, description = "The app is being restarted", body = OperationView)))]
pub(super) async fn restart(State(api): State<ApiState>, In(caller): In, App(app): App) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.restart(&caller, &app).await?))
}

/// Take all instances down; the app stays.
#[utoipa::path(post, context_path = APP, path = "/stop", tag = "operate",
    responses((status = 202, description = "The app is being stopped", body = OperationView)))]
pub(super) async fn stop(State(api): State<ApiState>, In(caller): In, App(app): App) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.stop(&caller, &app).await?))
}

/// Bring a stopped app back.
#[utoipa::path(post, context_path = APP, path = "/start", tag = "operate",
    responses((status = 202, description = "The app is being started", body = OperationView)))]
pub(super) async fn start(State(api): State<ApiState>, In(caller): In, App(app): App) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.start(&caller, &app).await?))
}

/// List the releases.
#[utoipa::path(get, context_path = APP, path = "/revisions", tag = "releases", params(Paging),
    responses((status = 200, description = "The revisions, newest first", body = Page<RevisionView>)))]
pub(super) async fn revisions(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RevisionView>>, Problem> {
    Page::of(api.apps.revisions(&caller, &app).await?, &paging, |r| r.number.to_string())
}

/// Roll back.
///
/// Applies an older revision with the configuration it had; the one before the serving one when none is named.
#[utoipa::path(post, context_path = APP, path = "/rollback", tag = "releases", request_body = Option<Rollback>,
    responses((status = 202, description = "The app is being rolled back", body = OperationView)))]
pub(super) async fn rollback(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    request: Option<Json<Rollback>>,
) -> Result<Accepted, Problem> {
    let to = request.and_then(|Json(r)| r.revision);
    Ok(accepted(api.apps.rollback(&caller, &app, to).await?))
}

/// Show the rollout under way.
///
/// `null` when nothing is on its way.
#[utoipa::path(get, context_path = APP, path = "/rollout", tag = "releases",
    responses((status = 200, description = "The release that is taking over, and how far it is", body = Option<RolloutView>)))]
pub(super) async fn rollout(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
) -> Result<Json<Option<RolloutView>>, Problem> {
    Ok(Json(api.apps.rollout(&caller, &app).await?))
}

/// Pause the rollout under way.
#[utoipa::path(post, context_path = APP, path = "/rollout/pause", tag = "releases",
    responses((status = 204, description = "Nothing changes until it is resumed, promoted or aborted")))]
pub(super) async fn pause(state: State<ApiState>, caller: In, app: App) -> Result<StatusCode, Problem> {
    change_rollout(state, caller, app, RolloutCommand::Pause).await
}

/// Let a paused rollout go on.
#[utoipa::path(post, context_path = APP, path = "/rollout/resume", tag = "releases",
    responses((status = 204, description = "It goes on")))]
pub(super) async fn resume(state: State<ApiState>, caller: In, app: App) -> Result<StatusCode, Problem> {
    change_rollout(state, caller, app, RolloutCommand::Resume).await
}

/// How far to promote.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Promote {
    /// Give the new release all traffic, without further steps.
    #[serde(default)]
    full: bool,
}

/// End the present step of a canary.
#[utoipa::path(post, context_path = APP, path = "/rollout/promote", tag = "releases", params(Promote),
    responses((status = 204, description = "It goes to its next step, or takes all traffic")))]
pub(super) async fn promote(
    state: State<ApiState>,
    caller: In,
    app: App,
    Query(how): Query<Promote>,
) -> Result<StatusCode, Problem> {
    change_rollout(state, caller, app, RolloutCommand::Promote { full: how.full }).await
}

/// Take the rollout under way back.
#[utoipa::path(post, context_path = APP, path = "/rollout/abort", tag = "releases",
    responses((status = 204, description = "What served before serves on")))]
pub(super) async fn abort(state: State<ApiState>, caller: In, app: App) -> Result<StatusCode, Problem> {
    change_rollout(state, caller, app, RolloutCommand::Abort).await
}

async fn change_rollout(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    command: RolloutCommand,
) -> Result<StatusCode, Problem> {
    api.apps.change_rollout(&caller, &app, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A service to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// Its name.
    service: String,
}

/// Try a service again that was left to a person.
#[utoipa::path(post, context_path = APP, path = "/retry", tag = "operate",
    request_body(content = Retry, example = json!({"service": "db"})),
    responses((status = 204, description = "Its instances are started again")))]
pub(super) async fn retry(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Json(what): Json<Retry>,
) -> Result<StatusCode, Problem> {
    api.apps.retry(&caller, &app, &what.service).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deploy an image.
#[utoipa::path(post, context_path = APP, path = "/deployments", tag = "deploy",
    request_body(content = ImageDeploy, example = json!({"image": "ghcr.io/acme/shop:1.2"})),
    responses((status = 202, description = "The image is being deployed", body = OperationView)))]
pub(super) async fn deploy_image(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Json(deploy): Json<ImageDeploy>,
) -> Result<Accepted, Problem> {
    Ok(accepted(api.apps.deploy_image(&caller, &app, deploy).await?))
}

/// How uploaded sources are built.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    /// What changed, for the list of releases.
    message: Option<String>,
    /// Build every layer anew.
    #[serde(default)]
    no_cache: bool,
    /// The manifest below the root of the archive, and those that override it, with commas between; what is found there
    /// when left out.
    manifest: Option<String>,
    /// Active profiles of the manifest, with commas between.
    profiles: Option<String>,
    /// Apply it only when this revision takes the traffic (0: none), and …
    base_revision: Option<i64>,
    /// … this is the version of the configuration: both as a plan found them.
    base_config: Option<i64>,
}

impl Upload {
    /// How it is to be read and built.
    pub(super) fn request(&self) -> Request {
        let list = |text: &Option<String>| {
            let words = text.as_deref().unwrap_or_default().split(',').map(str::trim);
            words.filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        Request { manifest: list(&self.manifest), profiles: list(&self.profiles), no_cache: self.no_cache }
    }

    fn base(&self) -> Option<PlanBase> {
        let revision = self.base_revision?;
        Some(PlanBase { revision: (revision > 0).then_some(revision), config_version: self.base_config? })
    }
}

/// The bytes of an archive.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes the body, which is streamed")]
pub(super) struct Archive(Vec<u8>);

/// Media types an archive may be sent as.
const ARCHIVES: [&str; 4] = ["application/x-tar", "application/gzip", "application/x-gzip", "application/octet-stream"];

/// Upload sources; they are built and deployed.
///
/// The body is a tar archive, perhaps compressed with gzip. It is streamed to disk.
#[utoipa::path(post, context_path = APP, path = "/sources", tag = "deploy", params(Upload),
    request_body(content((Archive = "application/x-tar"), (Archive = "application/gzip"))),
    responses((status = 202, description = "The sources are being built", body = OperationView)))]
pub(super) async fn deploy_source(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(upload): Query<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, Problem> {
    let (archive, exceeded) = archive(&headers, api.upload_limit, body)?;
    let deploy = SourceDeploy {
        commit: None,
        request: upload.request(),
        base: upload.base(),
        message: upload.message.unwrap_or_else(|| "upload".to_owned()),
        cause: "upload".to_owned(),
    };
    match api.apps.deploy_source(&caller, &app, deploy, archive).await {
        Err(_) if exceeded.load(Ordering::SeqCst) => Err(Problem::too_large(api.upload_limit)),
        result => Ok(accepted(result?)),
    }
}

/// Plan an upload.
///
/// Says what applying the manifest of these sources would change; changes nothing and builds nothing.
#[utoipa::path(post, context_path = APP, path = "/plan", tag = "deploy", params(Upload),
    request_body(content((Archive = "application/x-tar"), (Archive = "application/gzip"))),
    responses((status = 200, description = "What would change", body = PlanView)))]
pub(super) async fn plan(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(upload): Query<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PlanView>, Problem> {
    let (archive, exceeded) = archive(&headers, api.upload_limit, body)?;
    match api.apps.plan(&caller, &app, upload.request(), archive).await {
        Err(_) if exceeded.load(Ordering::SeqCst) => Err(Problem::too_large(api.upload_limit)),
        result => Ok(Json(result?)),
    }
}

type Upstream = Capped<futures_util::stream::MapErr<axum::body::BodyDataStream, fn(axum::Error) -> io::Error>>;

/// The body as an archive that may reach its limit and not pass it; the flag says whether it did.
fn archive(
    headers: &HeaderMap,
    limit: u64,
    body: Body,
) -> Result<(StreamReader<Upstream, Bytes>, Arc<AtomicBool>), Problem> {
    check_archive(headers, limit)?;
    let exceeded = Arc::new(AtomicBool::new(false));
    let other: fn(axum::Error) -> io::Error = io::Error::other;
    let inner = Box::pin(body.into_data_stream().map_err(other));
    Ok((StreamReader::new(Capped { inner, left: limit, exceeded: exceeded.clone() }), exceeded))
}

fn check_archive(headers: &HeaderMap, limit: u64) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !ARCHIVES.contains(&kind.split(';').next().unwrap_or("").trim()) {
        let detail = "send the sources as a tar archive: `Content-Type: application/x-tar`, or application/gzip when it is compressed";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if length.is_some_and(|n| n > limit) { Err(Problem::too_large(limit)) } else { Ok(()) }
}

/// A body that fails once it has given more bytes than it may.
struct Capped<S> {
    inner: Pin<Box<S>>,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl<S: Stream<Item = io::Result<Bytes>>> Stream for Capped<S> {
    type Item = io::Result<Bytes>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
                self.exceeded.store(true, Ordering::SeqCst);
                return Poll::Ready(Some(Err(io::Error::other("the archive is larger than allowed"))));
            };
            self.left = left;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use futures_util::stream::iter;
    use tokio::io::AsyncReadExt as _;
    use tokio_util::io::StreamReader;

    use super::Capped;

    #[tokio::test]
    async fn a_body_may_reach_its_limit_but_not_pass_it() {
        for (limit, good) in [(6, true), (5, false)] {
            let chunks = [Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))];
            let exceeded = Arc::new(AtomicBool::new(false));
            let capped = Capped { inner: Box::pin(iter(chunks)), left: limit, exceeded: exceeded.clone() };
            let mut text = String::new();
            assert_eq!(StreamReader::new(capped).read_to_string(&mut text).await.is_ok(), good);
            assert_eq!(exceeded.load(Ordering::SeqCst), !good);
        }
    }
}
