//! `wharf status`: what runs, and what it waits for.

use clap::Args;

use super::apps::name_of;
use super::context::{Context, Global};
use super::failure::Failure;
use super::{output, rollout};
use crate::apps::{AppDetail, ServiceView};

/// Show an app.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf status --app shop")]
pub(super) struct Status {}

pub(super) async fn run(global: &Global, _args: Status) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app: AppDetail = context.client.get(&context.app_path().await?).await?;
    if context.json {
        return output::json(&app);
    }
    let word = serde_json::to_value(app.state)?.as_str().unwrap_or_default().to_owned();
    let release = app.revision.map(|r| format!("v{r}")).unwrap_or_else(|| "nothing deployed yet".to_owned());
    println!("{}  {}  {release}", console::style(name_of(&app.project, &app.environment)).bold(), output::state(&word));
    for url in &app.urls {
        println!("  {url}");
    }
    for port in &app.ports {
        println!("  {} {} leads to {}:{}", port.transport, port.address, port.service, port.port);
    }
    for domain in app.domains.iter().filter(|d| d.certificate.state.is_alarm()) {
        let detail = domain.certificate.detail.as_deref().unwrap_or("the certificate has ended");
        println!("  {} {}: {detail}", console::style("certificate of").yellow(), domain.host);
    }
    if let Some(operation) = &app.operation {
        println!(
            "  {} by {}, {} ({})",
            operation.kind,
            operation.actor,
            output::ago(&operation.created_at),
            operation.phase
        );
    }
    if app.revision.is_none() && app.operation.is_none() {
        println!("  Deploy it: git push {} main", app.git.http);
    }
    for alarm in &app.alarms {
        println!("  {} {alarm}", console::style("needs you:").red().bold());
    }
    for line in app.rollout.iter().flat_map(rollout::lines) {
        println!("  {line}");
    }
    for service in &app.services {
        println!();
        let state = output::state(&service.state);
        println!("{} ({}): {state}, {} of {} healthy", service.name, service.kind, service.healthy, service.wanted);
        for wait in &service.waiting_for {
            println!("  waiting: {wait}");
        }
    }
    let rows = instance_rows(&app.services);
    if !rows.is_empty() {
        println!();
        output::table(&INSTANCE_HEADER, rows);
    }
    Ok(())
}

pub(super) const INSTANCE_HEADER: [&str; 6] = ["INSTANCE", "STATE", "RELEASE", "SINCE", "RESTARTS", "DETAIL"];

/// The instances of all services, one row each.
pub(super) fn instance_rows(services: &[ServiceView]) -> Vec<Vec<String>> {
    let all = services.iter().flat_map(|s| &s.instances);
    all.map(|i| {
        vec![
            i.name.clone(),
            output::state(&i.state),
            format!("v{}", i.revision),
            i.started_at.as_deref().map(output::ago).unwrap_or_default(),
            i.restarts.to_string(),
            i.detail.clone().unwrap_or_default(),
        ]
    })
    .collect()
}
