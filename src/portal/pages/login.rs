//! Log-in and log-out.

use askama::Template;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed; the password comes back empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginForm {
    pub email: String,
    pub password: String,
    /// Where to go then: a path of this portal.
    pub next: String,
}

#[derive(Template)]
#[template(path = "pages/login.html")]
pub(crate) struct LoginPage {
    pub shell: Shell,
    pub form: LoginForm,
    pub errors: Errors,
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, stranger};
    let shell = stranger(language, "/login");
    let fresh = LoginPage { shell: shell.clone(), form: LoginForm::default(), errors: Errors::default() };
    let form = LoginForm { email: "ada@acme.example".into(), ..LoginForm::default() };
    let errors = Errors::whole(shell.t("login.wrong"));
    vec![Sample::page("login", &fresh), Sample::page("login-wrong", &LoginPage { shell, form, errors })]
}
