//! `wharf ops`: operations.

use clap::Subcommand;
use reqwest::Method;

use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::{follow, output};
use crate::apps::OperationView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the newest operations of the app
    #[command(after_help = "Example:\n  wharf ops --app shop")]
    List,
    /// Show an operation to its end, with its log
    #[command(after_help = "Example:\n  wharf ops show op_0193…")]
    Show {
        /// Id of the operation
        id: String,
    },
    /// Stop an operation; what served before goes on
    #[command(after_help = "Example:\n  wharf ops cancel op_0193…")]
    Cancel {
        /// Id of the operation
        id: String,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    match command {
        Command::List => {
            let all: Vec<OperationView> = context.client.items(&format!("{app}/operations")).await?;
            if context.json {
                return output::json(&all);
            }
            let rows = all.iter().map(|o| {
                let about = o.summary.clone().unwrap_or_else(|| o.phase.clone());
                vec![o.id.clone(), o.kind.clone(), output::state(&o.state), output::ago(&o.created_at), o.actor.clone(), about]
            });
            output::table(&["OPERATION", "KIND", "STATE", "BEGAN", "BY", "ABOUT"], rows.collect());
            Ok(())
        }
        Command::Show { id } => {
            let mut operation: OperationView = context.client.get(&format!("{app}/operations/{}", encode(&id))).await?;
            // Its log is shown also when it has ended.
            operation.finished_at = None;
            follow::follow(&context, &app, &operation).await
        }
        Command::Cancel { id } => {
            let path = format!("{app}/operations/{}/cancel", encode(&id));
            let ended: OperationView = context.client.call(Method::POST, &path, &()).await?;
            if context.json {
                return output::json(&ended);
            }
            println!("{}: {}", ended.kind, ended.summary.unwrap_or(ended.state));
            Ok(())
        }
    }
}
