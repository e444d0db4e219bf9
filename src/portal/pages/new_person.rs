//! An account for somebody, made by a person who runs the platform.

use askama::Template;
use axum::extract::{Form, Query};
use serde::Deserialize;

use crate::api::access::{Me, State};
use crate::apps::{AppError, NewPerson};
use crate::kernel::secret::Secret;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::portal::visit::{Visit, encode, local};

/// What is typed; the password comes back empty.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PersonForm {
    pub name: String,
    pub email: String,
    pub password: String,
    /// The members page to go on with.
    pub next: String,
}

#[derive(Template)]
#[template(path = "pages/new_person.html")]
pub(crate) struct NewPersonPage {
    pub shell: Shell,
    pub form: PersonForm,
    pub errors: Errors,
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Query(form): Query<PersonForm>,
) -> Answer {
    let form = PersonForm { email: form.email, next: form.next, ..PersonForm::default() };
    answer::html(&NewPersonPage { shell: portal.shell(&visit, &who).await?, form, errors: Errors::default() })
}

pub(crate) async fn submit(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(mut form): Form<PersonForm>,
) -> Answer {
    let password = Secret::new(std::mem::take(&mut form.password));
    let person = NewPerson { email: form.email.trim().to_owned(), name: form.name.trim().to_owned(), password };
    let errors = match portal.apps.create_person(&who, person).await {
        Ok(_) => {
            let next = format!("{}?email={}", local(&form.next), encode(form.email.trim()));
            return answer::go_and_say(&next, &visit, "flash.person_made");
        }
        Err(AppError::Conflict(message)) => Errors::field("email", message),
        Err(error) => Errors::from_refusal(error, &[("email", "email"), ("name", "name"), ("password", "password")])?,
    };
    answer::refused(&NewPersonPage { shell: portal.shell(&visit, &who).await?, form, errors })
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, shell};
    let page = |form, errors| NewPersonPage { shell: shell(language, "/people/new"), form, errors };
    let form = PersonForm { email: "lin@acme.example".into(), next: "/t/acme/members".into(), ..PersonForm::default() };
    let wrong = Errors::field("password", "the password has 4 characters; use between 10 and 256");
    vec![
        Sample::page("new-person", &page(PersonForm::default(), Errors::default())),
        Sample::page("new-person-errors", &page(form, wrong)),
    ]
}
