//! Log-in and log-out.

use askama::Template;
use axum::extract::{Form, Query};

use crate::api::access::{ClientAddress, Me, SESSION_COOKIE, State};
use crate::apps::AppError;
use crate::kernel::secret::Secret;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::visit::{Visit, local};
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed; the password comes back empty.
#[derive(Clone, Default, Deserialize)]
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

/// How long a browser keeps the session's cookie; the session itself ends earlier when it is not used.
pub(crate) const SESSION_SECONDS: u32 = 7 * 24 * 3600;

pub(crate) async fn show(State(portal): State<PortalState>, visit: Visit, Query(form): Query<LoginForm>) -> Answer {
    if portal.apps.needs_setup().await? {
        return answer::go("/setup");
    }
    let form = LoginForm { next: form.next, ..LoginForm::default() };
    answer::html(&LoginPage { shell: portal.stranger(&visit), form, errors: Errors::default() })
}

pub(crate) async fn submit(
    State(portal): State<PortalState>,
    visit: Visit,
    ClientAddress(address): ClientAddress,
    Form(mut form): Form<LoginForm>,
) -> Answer {
    let password = Secret::new(std::mem::take(&mut form.password));
    match portal.apps.log_in(form.email.trim(), &password, &visit.user_agent, &address).await {
        Ok(cookie) => {
            let mut response = answer::go(local(&form.next))?;
            answer::set_cookie(&mut response, &visit, SESSION_COOKIE, cookie.expose(), SESSION_SECONDS);
            Ok(response)
        }
        Err(error) => {
            let shell = portal.stranger(&visit);
            let errors = match error {
                AppError::Invalid { .. } => Errors::whole(shell.t("login.wrong")),
                other => Errors::from_refusal(other, &[])?,
            };
            answer::refused(&LoginPage { shell, form, errors })
        }
    }
}

/// Log-out.
pub(crate) async fn leave(State(portal): State<PortalState>, Me(who): Me, visit: Visit) -> Answer {
    portal.apps.log_out(&who).await?;
    let mut response = answer::go("/login")?;
    answer::set_cookie(&mut response, &visit, SESSION_COOKIE, "", 0);
    Ok(response)
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
