//! `wharf doctor`: what is wrong, and what to do.

use clap::Args;
use serde_json::Value;

use super::context::{Context, Global};
use super::failure::{Failure, exit};
use super::output;
use crate::api::system::SystemView;

/// Free space below which builds and databases are in danger.
const LITTLE_SPACE: u64 = 2 * 1024 * 1024 * 1024;

/// Check the platform (operators).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf doctor")]
pub(super) struct Doctor {}

pub(super) async fn run(global: &Global, _args: Doctor) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let health: Value = context.client.get("/health").await?;
    let system: SystemView = context.client.get("/system").await?;
    if context.json {
        return output::json(&system);
    }
    let mut bad = 0;
    let mut say = |good: bool, text: String| {
        let mark = if good { console::style("ok  ").green() } else { console::style("FAIL").red().bold() };
        bad += usize::from(!good);
        println!("{mark} {text}");
    };
    let status = health["status"].as_str().unwrap_or("unknown");
    say(status == "ok", format!("control plane {}: {status}", system.version));
    let engine = system.engine.version.clone().or(system.engine.detail.clone()).unwrap_or_default();
    say(system.engine.reachable, format!("container engine: {engine}"));
    let table = match system.ingress.generation {
        Some(generation) => {
            format!("{} routes, table {generation} of {}", system.ingress.routes, system.ingress.wanted_generation)
        }
        None => system.ingress.detail.clone().unwrap_or_default(),
    };
    say(system.ingress.reachable, format!("ingress: {table}"));
    let free = system.data_dir_free_bytes;
    say(free > LITTLE_SPACE, format!("disk: {} MiB free in the data directory", free / 1024 / 1024));
    let certificates = &system.certificates;
    let hosts = format!("certificates: {} of {} hosts have a valid one", certificates.valid, certificates.hosts);
    say(certificates.warnings.is_empty(), hosts);
    for warning in &certificates.warnings {
        println!("     {warning}");
    }
    println!("     builds: {} running, {} waiting", system.builds.running, system.builds.queue.len());
    if bad > 0 {
        return Err(Failure::new(exit::FAILED, format!("{bad} of these need attention")));
    }
    Ok(())
}
