//! An app at a glance: what runs, what it waits for, what was done last; before the first deploy, how to push.

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
    fn steps(&self) -> Vec<Step> {
        self.app.operation.as_ref().map(progress::steps).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, operations, shell, viewer, with_flash};
    let path = "/t/acme/shop/production";
    let page = |shell, state| OverviewPage { shell, app: app(state), tab: Tab::Overview, operations: operations() };
    let busy = page(shell(language, path), AppState::Deploying);
    vec![
        Sample::page("overview", &page(shell(language, path), AppState::Degraded)),
        Sample::page("overview-deploying", &busy).with(&busy.as_content()),
        Sample::page("overview-new", &page(with_flash(shell(language, path), "flash.created"), AppState::Empty)),
        Sample::page("overview-viewer", &page(viewer(language, path), AppState::Running)),
    ]
}
