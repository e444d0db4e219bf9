//! `wharf rollout`: a release on its way to the traffic; `wharf retry`: a service that was left to a person.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::context::{Context, Global};
use super::failure::Failure;
use super::output;
use crate::apps::RolloutView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what is on its way, and what it waits for
    #[command(after_help = "Example:\n  wharf rollout status")]
    Status,
    /// Stop it where it is
    #[command(after_help = "Example:\n  wharf rollout pause")]
    Pause,
    /// Let it go on after a pause
    #[command(after_help = "Example:\n  wharf rollout resume")]
    Resume,
    /// End the present step of a canary
    #[command(after_help = "Example:\n  wharf rollout promote --full")]
    Promote {
        /// Give the new release all traffic, without further steps
        #[arg(long)]
        full: bool,
    },
    /// Take it back; what served before serves on
    #[command(after_help = "Example:\n  wharf rollout abort")]
    Abort,
}

/// Try a service again that was left to a person.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf retry db")]
pub(super) struct Retry {
    service: String,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let (verb, said) = match command {
        Command::Status => return status(&context, &app).await,
        Command::Pause => ("pause", "The rollout is paused."),
        Command::Resume => ("resume", "The rollout goes on."),
        Command::Promote { full: false } => ("promote", "The step has ended."),
        Command::Promote { full: true } => ("promote?full=true", "The new release takes all traffic."),
        Command::Abort => ("abort", "The rollout is being taken back."),
    };
    context.client.call_empty(Method::POST, &format!("{app}/rollout/{verb}"), None::<&()>).await?;
    if !context.json {
        println!("{said}");
    }
    Ok(())
}

pub(super) async fn retry(global: &Global, what: Retry) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let body = serde_json::json!({ "service": what.service });
    context.client.call_empty(Method::POST, &format!("{app}/retry"), Some(&body)).await?;
    if !context.json {
        println!("{} is tried again.", what.service);
    }
    Ok(())
}

async fn status(context: &Context, app: &str) -> Result<(), Failure> {
    let rollout: Option<RolloutView> = context.client.get(&format!("{app}/rollout")).await?;
    if context.json {
        return output::json(&rollout);
    }
    match rollout {
        None => println!("Nothing is being rolled out."),
        Some(rollout) => lines(&rollout).iter().for_each(|line| println!("{line}")),
    }
    Ok(())
}

/// What there is to say about a rollout, one line each.
pub(super) fn lines(rollout: &RolloutView) -> Vec<String> {
    let since = output::ago(&rollout.since);
    let mut lines = vec![format!("v{} ({}) by {}, {since}", rollout.revision, rollout.cause, rollout.actor)];
    lines.extend(rollout.paused_by.iter().map(|by| format!("  paused by {by}")));
    lines.extend(rollout.withdrawn.iter().map(|reason| format!("  being rolled back: {reason}")));
    for service in &rollout.services {
        let step = service.step.map(|n| format!(", step {n} of {}", service.steps)).unwrap_or_default();
        let share = service.percent.map(|p| format!(", {p} % of the requests")).unwrap_or_default();
        lines.push(format!("  {}: {}{step}{share}", service.name, service.strategy));
    }
    lines.extend(rollout.waiting_for.iter().map(|wait| format!("  waiting: {wait}")));
    lines
}
