//! Environment variables: several at once, values hidden until asked for, pasted `.env` text.

use askama::Template;

use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

/// A variable that exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub name: String,
    /// Its value when values are shown, or what was typed over it.
    pub value: String,
    /// Marked for removal.
    pub remove: bool,
}

#[derive(Template)]
#[template(path = "pages/config.html")]
pub(crate) struct ConfigPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub variables: Vec<Variable>,
    /// Whether values are shown.
    pub shown: bool,
    /// New ones as typed.
    pub rows: Vec<(String, String)>,
    pub dotenv: String,
    /// Only store it; the next deploy takes it.
    pub later: bool,
    pub errors: Errors,
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell, viewer};
    let variables = |shown: bool| -> Vec<Variable> {
        let all = [
            ("DATABASE_URL", "postgres://shop:s3cret@db.internal/shop"),
            ("LOG_LEVEL", "info"),
            ("SIGNING_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"),
        ];
        all.map(|(name, value)| Variable {
            name: name.into(),
            value: if shown { value.into() } else { String::new() },
            remove: false,
        })
        .into()
    };
    let page = |shell, variables, shown| ConfigPage {
        shell,
        app: app(AppState::Running),
        tab: Tab::Config,
        variables,
        shown,
        rows: vec![(String::new(), String::new()); 2],
        dotenv: String::new(),
        later: false,
        errors: Errors::default(),
    };
    let path = "/t/acme/shop/production/config";
    let mut wrong = page(shell(language, path), variables(false), false);
    wrong.variables[1].remove = true;
    wrong.rows = vec![("1BAD".into(), "x".into())];
    wrong.dotenv = "A=1\nnonsense".into();
    wrong.errors = Errors::field(
        "name",
        "the variable name `1BAD` is not valid: use letters, digits and underscores, not starting with a digit",
    );
    wrong.errors.add("dotenv", "line 2: write NAME=value (a line that starts with # is a comment)");
    vec![
        Sample::page("config", &page(shell(language, path), variables(false), false)),
        Sample::page("config-shown", &page(shell(language, path), variables(true), true)),
        Sample::page("config-errors", &wrong),
        Sample::page("config-empty", &page(shell(language, path), vec![], false)),
        Sample::page("config-viewer", &page(viewer(language, path), variables(false), false)),
    ]
}
