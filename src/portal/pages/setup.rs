//! Set-up: the first person and the first organisation, once, with the token `wharf serve` printed.

use askama::Template;
use axum::extract::{Form, Query};

use crate::api::access::{ClientAddress, SESSION_COOKIE, State};
use crate::apps::NewPerson;
use crate::kernel::name::TenantSlug;
use crate::kernel::secret::Secret;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::pages::login::SESSION_SECONDS;
use crate::portal::visit::Visit;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed; the password comes back empty.
#[derive(Clone, Default, Deserialize)]
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

pub(crate) async fn show(State(portal): State<PortalState>, visit: Visit, Query(form): Query<SetupForm>) -> Answer {
    if !portal.apps.needs_setup().await? {
        return answer::go("/login");
    }
    let shell = portal.stranger(&visit);
    let errors = if form.token.is_empty() { Errors::whole(shell.t("setup.token")) } else { Errors::default() };
    answer::html(&SetupPage { shell, form: SetupForm { token: form.token, ..SetupForm::default() }, errors })
}

/// Makes the first person and organisation, and logs that person in.
pub(crate) async fn submit(
    State(portal): State<PortalState>,
    visit: Visit,
    ClientAddress(address): ClientAddress,
    Form(form): Form<SetupForm>,
) -> Answer {
    if !portal.apps.needs_setup().await? {
        return answer::go("/login");
    }
    let again = |mut form: SetupForm, errors| {
        form.password.clear();
        answer::refused(&SetupPage { shell: portal.stranger(&visit), form, errors })
    };
    let tenant: TenantSlug = match form.tenant.trim().parse() {
        Ok(tenant) => tenant,
        Err(error) => return again(form, Errors::field("tenant", format!("{error}"))),
    };
    let password = Secret::new(form.password.clone());
    let person = NewPerson { email: form.email.clone(), name: form.name.clone(), password: password.clone() };
    let path = format!("/t/{tenant}");
    if let Err(error) = portal.apps.setup(&form.token, person, tenant).await {
        let shown = [("email", "email"), ("name", "name"), ("password", "password"), ("tenant", "tenant")];
        return again(form, Errors::from_refusal(error, &shown)?);
    }
    let cookie = portal.apps.log_in(&form.email, &password, &visit.user_agent, &address).await?;
    let mut response = answer::go(&path)?;
    answer::set_cookie(&mut response, &visit, SESSION_COOKIE, cookie.expose(), SESSION_SECONDS);
    Ok(response)
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
