//! One more organisation, made by somebody who runs the platform.

use askama::Template;
use axum::extract::Form;

use crate::api::access::{Me, State};
use crate::apps::AppError;
use crate::kernel::name::TenantSlug;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::visit::Visit;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrganisationForm {
    pub name: String,
    pub slug: String,
}

#[derive(Template)]
#[template(path = "pages/new_organisation.html")]
pub(crate) struct NewOrganisationPage {
    pub shell: Shell,
    pub form: OrganisationForm,
    pub errors: Errors,
}

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, visit: Visit) -> Answer {
    let shell = portal.shell(&visit, &who).await?;
    answer::html(&NewOrganisationPage { shell, form: OrganisationForm::default(), errors: Errors::default() })
}

pub(crate) async fn submit(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<OrganisationForm>,
) -> Answer {
    let errors = match form.slug.trim().parse::<TenantSlug>() {
        Err(error) => Errors::field("slug", format!("{error}")),
        Ok(slug) => match portal.apps.create_tenant(&who, slug.clone(), form.name.trim()).await {
            Ok(()) => return answer::go_and_say(&format!("/t/{slug}"), &visit, "flash.organisation_made"),
            Err(AppError::Conflict(message)) => Errors::field("slug", message),
            Err(error) => Errors::from_refusal(error, &[("name", "name"), ("tenant", "slug")])?,
        },
    };
    answer::refused(&NewOrganisationPage { shell: portal.shell(&visit, &who).await?, form, errors })
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, shell};
    let page = |form, errors| NewOrganisationPage { shell: shell(language, "/organisations/new"), form, errors };
    let form = OrganisationForm { name: "Research lab".into(), slug: "Lab".into() };
    let wrong =
        Errors::field("slug", "the tenant name `Lab` is not valid: use lower-case letters, digits and single hyphens");
    vec![
        Sample::page("new-organisation", &page(OrganisationForm::default(), Errors::default())),
        Sample::page("new-organisation-errors", &page(form, wrong)),
    ]
}
