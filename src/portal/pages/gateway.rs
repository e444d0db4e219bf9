//! What happens on an app's host names before the app is asked: maintenance, who is let in, limits, redirects.

use askama::Template;
use axum::extract::Form;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::access::{App, In, Me, State};
use crate::apps::{AppPath, Caller, GatewayView, RouteTraffic};
use crate::gateway::model::{Robots, Settings};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::context::app_path;
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use crate::tenancy::roles::Permission;

/// What is typed in one of the page's forms. A password is never written into a page.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct GatewayForm {
    pub message: String,
    pub allow: String,
    pub deny: String,
    pub rate_requests: String,
    pub rate_seconds: String,
    pub redirect: String,
    pub robots: String,
    pub compression: String,
    pub name: String,
}

/// Somebody to be let in. Kept apart, so that no password can get into a page.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VisitorForm {
    pub name: String,
    pub password: String,
}

#[derive(Template)]
#[template(path = "pages/gateway.html")]
pub(crate) struct GatewayPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub view: GatewayView,
    /// `None` while the ingress does not answer.
    pub traffic: Option<Vec<RouteTraffic>>,
    pub form: GatewayForm,
    pub errors: Errors,
}

impl GatewayPage {
    fn visitors(&self) -> Vec<&str> {
        let basic = self.view.app.basic_auth.as_ref();
        basic.map(|basic| basic.users.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn ms(&self, micros: &u64) -> String {
        ms(*micros)
    }

    fn refused(&self, one: &RouteTraffic) -> u64 {
        one.limited + one.denied + one.shed
    }

    /// Domains with settings of their own, which only the command line changes.
    fn special(&self) -> String {
        self.view.hosts.keys().cloned().collect::<Vec<_>>().join(", ")
    }
}

/// Microseconds as people read them.
pub(super) fn ms(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1_000.0)
}

fn typed(settings: &Settings) -> GatewayForm {
    let limit = settings.rate_limit.as_ref();
    GatewayForm {
        message: settings.maintenance.as_ref().map(|m| m.message.clone()).unwrap_or_default(),
        allow: settings.allow.join("\n"),
        deny: settings.deny.join("\n"),
        rate_requests: limit.map(|limit| limit.requests.to_string()).unwrap_or_default(),
        rate_seconds: limit.map(|limit| limit.per_seconds.to_string()).unwrap_or_default(),
        redirect: settings.redirect.as_ref().map(|redirect| redirect.to.clone()).unwrap_or_default(),
        robots: match settings.robots.unwrap_or_default() {
            Robots::Auto => "auto",
            Robots::Allow => "allow",
            Robots::Deny => "deny",
        }
        .to_owned(),
        compression: if settings.compression == Some(false) { "off" } else { "on" }.to_owned(),
        name: String::new(),
    }
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    form: Option<GatewayForm>,
    errors: Errors,
) -> Result<GatewayPage, Failure> {
    let view = portal.apps.gateway(caller, app).await?;
    Ok(GatewayPage {
        shell: portal.inside(visit, who, caller).await?,
        app: portal.app(visit, caller, app).await?,
        tab: Tab::Gateway,
        traffic: portal.apps.app_traffic(caller, app).await.ok(),
        form: form.unwrap_or_else(|| typed(&view.app)),
        view,
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
    answer::html(&page(&portal, &visit, (&who, &caller, &app), None, Errors::default()).await?)
}

/// Makes a change and goes back to the page; a refusal shows it again as it was typed.
async fn changed(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    form: Option<GatewayForm>,
    change: Value,
) -> Answer {
    match portal.apps.change_gateway(caller, app, None, change).await {
        Ok(_) => answer::go_and_say(&format!("{}/gateway", app_path(caller, app)), visit, "flash.saved"),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(portal, visit, (who, caller, app), form, errors).await?)
        }
    }
}

pub(crate) async fn maintenance_on(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<GatewayForm>,
) -> Answer {
    let change = json!({ "maintenance": { "message": form.message.trim() } });
    changed(&portal, &visit, (&who, &caller, &app), None, change).await
}

pub(crate) async fn maintenance_off(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
) -> Answer {
    changed(&portal, &visit, (&who, &caller, &app), None, json!({ "maintenance": null })).await
}

pub(crate) async fn change(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<GatewayForm>,
) -> Answer {
    match asked(&form) {
        Ok(change) => changed(&portal, &visit, (&who, &caller, &app), Some(form), change).await,
        Err(field) => {
            let errors = Errors::field(field, portal.stranger(&visit).t("gateway.number_wrong"));
            answer::refused(&page(&portal, &visit, (&who, &caller, &app), Some(form), errors).await?)
        }
    }
}

/// The change that a form asks for; the error names the field that is no number.
fn asked(form: &GatewayForm) -> Result<Value, &'static str> {
    let list = |text: &str| {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        Some(parts.map(Value::from).collect::<Vec<_>>()).filter(|list| !list.is_empty())
    };
    let number = |text: &str, field| text.trim().parse::<u32>().map_err(|_| field);
    let rate = match (form.rate_requests.trim(), form.rate_seconds.trim()) {
        ("", "") => Value::Null,
        (requests, seconds) => {
            let seconds = if seconds.is_empty() { 60 } else { number(seconds, "rate_seconds")? };
            json!({ "requests": number(requests, "rate_requests")?, "per_seconds": seconds })
        }
    };
    let redirect = Some(form.redirect.trim()).filter(|to| !to.is_empty()).map(|to| json!({ "to": to }));
    Ok(json!({
        "allow": list(&form.allow),
        "deny": list(&form.deny),
        "rate_limit": rate,
        "redirect": redirect,
        "robots": Some(&form.robots).filter(|word| *word != "auto" && !word.is_empty()),
        "compression": (form.compression == "off").then_some(false),
    }))
}

pub(crate) async fn add_visitor(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<VisitorForm>,
) -> Answer {
    let name = form.name.trim();
    let change = json!({ "basic_auth": { "users": { name: { "password": form.password } } } });
    changed(&portal, &visit, (&who, &caller, &app), None, change).await
}

pub(crate) async fn remove_visitor(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<VisitorForm>,
) -> Answer {
    let change = json!({ "basic_auth": { "users": { form.name: null } } });
    changed(&portal, &visit, (&who, &caller, &app), None, change).await
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell, viewer};
    let set: Settings = serde_json::from_value(json!({
        "maintenance": {"message": "We move to a faster machine. Back at noon."},
        "allow": ["203.0.113.0/24"], "rate_limit": {"requests": 600, "per_seconds": 60},
        "basic_auth": {"users": {"ada": {}, "grace": {}}}, "robots": "deny",
    }))
    .expect("settings");
    let traffic = RouteTraffic {
        at: "shop.example.net".into(),
        service: "web".into(),
        requests: 12_345,
        ok: 12_000,
        client_errors: 300,
        server_errors: 45,
        limited: 12,
        p50_us: 8_400,
        p99_us: 91_000,
        ..RouteTraffic::default()
    };
    let page = |shell, settings: Settings, traffic, errors| GatewayPage {
        shell,
        app: app(AppState::Running),
        tab: Tab::Gateway,
        form: typed(&settings),
        view: GatewayView {
            hosts: [("www.shop.example.net".to_owned(), Settings::default())].into(),
            app: settings,
            ..GatewayView::default()
        },
        traffic,
        errors,
    };
    let path = "/t/acme/shop/production/gateway";
    let wrong = Errors::field("rate_requests", "write a whole number");
    vec![
        Sample::page("gateway", &page(shell(language, path), Settings::default(), None, Errors::default())),
        Sample::page("gateway-set", &page(shell(language, path), set.clone(), Some(vec![traffic]), Errors::default())),
        Sample::page("gateway-errors", &page(shell(language, path), set.clone(), Some(Vec::new()), wrong)),
        Sample::page("gateway-viewer", &page(viewer(language, path), set, Some(Vec::new()), Errors::default())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_a_change_and_comes_back_as_typed() {
        let form = GatewayForm {
            allow: "10.0.0.0/8,\n192.0.2.1".into(),
            rate_requests: "5".into(),
            robots: "deny".into(),
            compression: "off".into(),
            redirect: " https://a.test ".into(),
            ..GatewayForm::default()
        };
        let change = asked(&form).unwrap();
        let settings: Settings = crate::gateway::patch::apply(&Settings::default(), change).unwrap();
        let back = typed(&settings);
        assert_eq!((&*back.allow, &*back.rate_requests, &*back.rate_seconds), ("10.0.0.0/8\n192.0.2.1", "5", "60"));
        assert_eq!((&*back.redirect, &*back.robots, &*back.compression), ("https://a.test", "deny", "off"));
        let nothing = asked(&GatewayForm { robots: "auto".into(), compression: "on".into(), ..Default::default() });
        assert_eq!(crate::gateway::patch::apply(&settings, nothing.unwrap()), Ok(Settings::default()));
        assert_eq!(asked(&GatewayForm { rate_requests: "many".into(), ..form }), Err("rate_requests"));
    }
}
