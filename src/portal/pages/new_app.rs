//! A new app: a name is all it needs; its page then shows the first push.

use askama::Template;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewAppForm {
    pub name: String,
}

#[derive(Template)]
#[template(path = "pages/new_app.html")]
pub(crate) struct NewAppPage {
    pub shell: Shell,
    pub base: String,
    pub form: NewAppForm,
    pub errors: Errors,
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, shell};
    let page =
        |form, errors| NewAppPage { shell: shell(language, "/t/acme/new"), base: "/t/acme".into(), form, errors };
    let message = "the app name `My Shop` is not valid: use lower-case letters, digits and single hyphens, starting with a letter and not ending with a hyphen";
    vec![
        Sample::page("new-app", &page(NewAppForm::default(), Errors::default())),
        Sample::page("new-app-errors", &page(NewAppForm { name: "My Shop".into() }, Errors::field("name", message))),
    ]
}
