//! The gateway of the whole platform: what comes in everywhere, and the settings that hold for all. For operators.

use askama::Template;
use axum::extract::Form;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::access::{Me, State};
use crate::apps::{DrainOrder, PurgeOrder, RouteTraffic};
use crate::gateway::model::{AccessLog, Platform};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DataPlaneForm {
    pub trusted_proxies: String,
    pub proxy_protocol_from: String,
    pub access_log: String,
}

/// A button: an instance out of traffic or back, or something to be forgotten.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrderForm {
    pub upstream: String,
    /// `true` puts it back.
    pub undo: String,
    pub what: String,
}

/// An instance the ingress sends requests to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UpstreamLine {
    pub id: String,
    pub route: String,
    pub address: String,
    pub in_flight: u32,
    pub requests: u64,
    pub failures: u64,
    pub drained: bool,
    pub ejected: bool,
    pub in_table: bool,
}

/// What the ingress says about itself, as far as it is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlaneStatus {
    pub version: String,
    pub generation: u64,
    pub requests: u64,
    pub connections: Connections,
    pub upstreams: Vec<UpstreamLine>,
}

/// Open connections, and those turned away.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connections {
    pub open: u32,
    pub turned_away: u64,
}

#[derive(Template)]
#[template(path = "pages/data_plane.html")]
pub(crate) struct DataPlanePage {
    pub shell: Shell,
    /// `None` while the ingress does not answer.
    pub status: Option<PlaneStatus>,
    pub traffic: Vec<RouteTraffic>,
    pub form: DataPlaneForm,
    pub errors: Errors,
}

impl DataPlanePage {
    fn ms(&self, micros: &u64) -> String {
        super::gateway::ms(*micros)
    }

    fn refused(&self, one: &RouteTraffic) -> u64 {
        one.limited + one.denied + one.shed
    }

    fn place<'a>(&self, one: &'a RouteTraffic) -> &'a str {
        if one.at.is_empty() { &one.route } else { &one.at }
    }
}

fn typed(platform: &Platform) -> DataPlaneForm {
    DataPlaneForm {
        trusted_proxies: platform.trusted_proxies.join("\n"),
        proxy_protocol_from: platform.proxy_protocol_from.join("\n"),
        access_log: match platform.access_log.unwrap_or_default() {
            AccessLog::All => "all",
            AccessLog::Errors => "errors",
            AccessLog::Off => "off",
        }
        .to_owned(),
    }
}

/// The way to the portal is the only one over a Unix socket, and not for being taken out.
fn without_portal(mut status: PlaneStatus) -> PlaneStatus {
    status.upstreams.retain(|one| one.in_table && !one.address.starts_with("unix:"));
    status
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    who: &Principal,
    form: Option<DataPlaneForm>,
    errors: Errors,
) -> Result<DataPlanePage, Failure> {
    let platform = portal.apps.platform_gateway().await?;
    let status = portal.apps.data_plane_status().await.ok();
    Ok(DataPlanePage {
        shell: portal.shell(visit, who).await?,
        status: status.and_then(|status| serde_json::from_value(status).ok()).map(without_portal),
        traffic: portal.apps.traffic().await.unwrap_or_default(),
        form: form.unwrap_or_else(|| typed(&platform)),
        errors,
    })
}

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, visit: Visit) -> Answer {
    answer::html(&page(&portal, &visit, &who, None, Errors::default()).await?)
}

pub(crate) async fn change(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<DataPlaneForm>,
) -> Answer {
    let list = |text: &str| {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        Some(parts.map(Value::from).collect::<Vec<_>>()).filter(|list| !list.is_empty())
    };
    let change = json!({
        "trusted_proxies": list(&form.trusted_proxies),
        "proxy_protocol_from": list(&form.proxy_protocol_from),
        "access_log": Some(&form.access_log).filter(|word| *word != "all" && !word.is_empty()),
    });
    match portal.apps.change_platform_gateway(change).await {
        Ok(_) => answer::go_and_say("/gateway", &visit, "flash.saved"),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(&portal, &visit, &who, Some(form), errors).await?)
        }
    }
}

pub(crate) async fn drain(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<OrderForm>,
) -> Answer {
    let order = DrainOrder { upstream: form.upstream, route: None, undo: form.undo == "true" };
    let done = portal.apps.drain_upstream(&order).await;
    after_click(&portal, &visit, &who, done).await
}

pub(crate) async fn purge(
    State(portal): State<PortalState>,
    Me(who): Me,
    visit: Visit,
    Form(form): Form<OrderForm>,
) -> Answer {
    let done = portal.apps.purge_data_plane(&PurgeOrder { what: form.what }).await;
    after_click(&portal, &visit, &who, done).await
}

async fn after_click(
    portal: &PortalState,
    visit: &Visit,
    who: &Principal,
    done: Result<(), crate::apps::AppError>,
) -> Answer {
    match done {
        Ok(()) => answer::go_and_say("/gateway", visit, "flash.done"),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(portal, visit, who, None, errors).await?)
        }
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, shell};
    let upstream = |id: &str, drained| UpstreamLine {
        id: id.repeat(8),
        route: "dom_1".into(),
        address: "172.20.0.5:8080".into(),
        in_flight: 3,
        requests: 6_100,
        failures: 2,
        drained,
        in_table: true,
        ..UpstreamLine::default()
    };
    let status = PlaneStatus {
        version: "0.1.0".into(),
        generation: 41,
        requests: 123_456,
        connections: Connections { open: 87, turned_away: 0 },
        upstreams: vec![upstream("4f1d", false), upstream("9c02", true)],
    };
    let traffic = RouteTraffic {
        at: "shop.example.net".into(),
        service: "web".into(),
        requests: 12_345,
        server_errors: 45,
        limited: 12,
        p50_us: 8_400,
        p99_us: 91_000,
        ..RouteTraffic::default()
    };
    let page = |status, traffic, form, errors| DataPlanePage {
        shell: shell(language, "/gateway"),
        status,
        traffic,
        form,
        errors,
    };
    let set = DataPlaneForm { trusted_proxies: "10.0.0.0/8".into(), access_log: "errors".into(), ..Default::default() };
    let wrong = Errors::whole("this cannot be used: settings.trusted_proxies `10.0.0/8` is not an address or network");
    vec![
        Sample::page("data-plane", &page(Some(status), vec![traffic], DataPlaneForm::default(), Errors::default())),
        Sample::page("data-plane-errors", &page(None, Vec::new(), set, wrong)),
    ]
}
