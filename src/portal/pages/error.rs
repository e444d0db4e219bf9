//! When a page cannot be shown: what happened and the way out.

use crate::portal::answer::Failure;
use askama::Template;

use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

#[derive(Template)]
#[template(path = "pages/error.html")]
pub(crate) struct ErrorPage {
    pub shell: Shell,
    pub status: u16,
    pub message: String,
    /// The id under which the log tells more.
    pub error_id: Option<String>,
}

impl ErrorPage {
    fn title_key(&self) -> &'static str {
        match self.status {
            403 => "error.forbidden",
            404 => "error.not_found",
            400..=499 => "error.refused",
            _ => "error.internal",
        }
    }
}

/// Every path that leads nowhere.
pub(crate) async fn nothing_here() -> Failure {
    Failure::not_found()
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, shell};
    let page = |status, key: &str, error_id: Option<&str>| {
        let shell = shell(language, "/t/acme/shop/production");
        let message = shell.t(key).to_owned();
        ErrorPage { shell, status, message, error_id: error_id.map(str::to_owned) }
    };
    vec![
        Sample::page("error-403", &page(403, "error.forbidden_text", None)),
        Sample::page("error-404", &page(404, "error.not_found_text", None)),
        Sample::page("error-500", &page(500, "error.internal_text", Some("e7f31c09"))),
    ]
}
