//! One more organisation, made by somebody who runs the platform.

use askama::Template;
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
