//! The front door: on to somebody's organisation; and the choice of language and theme, which needs no account.

use axum::extract::Form;
use http::StatusCode;
use serde::Deserialize;

use crate::api::access::{Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::i18n::Language;
use crate::portal::shell::Theme;
use crate::portal::visit::{LANGUAGE_COOKIE, THEME_COOKIE, Visit, local};

/// How long language and theme are kept: a year.
const PREFERENCE_SECONDS: u32 = 365 * 24 * 3600;

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, visit: Visit) -> Answer {
    let shell = portal.shell(&visit, &who).await?;
    match shell.tenants.first() {
        Some(tenant) => answer::go(&format!("/t/{}", tenant.slug)),
        None if shell.is_operator() => answer::go("/organisations/new"),
        None => {
            let message = Some(shell.t("error.no_organisation").to_owned());
            Err(Failure { status: StatusCode::FORBIDDEN, message, cause: None })
        }
    }
}

/// A choice of language or theme.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Preferences {
    language: String,
    theme: String,
    next: String,
}

pub(crate) async fn preferences(visit: Visit, Form(chosen): Form<Preferences>) -> Answer {
    let mut response = answer::go(local(&chosen.next))?;
    if let Some(language) = Language::from_tag(&chosen.language) {
        answer::set_cookie(&mut response, &visit, LANGUAGE_COOKIE, language.tag(), PREFERENCE_SECONDS);
    }
    if let Some(theme) = Theme::from_word(&chosen.theme) {
        answer::set_cookie(&mut response, &visit, THEME_COOKIE, theme.word(), PREFERENCE_SECONDS);
    }
    Ok(response)
}
