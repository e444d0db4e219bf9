//! `wharf ps`: instances.

use std::collections::BTreeMap;

use clap::Subcommand;
use reqwest::Method;

use super::context::{Context, Global};
use super::failure::Failure;
use super::{follow, output, status};
use crate::apps::{AppDetail, OperationView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the instances
    #[command(after_help = "Example:\n  wharf ps --app shop")]
    List,
    /// Set how many instances of services are wanted
    #[command(after_help = "Example:\n  wharf ps scale web=3 worker=1")]
    Scale {
        /// SERVICE=NUMBER
        #[arg(required = true, value_name = "SERVICE=NUMBER")]
        formation: Vec<String>,
    },
    /// Replace all instances, without a gap
    #[command(after_help = "Example:\n  wharf ps restart")]
    Restart,
    /// Take all instances down; the app stays
    #[command(after_help = "Example:\n  wharf ps stop")]
    Stop,
    /// Bring a stopped app back
    #[command(after_help = "Example:\n  wharf ps start")]
    Start,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let operation: OperationView = match command {
        Command::List => return list(&context, &app).await,
        Command::Scale { formation } => {
            let wanted = parse_formation(&formation)?;
            context.client.call(Method::PUT, &format!("{app}/formation"), &wanted).await?
        }
        Command::Restart => context.client.call(Method::POST, &format!("{app}/restart"), &()).await?,
        Command::Stop => context.client.call(Method::POST, &format!("{app}/stop"), &()).await?,
        Command::Start => context.client.call(Method::POST, &format!("{app}/start"), &()).await?,
    };
    follow::follow(&context, &app, &operation).await
}

async fn list(context: &Context, app: &str) -> Result<(), Failure> {
    let detail: AppDetail = context.client.get(app).await?;
    if context.json {
        return output::json(&detail.services);
    }
    let rows = status::instance_rows(&detail.services);
    if rows.is_empty() {
        println!("No instance runs.");
    } else {
        output::table(&status::INSTANCE_HEADER, rows);
    }
    Ok(())
}

fn parse_formation(words: &[String]) -> Result<BTreeMap<String, u32>, Failure> {
    words
        .iter()
        .map(|word| {
            let parsed = word.split_once('=').and_then(|(name, n)| Some((name.to_owned(), n.parse().ok()?)));
            parsed.ok_or_else(|| Failure::usage(format!("`{word}` is not of the form SERVICE=NUMBER, such as web=3")))
        })
        .collect()
}
