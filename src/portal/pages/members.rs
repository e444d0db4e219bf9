//! Who belongs to an organisation, and as what.

use askama::Template;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::model::Member;
use crate::tenancy::roles::{Permission, Role};

/// What is typed; the password comes back empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MemberForm {
    pub email: String,
    pub role: String,
    pub name: String,
    pub password: String,
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
    let form = MemberForm { email: "lin@acme.example".into(), role: "developer".into(), ..MemberForm::default() };
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
