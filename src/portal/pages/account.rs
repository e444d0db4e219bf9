//! One's own account: API tokens, SSH keys, password.

use askama::Template;
use axum::extract::Form;

use crate::api::access::{Me, State};
use crate::kernel::id::{SshKeyId, TokenId};
use crate::kernel::secret::Secret;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::Params;
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use serde::Deserialize;

use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::model::{ApiToken, SshKey};
use crate::tenancy::roles::Scope;

/// What is typed in one of the page's forms; passwords come back empty.
#[derive(Clone, Default, Deserialize)]
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

async fn page(
    portal: &PortalState,
    visit: &Visit,
    who: &Principal,
    mut form: AccountForm,
    errors: Errors,
) -> Result<AccountPage, Failure> {
    form.old.clear();
    form.new.clear();
    let mut shell = portal.shell(visit, who).await?;
    // The way back to the apps.
    shell.tenant = shell.tenants.first().cloned();
    Ok(AccountPage {
        tokens: portal.apps.tokens(who).await?,
        keys: portal.apps.ssh_keys(who).await?,
        shell,
        fresh: None,
        form,
        errors,
    })
}

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, visit: Visit) -> Answer {
    answer::html(&page(&portal, &visit, &who, AccountForm::default(), Errors::default()).await?)
}

pub(crate) async fn change_password(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<AccountForm>,
) -> Answer {
    let (old, new) = (Secret::new(form.old.clone()), Secret::new(form.new.clone()));
    match portal.apps.change_password(&who, &old, &new).await {
        Ok(()) => answer::go_and_say("/account", &visit, "flash.password_changed"),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[("old", "old"), ("new", "new")])?;
            answer::refused(&page(&portal, &visit, &who, form, errors).await?)
        }
    }
}

/// The answer shows the new token: it exists nowhere else from then on.
pub(crate) async fn make_token(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<AccountForm>,
) -> Answer {
    let scope = match form.scope.as_str() {
        "read" => Scope::Read,
        "deploy" => Scope::Deploy,
        _ => Scope::Full,
    };
    match portal.apps.create_token(&who, form.token_name.trim(), scope, None, form.expires.parse().ok()).await {
        Ok((_, secret)) => {
            let mut page = page(&portal, &visit, &who, AccountForm::default(), Errors::default()).await?;
            page.fresh = Some(secret.expose().clone());
            answer::html(&page)
        }
        Err(error) => {
            let errors = Errors::from_refusal(error, &[("name", "token_name")])?;
            answer::refused(&page(&portal, &visit, &who, form, errors).await?)
        }
    }
}

pub(crate) async fn revoke_token(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    params: Params,
) -> Answer {
    portal.apps.revoke_token(&who, &params.get::<TokenId>("id")?).await?;
    answer::go_and_say("/account", &visit, "flash.token_revoked")
}

pub(crate) async fn add_key(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<AccountForm>,
) -> Answer {
    let name = Some(form.key_name.trim()).filter(|name| !name.is_empty());
    match portal.apps.add_ssh_key(&who, name, form.public_key.trim()).await {
        Ok(_) => answer::go_and_say("/account#ssh-keys", &visit, "flash.key_added"),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[("public_key", "public_key"), ("name", "key_name")])?;
            answer::refused(&page(&portal, &visit, &who, form, errors).await?)
        }
    }
}

pub(crate) async fn remove_key(State(portal): State<PortalState>, Me(who): Me, visit: Visit, params: Params) -> Answer {
    portal.apps.remove_ssh_key(&who, &params.get::<SshKeyId>("id")?).await?;
    answer::go_and_say("/account#ssh-keys", &visit, "flash.key_removed")
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
