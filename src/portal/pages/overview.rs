//! An app at a glance: what runs, what it waits for, what was done last; before the first deploy, how to push.

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::context::app_path;
use crate::portal::visit::Visit;
use crate::tenancy::roles::Permission;
use askama::Template;

use crate::apps::OperationView;
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::progress::{self, Step};
use crate::portal::shell::{Shell, Theme};

#[derive(Template)]
#[template(path = "pages/overview.html", blocks = ["content"])]
pub(crate) struct OverviewPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    /// The newest few.
    pub operations: Vec<OperationView>,
}

impl OverviewPage {
    /// The newest operation when it failed: before the first release that is what one has to know.
    fn last_failure(&self) -> Option<&OperationView> {
        self.operations.first().filter(|operation| operation.state == "failed")
    }

    fn steps(&self) -> Vec<Step> {
        self.app.operation.as_ref().map(progress::steps).unwrap_or_default()
    }
}

/// Operations the page shows.
const RECENT: u32 = 5;

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    let page = OverviewPage {
        app: portal.app(&visit, &caller, &app).await?,
        operations: portal.apps.operations(&caller, &app, None, RECENT).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Overview,
    };
    if visit.partial { answer::html(&page.as_content()) } else { answer::html(&page) }
}

/// A project without an environment: its production.
pub(crate) async fn production(In(caller): In, App(app): App) -> Answer {
    answer::go(&app_path(&caller, &app))
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, operation, operations, shell, viewer, with_flash};
    let path = "/t/acme/shop/production";
    let page = |shell, state| {
        let operations = if state == AppState::Empty { Vec::new() } else { operations() };
        OverviewPage { shell, app: app(state), tab: Tab::Overview, operations }
    };
    let busy = page(shell(language, path), AppState::Deploying);
    let mut failed = page(shell(language, path), AppState::Empty);
    failed.operations = vec![operation("deploy", "failed", "build", 60)];
    vec![
        Sample::page("overview-failed", &failed),
        Sample::page("overview", &page(shell(language, path), AppState::Degraded)),
        Sample::page("overview-deploying", &busy).with(&busy.as_content()),
        Sample::page("overview-new", &page(with_flash(shell(language, path), "flash.created"), AppState::Empty)),
        Sample::page("overview-viewer", &page(viewer(language, path), AppState::Deploying)),
    ]
}
