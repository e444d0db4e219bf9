//! One's own account: API tokens, SSH keys, password.

use askama::Template;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::model::{ApiToken, SshKey};
use crate::tenancy::roles::Scope;

/// What is typed in one of the page's forms; passwords come back empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AccountForm {
    pub token_name: String,
    pub scope: String,
    pub expires: String,
    pub key_name: String,
    pub public_key: String,
    pub old: String,
    pub new: String,
}

#[derive(Template)]
#[template(path = "pages/account.html")]
pub(crate) struct AccountPage {
    pub shell: Shell,
    pub tokens: Vec<ApiToken>,
    pub keys: Vec<SshKey>,
    /// A token just made, shown this once.
    pub fresh: Option<String>,
    pub form: AccountForm,
    pub errors: Errors,
}

impl AccountPage {
    fn email(&self) -> &str {
        self.shell.person.as_ref().map_or("", |person| person.email.as_str())
    }

    fn scope(&self, token: &ApiToken) -> &'static str {
        match token.scope {
            Scope::Read => "read",
            Scope::Deploy => "deploy",
            Scope::Full => "full",
        }
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::kernel::id::{SshKeyId, TokenId};
    use crate::kernel::random::Random;
    use crate::portal::samples::{NOW, Sample, shell, with_flash};
    let random = Random::seeded(1);
    let token = |name: &str, scope, used: Option<i64>, expires: Option<i64>| ApiToken {
        id: TokenId::new(NOW, &random),
        name: name.into(),
        scope,
        created_at: NOW.plus_secs(-900_000),
        last_used_at: used.map(|s| NOW.plus_secs(-s)),
        expires_at: expires.map(|s| NOW.plus_secs(s)),
    };
    let key = SshKey {
        id: SshKeyId::new(NOW, &random),
        name: "ada@laptop".into(),
        fingerprint: "SHA256:Zf0h8n0mQhU0JX3bqk8v0lWmPZbI0m3gqKq7kF6o1aE".into(),
        created_at: NOW.plus_secs(-2_000_000),
        last_used_at: None,
    };
    let page = |shell, tokens, keys, fresh: Option<&str>, form, errors| AccountPage {
        shell,
        tokens,
        keys,
        fresh: fresh.map(str::to_owned),
        form,
        errors,
    };
    let tokens = vec![
        token("cli on ada-laptop", Scope::Full, Some(120), None),
        token("github actions", Scope::Deploy, None, Some(5_000_000)),
    ];
    let here = || shell(language, "/account");
    let form =
        AccountForm { token_name: String::new(), public_key: "ssh-rsa nonsense".into(), ..AccountForm::default() };
    let mut errors = Errors::field(
        "public_key",
        "this is not an OpenSSH public key: it starts with ssh-ed25519, ssh-rsa or ecdsa-…",
    );
    errors.add("token_name", "give the token a name");
    let full = page(
        with_flash(here(), "flash.token_made"),
        tokens,
        vec![key],
        Some("wharf_3q2f81c95b7e4a0d9c1b8f6e5a4d3c2b1a0f9e8d"),
        AccountForm::default(),
        Errors::default(),
    );
    vec![
        Sample::page("account", &full),
        Sample::page("account-empty", &page(here(), vec![], vec![], None, AccountForm::default(), Errors::default())),
        Sample::page("account-errors", &page(here(), vec![], vec![], None, form, errors)),
    ]
}
