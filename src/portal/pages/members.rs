//! Who belongs to an organisation, and as what.

use askama::Template;
use axum::extract::{Form, Query};

use crate::api::access::{In, Me, State};
use crate::apps::{AppError, Caller};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::{entered, tenant_path};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::model::Member;
use crate::tenancy::roles::{Permission, Role};

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemberForm {
    pub email: String,
    pub role: String,
}

#[derive(Template)]
#[template(path = "pages/members.html")]
pub(crate) struct MembersPage {
    pub shell: Shell,
    pub base: String,
    pub members: Vec<Member>,
    pub form: MemberForm,
    pub errors: Errors,
}

impl MembersPage {
    fn tenant_name(&self) -> &str {
        self.shell.tenant.as_ref().map_or("", |tenant| tenant.name.as_str())
    }

    fn role_word(&self, role: &Role) -> &'static str {
        match role {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Owner => "owner",
        }
    }
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller): (&Principal, &Caller),
    form: MemberForm,
    errors: Errors,
) -> Result<MembersPage, Failure> {
    Ok(MembersPage {
        members: portal.apps.members(&entered(caller)).await?,
        shell: portal.inside(visit, who, caller).await?,
        base: tenant_path(caller),
        form,
        errors,
    })
}

/// With an address in the query, the form begins with it: somebody whose account was just made.
pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    visit: Visit,
    Query(form): Query<MemberForm>,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller), form, Errors::default()).await?)
}

/// Adds somebody, or changes their role.
pub(crate) async fn put(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    visit: Visit,
    Form(form): Form<MemberForm>,
) -> Answer {
    let role = match form.role.as_str() {
        "owner" => Role::Owner,
        "developer" => Role::Developer,
        _ => Role::Viewer,
    };
    let outcome = portal.apps.put_member(&entered(&caller), form.email.trim(), role).await;
    done(&portal, &visit, (&who, &caller), (form, "flash.member_saved"), outcome).await
}

pub(crate) async fn remove(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    visit: Visit,
    Form(form): Form<MemberForm>,
) -> Answer {
    let outcome = portal.apps.remove_member(&entered(&caller), &form.email).await;
    done(&portal, &visit, (&who, &caller), (MemberForm::default(), "flash.member_removed"), outcome).await
}

async fn done(
    portal: &PortalState,
    visit: &Visit,
    (who, caller): (&Principal, &Caller),
    (form, flash): (MemberForm, &str),
    outcome: Result<(), AppError>,
) -> Answer {
    let errors = match outcome {
        Ok(()) => return answer::go_and_say(&format!("{}/members", tenant_path(caller)), visit, flash),
        // Nobody has this address: that is a matter of the address.
        Err(AppError::NotFound(message)) => Errors::field("email", message),
        Err(error) => Errors::from_refusal(error, &[("email", "email")])?,
    };
    answer::refused(&page(portal, visit, (who, caller), form, errors).await?)
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::kernel::id::UserId;
    use crate::kernel::random::Random;
    use crate::portal::samples::{NOW, Sample, shell, viewer};
    let random = Random::seeded(2);
    let member = |name: &str, email: &str, role| Member {
        user_id: UserId::new(NOW, &random),
        email: email.into(),
        name: name.into(),
        role,
        since: NOW.plus_secs(-900_000),
    };
    let members = vec![
        member("Ada Byron", "ada@acme.example", Role::Owner),
        member("Grace Viewer", "grace@acme.example", Role::Viewer),
        member("林徽因", "lin.huiyin.with-a-long-address@research.acme.example", Role::Developer),
    ];
    let page =
        |shell, form, errors| MembersPage { shell, base: "/t/acme".into(), members: members.clone(), form, errors };
    let path = "/t/acme/members";
    let form = MemberForm { email: "lin@acme.example".into(), role: "developer".into() };
    let wrong = Errors::field(
        "email",
        "nobody here has the address `lin@acme.example`; a platform operator can make the account first",
    );
    vec![
        Sample::page("members", &page(shell(language, path), MemberForm::default(), Errors::default())),
        Sample::page("members-errors", &page(shell(language, path), form, wrong)),
        Sample::page("members-viewer", &page(viewer(language, path), MemberForm::default(), Errors::default())),
    ]
}
