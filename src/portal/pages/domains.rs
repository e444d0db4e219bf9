//! The host names of an app, and what the DNS must say.

use askama::Template;
use serde::Deserialize;

use crate::apps::DomainView;
use crate::kernel::name::HostName;
use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DomainForm {
    pub host: String,
    pub service: String,
}

#[derive(Template)]
#[template(path = "pages/domains.html")]
pub(crate) struct DomainsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub domains: Vec<DomainView>,
    /// The names of the app's services.
    pub services: Vec<String>,
    /// The platform's host name.
    pub platform: String,
    pub form: DomainForm,
    pub errors: Errors,
}

impl DomainsPage {
    /// The DNS record to make, for the name that was typed if there is one.
    fn dns_record(&self) -> String {
        let typed = self.form.host.parse::<HostName>();
        let host = typed.as_ref().map_or("shop.example.com", HostName::as_str);
        let target = self.domains.iter().find(|d| d.is_default).map_or(self.platform.as_str(), |d| d.host.as_str());
        format!("{host}.  CNAME  {target}.")
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell};
    let page = |form, errors| {
        let app = app(AppState::Running);
        DomainsPage {
            shell: shell(language, "/t/acme/shop/production/domains"),
            domains: app.domains.clone(),
            app,
            tab: Tab::Domains,
            services: vec!["web".into(), "worker".into()],
            platform: "wharf.example.net".into(),
            form,
            errors,
        }
    };
    let typed = DomainForm { host: "https://shop.example.com/".into(), service: "web".into() };
    let wrong = "the domain `https://shop.example.com/` is not valid: write a host name such as shop.example.com, without a scheme, port or path";
    vec![
        Sample::page("domains", &page(DomainForm::default(), Errors::default())),
        Sample::page("domains-errors", &page(typed, Errors::field("host", wrong))),
    ]
}
