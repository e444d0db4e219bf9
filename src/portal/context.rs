//! What handlers are given: the verbs, the clock, and the shell of a page for who asks.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::PortalState;
use super::answer::Failure;
use super::app_view::AppView;
use super::shell::{Flash, Person, Shell, TenantLink};
use super::visit::Visit;
use crate::apps::{AppPath, Caller};
use crate::kernel::clock::Timestamp;
use crate::tenancy::access::{Credential, Entered, Principal};

impl Shell {
    /// The shell of a page for nobody in particular.
    pub(crate) fn stranger(visit: &Visit, now: Timestamp) -> Self {
        let mut shell = Self {
            language: visit.language,
            theme: visit.theme,
            now,
            path: visit.path.clone(),
            csrf: String::new(),
            person: None,
            tenants: Vec::new(),
            tenant: None,
            flash: None,
        };
        shell.flash = visit.flash.as_deref().map(|key| Flash { tone: "ok", text: shell.t(key).to_owned() });
        shell
    }
}

impl PortalState {
    /// The shell of a page for nobody in particular.
    pub(crate) fn stranger(&self, visit: &Visit) -> Shell {
        Shell::stranger(visit, self.clock.now())
    }

    /// The shell of a page for somebody, outside any tenant.
    pub(crate) async fn shell(&self, visit: &Visit, who: &Principal) -> Result<Shell, Failure> {
        let memberships = self.apps.tenants_of(who).await?;
        let link =
            |m: crate::tenancy::model::Membership| TenantLink { slug: m.slug.to_string(), name: m.name, role: m.role };
        let csrf = match &who.credential {
            Credential::Session { csrf_token, .. } => csrf_token.clone(),
            Credential::Token { .. } | Credential::SshKey { .. } => String::new(),
        };
        Ok(Shell {
            csrf,
            person: Some(Person { name: who.name.clone(), email: who.email.clone(), operator: who.is_operator }),
            tenants: memberships.into_iter().map(link).collect(),
            ..self.stranger(visit)
        })
    }

    /// The shell of a page for somebody inside a tenant.
    pub(crate) async fn inside(&self, visit: &Visit, who: &Principal, caller: &Caller) -> Result<Shell, Failure> {
        let mut shell = self.shell(visit, who).await?;
        let slug = caller.slug.as_str();
        let known = shell.tenants.iter().find(|tenant| tenant.slug == slug).cloned();
        let unnamed = || TenantLink { slug: slug.to_owned(), name: slug.to_owned(), role: caller.role };
        shell.tenant = Some(known.unwrap_or_else(unnamed));
        Ok(shell)
    }

    /// An app for its pages.
    pub(crate) async fn app(&self, visit: &Visit, caller: &Caller, app: &AppPath) -> Result<AppView, Failure> {
        Ok(AppView::new(self.apps.detail(caller, app).await?, visit.origin.clone()))
    }
}

/// The path of a tenant's pages.
pub(crate) fn tenant_path(caller: &Caller) -> String {
    format!("/t/{}", caller.slug)
}

/// The path of an app's pages.
pub(crate) fn app_path(caller: &Caller, app: &AppPath) -> String {
    format!("/t/{}/{}/{}", caller.slug, app.project, app.environment)
}

/// The proof that verbs about a tenant itself take.
pub(crate) fn entered(caller: &Caller) -> Entered {
    Entered { tenant: caller.tenant.clone(), slug: caller.slug.clone(), role: caller.role }
}

/// The parameters of the path.
#[derive(Debug, Clone)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// One of them as what it stands for; what cannot exist is not there.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        let value = self.0.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse().ok());
        value.ok_or_else(Failure::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Failure::not_found())?;
        Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}
