//! The host names of an app, and what the DNS must say.

use askama::Template;
use axum::extract::Form;

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::app_path;
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use serde::Deserialize;

use crate::apps::{AppError, AppPath, Caller, CertificateUpload, DomainView};
use crate::certificates::model::Source;
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

/// A certificate that is handed in. The key is never written into a page.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CertificateForm {
    pub host: String,
    pub certificate: String,
    pub key: String,
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
    /// What was handed in and refused: its host and its certificate.
    pub upload: CertificateForm,
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

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    form: DomainForm,
    errors: Errors,
) -> Result<DomainsPage, Failure> {
    let view = portal.app(visit, caller, app).await?;
    let platform = visit.origin.split("://").nth(1).unwrap_or_default();
    let platform = platform.rsplit_once(':').map_or(platform, |(host, _)| host);
    Ok(DomainsPage {
        domains: view.domains.clone(),
        services: view.services.iter().map(|service| service.name.clone()).collect(),
        platform: platform.to_owned(),
        app: view,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Domains,
        form,
        upload: CertificateForm::default(),
        errors,
    })
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller, &app), DomainForm::default(), Errors::default()).await?)
}

pub(crate) async fn add(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<DomainForm>,
) -> Answer {
    let service = Some(form.service.clone()).filter(|service| !service.is_empty());
    let errors = match form.host.trim().parse() {
        Err(error) => Errors::field("host", format!("{error}")),
        Ok(host) => match portal.apps.add_domain(&caller, &app, host, service).await {
            Ok(_) => {
                let domains = format!("{}/domains", app_path(&caller, &app));
                return answer::go_and_say(&domains, &visit, "flash.domain_added");
            }
            Err(error) => Errors::from_refusal(error, &[("host", "host"), ("service", "service")])?,
        },
    };
    answer::refused(&page(&portal, &visit, (&who, &caller, &app), form, errors).await?)
}

pub(crate) async fn remove(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<DomainForm>,
) -> Answer {
    let host = form.host.parse().map_err(|_| Failure::not_found())?;
    let done = portal.apps.remove_domain(&caller, &app, &host).await;
    after_click(&portal, &visit, (&who, &caller, &app), done, "flash.domain_removed").await
}

pub(crate) async fn upload(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<CertificateForm>,
) -> Answer {
    let host = form.host.parse().map_err(|_| Failure::not_found())?;
    let upload = CertificateUpload { certificate: form.certificate.clone(), key: form.key.clone() };
    let errors = match portal.apps.add_certificate(&caller, &app, &host, upload).await {
        Ok(_) => {
            let domains = format!("{}/domains", app_path(&caller, &app));
            return answer::go_and_say(&domains, &visit, "flash.certificate_added");
        }
        Err(error) => Errors::from_refusal(error, &[("certificate", "certificate"), ("key", "key")])?,
    };
    let page = page(&portal, &visit, (&who, &caller, &app), DomainForm::default(), errors).await?;
    answer::refused(&DomainsPage { upload: form, ..page })
}

pub(crate) async fn remove_upload(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<CertificateForm>,
) -> Answer {
    let host = form.host.parse().map_err(|_| Failure::not_found())?;
    let done = portal.apps.remove_certificate(&caller, &app, &host).await;
    after_click(&portal, &visit, (&who, &caller, &app), done, "flash.certificate_removed").await
}

pub(crate) async fn renew(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<CertificateForm>,
) -> Answer {
    let host = form.host.parse().map_err(|_| Failure::not_found())?;
    let done = portal.apps.renew_certificate(&caller, &app, &host).await.map(drop);
    after_click(&portal, &visit, (&who, &caller, &app), done, "flash.certificate_asked").await
}

/// The answer to a button without fields: the page again, with what was done or why not.
async fn after_click(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    done: Result<(), AppError>,
    flash: &'static str,
) -> Answer {
    match done {
        Ok(()) => answer::go_and_say(&format!("{}/domains", app_path(caller, app)), visit, flash),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(portal, visit, (who, caller, app), DomainForm::default(), errors).await?)
        }
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
            upload: CertificateForm::default(),
            errors,
        }
    };
    let typed = DomainForm { host: "https://shop.example.com/".into(), service: "web".into() };
    let wrong = "the domain `https://shop.example.com/` is not valid: write a host name such as shop.example.com, without a scheme, port or path";
    let refused = DomainsPage {
        upload: CertificateForm {
            host: "shop.example.com".into(),
            certificate: "-----BEGIN".into(),
            ..Default::default()
        },
        ..page(DomainForm::default(), Errors::field("certificate", "the certificate file is damaged"))
    };
    vec![
        Sample::page("domains", &page(DomainForm::default(), Errors::default())),
        Sample::page("domains-errors", &page(typed, Errors::field("host", wrong))),
        Sample::page("domains-upload-errors", &refused),
    ]
}
