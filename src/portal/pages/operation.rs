//! One operation with its steps and its log, live while it runs.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderMap;

use crate::api::access::{App, In, Me, State};
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::{Params, app_path};
use crate::portal::live::{self, Asked, Update};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;

use crate::apps::{AppPath, Caller, OperationLine, OperationView};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::progress::{self, Step};
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

#[derive(Template)]
#[template(path = "pages/operation.html", blocks = ["status"])]
pub(crate) struct OperationPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub op: OperationView,
    /// What it said so far; the browser asks for what comes after.
    pub lines: Vec<OperationLine>,
}

impl OperationPage {
    fn steps(&self) -> Vec<Step> {
        progress::steps(&self.op)
    }

    fn is_over(&self) -> bool {
        progress::is_over(&self.op)
    }

    fn last_seq(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.seq)
    }

    fn tone(&self) -> &'static str {
        match self.op.state.as_str() {
            "succeeded" => "ok",
            "failed" => "bad",
            _ => "info",
        }
    }
}

/// One operation, for somebody looking at it.
#[derive(Clone)]
struct Watch {
    portal: PortalState,
    visit: Visit,
    who: Principal,
    caller: Caller,
    app: AppPath,
    id: OperationId,
}

impl Watch {
    async fn page(&self, lines: Vec<OperationLine>) -> Result<OperationPage, Failure> {
        let apps = &self.portal.apps;
        Ok(OperationPage {
            op: apps.operation(&self.caller, &self.app, &self.id).await?,
            app: self.portal.app(&self.visit, &self.caller, &self.app).await?,
            shell: self.portal.inside(&self.visit, &self.who, &self.caller).await?,
            tab: Tab::Deploys,
            lines,
        })
    }

    /// The part that shows where things stand. None when the app has just gone: the page stays as it was.
    async fn status(&self) -> Option<Update> {
        let page = self.page(Vec::new()).await.ok()?;
        page.as_status().render().ok().map(Update::Status)
    }

    /// What comes after a line: lines, the state whenever a step begins, then the end.
    async fn updates(self, after: i64) -> Result<impl Stream<Item = Update> + Send + 'static, Failure> {
        let lines = self.portal.apps.follow_operation(&self.caller, &self.app, &self.id, after).await?;
        let watch = self.clone();
        let updates = lines.then(move |line| {
            let watch = watch.clone();
            async move {
                match line {
                    Ok(line) if line.kind == "step" => [Some(Update::Line(line.into())), watch.status().await],
                    Ok(line) => [Some(Update::Line(line.into())), None],
                    Err(error) => {
                        tracing::error!(error = chain(&error), "the log of an operation broke off");
                        [None, None]
                    }
                }
            }
        });
        // The lines end when the operation does.
        let end = stream::once(async move { [self.status().await, Some(Update::End)] });
        Ok(updates.chain(end).flat_map(|updates| stream::iter(updates.into_iter().flatten())))
    }
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    params: Params,
    visit: Visit,
) -> Answer {
    let watch = Watch { portal, visit, who, caller, app, id: params.get("operation")? };
    let lines = watch.portal.apps.follow_operation(&watch.caller, &watch.app, &watch.id, 0).await?;
    let lines = live::present(lines).await.into_iter().flatten().collect();
    answer::html(&watch.page(lines).await?)
}

pub(crate) async fn events(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    params: Params,
    visit: Visit,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let watch = Watch { portal, visit, who, caller, app, id: params.get("operation")? };
    let updates = watch.updates(asked.last(&headers).parse().unwrap_or(0)).await?;
    Ok(if asked.poll.is_empty() { live::events(updates) } else { Box::pin(live::polled(updates)).await })
}

pub(crate) async fn cancel(
    State(portal): State<PortalState>,
    In(caller): In,
    App(app): App,
    params: Params,
    visit: Visit,
) -> Answer {
    let id: OperationId = params.get("operation")?;
    let page = format!("{}/deploys/{id}", app_path(&caller, &app));
    match portal.apps.cancel(&caller, &app, &id).await {
        Ok(_) => answer::go_and_say(&page, &visit, "flash.cancelling"),
        // It has ended meanwhile, which its page shows.
        Err(crate::apps::AppError::Conflict(_)) => answer::go(&page),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, deploy_log, operation, shell};
    let page = |op: OperationView, lines| OperationPage {
        shell: shell(language, "/t/acme/shop/production/deploys/x"),
        app: app(if op.state == "running" { AppState::Deploying } else { AppState::Running }),
        tab: Tab::Deploys,
        op,
        lines,
    };
    let mut early = deploy_log(false);
    early.truncate(6);
    let running = page(operation("deploy", "running", "build", 14), early);
    vec![
        Sample::page("operation", &page(operation("deploy", "succeeded", "done", 240), deploy_log(false))),
        Sample::page("operation-running", &running).with(&running.as_status()),
        Sample::page("operation-failed", &page(operation("deploy", "failed", "rollout", 70), deploy_log(true))),
        Sample::page("operation-queued", &page(operation("restart", "queued", "queued", 2), vec![])),
    ]
}
