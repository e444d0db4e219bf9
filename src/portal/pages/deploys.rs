//! All operations of an app, newest first.

use askama::Template;

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
