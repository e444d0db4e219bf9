//! A new app: a name is all it needs; its page then shows the first push.

use askama::Template;
use axum::extract::Form;

use crate::api::access::{In, Me, State};
use crate::apps::{AppPath, Caller};
use crate::kernel::name::EnvironmentSlug;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::{app_path, tenant_path};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
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

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller): (&Principal, &Caller),
    form: NewAppForm,
    errors: Errors,
) -> Result<NewAppPage, Failure> {
    Ok(NewAppPage { shell: portal.inside(visit, who, caller).await?, base: tenant_path(caller), form, errors })
}

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, In(caller): In, visit: Visit) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller), NewAppForm::default(), Errors::default()).await?)
}

pub(crate) async fn submit(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    visit: Visit,
    Form(form): Form<NewAppForm>,
) -> Answer {
    let errors = match form.name.trim().parse() {
        Err(error) => Errors::field("name", format!("{error}")),
        Ok(project) => {
            let app = AppPath { project, environment: EnvironmentSlug::production() };
            match portal.apps.create(&caller, app.project.clone()).await {
                Ok(_) => return answer::go_and_say(&app_path(&caller, &app), &visit, "flash.created"),
                // A name that is taken is a matter of the name's field.
                Err(crate::apps::AppError::Conflict(message)) => Errors::field("name", message),
                Err(error) => Errors::from_refusal(error, &[("name", "name")])?,
            }
        }
    };
    answer::refused(&page(&portal, &visit, (&who, &caller), form, errors).await?)
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
