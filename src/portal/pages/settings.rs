//! How many instances, restart, stop and start, one more environment, and the end of an app.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

/// What is typed in one of the page's forms.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SettingsForm {
    pub environment: String,
    pub confirm: String,
}

#[derive(Template)]
#[template(path = "pages/settings.html")]
pub(crate) struct SettingsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    /// Services and how many instances are wanted, as typed.
    pub formation: BTreeMap<String, String>,
    pub form: SettingsForm,
    pub errors: Errors,
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell, viewer};
    let path = "/t/acme/shop/production/settings";
    let page = |shell, state, confirm: &str, errors| SettingsPage {
        shell,
        app: app(state),
        tab: Tab::Settings,
        formation: [("web".to_owned(), "2".to_owned()), ("worker".to_owned(), "1".to_owned())].into(),
        form: SettingsForm { confirm: confirm.into(), ..SettingsForm::default() },
        errors,
    };
    let wrong = Errors::field("confirm", "`shpo` is not the app's name: type `shop` to destroy it");
    vec![
        Sample::page("settings", &page(shell(language, path), AppState::Running, "", Errors::default())),
        Sample::page("settings-errors", &page(shell(language, path), AppState::Stopped, "shpo", wrong)),
        Sample::page("settings-viewer", &page(viewer(language, path), AppState::Running, "", Errors::default())),
    ]
}
