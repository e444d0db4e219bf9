//! Secrets of an app: set and removed, and never shown.

use askama::Template;
use axum::extract::Form;
use serde::Deserialize;

use crate::api::access::{App, In, Me, State};
use crate::apps::{AppPath, Caller};
use crate::kernel::secret::Secret;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::app_path;
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;

use crate::apps::SecretView;
use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

#[derive(Template)]
#[template(path = "pages/secrets.html")]
pub(crate) struct SecretsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub secrets: Vec<SecretView>,
    /// The name as typed; a value is never sent back.
    pub name: String,
    pub errors: Errors,
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    name: String,
    errors: Errors,
) -> Result<SecretsPage, Failure> {
    Ok(SecretsPage {
        secrets: portal.apps.secrets(caller, app).await?,
        app: portal.app(visit, caller, app).await?,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Secrets,
        name,
        errors,
    })
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller, &app), String::new(), Errors::default()).await?)
}

/// A secret as typed.
#[derive(Deserialize)]
pub(crate) struct SecretForm {
    name: String,
    #[serde(default)]
    value: String,
}

pub(crate) async fn set(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<SecretForm>,
) -> Answer {
    // Browsers send line ends as CRLF, which keys and certificates do not have.
    let value = Secret::new(form.value.replace("\r\n", "\n"));
    let name = form.name.trim().to_owned();
    let errors = match portal.apps.set_secret(&caller, &app, &name, Some(value)).await {
        Ok(_) => return answer::go_and_say(&path(&caller, &app), &visit, "flash.secret_saved"),
        Err(error) => Errors::from_refusal(error, &[("name", "name"), ("value", "value")])?,
    };
    answer::refused(&page(&portal, &visit, (&who, &caller, &app), name, errors).await?)
}

pub(crate) async fn remove(
    State(portal): State<PortalState>,
    (In(caller), App(app)): (In, App),
    visit: Visit,
    Form(form): Form<SecretForm>,
) -> Answer {
    portal.apps.set_secret(&caller, &app, &form.name, None).await?;
    answer::go_and_say(&path(&caller, &app), &visit, "flash.secret_removed")
}

fn path(caller: &Caller, app: &AppPath) -> String {
    format!("{}/secrets", app_path(caller, app))
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, before, shell, viewer};
    let secret = |name: &str, version, author: &str, ago| SecretView {
        name: name.into(),
        version,
        author: author.into(),
        created_at: before(ago),
    };
    let all = || {
        vec![
            secret("signing_key", 3, "ada@acme.example", 4_000),
            secret("tls_certificate_of_the_payment_provider", 1, "system", 900_000),
        ]
    };
    let path = "/t/acme/shop/production/secrets";
    let page = |shell, secrets| SecretsPage {
        shell,
        app: app(AppState::Running),
        tab: Tab::Secrets,
        secrets,
        name: String::new(),
        errors: Errors::default(),
    };
    let mut wrong = page(shell(language, path), all());
    wrong.name = "signing key".into();
    wrong.errors = Errors::field("name", "the name `signing key` is not valid: use letters, digits, `.`, `_` and `-`");
    vec![
        Sample::page("secrets", &page(shell(language, path), all())),
        Sample::page("secrets-errors", &wrong),
        Sample::page("secrets-empty", &page(shell(language, path), vec![])),
        Sample::page("secrets-viewer", &page(viewer(language, path), all())),
    ]
}
