//! Set-up: the first person and the first organisation, once, with the token `wharf serve` printed.

use askama::Template;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed; the password comes back empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SetupForm {
    pub token: String,
    pub name: String,
    pub email: String,
    pub password: String,
    pub tenant: String,
}

#[derive(Template)]
#[template(path = "pages/setup.html")]
pub(crate) struct SetupPage {
    pub shell: Shell,
    pub form: SetupForm,
    pub errors: Errors,
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, stranger};
    let shell = stranger(language, "/setup");
    let fresh = SetupPage { shell: shell.clone(), form: SetupForm::default(), errors: Errors::default() };
    let mut errors = Errors::field("password", "the password has 4 characters; use between 10 and 256");
    errors.add("tenant", "the tenant name `Acme Ltd` is not valid: use lower-case letters, digits and single hyphens");
    let form = SetupForm {
        name: "Ada Byron".into(),
        email: "ada@acme.example".into(),
        tenant: "Acme Ltd".into(),
        ..SetupForm::default()
    };
    vec![Sample::page("setup", &fresh), Sample::page("setup-errors", &SetupPage { shell, form, errors })]
}
