//! All operations of an app, newest first.

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::visit::Visit;

use crate::apps::OperationView;
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

#[derive(Template)]
#[template(path = "pages/deploys.html", blocks = ["list"])]
pub(crate) struct DeploysPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub operations: Vec<OperationView>,
    /// Whether this is the newest page, which refreshes itself.
    pub first_page: bool,
    /// The last of this page, when there are older ones.
    pub older: Option<String>,
}

/// Operations of one page.
const PAGE: usize = 30;

/// Where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Start {
    before: String,
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
    Query(start): Query<Start>,
) -> Answer {
    let first_page = start.before.is_empty();
    let before = if first_page { None } else { Some(start.before.parse().map_err(|_| Failure::not_found())?) };
    let limit = u32::try_from(PAGE + 1).unwrap_or(u32::MAX);
    let mut operations = portal.apps.operations(&caller, &app, before, limit).await?;
    let more = operations.len() > PAGE;
    operations.truncate(PAGE);
    let page = DeploysPage {
        app: portal.app(&visit, &caller, &app).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Deploys,
        older: operations.last().filter(|_| more).map(|op| op.id.clone()),
        operations,
        first_page,
    };
    if visit.partial { answer::html(&page.as_list()) } else { answer::html(&page) }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, operations, shell};
    let page = |state, operations: Vec<OperationView>| DeploysPage {
        shell: shell(language, "/t/acme/shop/production/deploys"),
        app: app(state),
        tab: Tab::Deploys,
        older: operations.last().map(|op| op.id.clone()),
        operations,
        first_page: true,
    };
    let full = page(AppState::Running, operations());
    vec![
        Sample::page("deploys", &full).with(&full.as_list()),
        Sample::page("deploys-empty", &page(AppState::Empty, vec![])),
    ]
}
