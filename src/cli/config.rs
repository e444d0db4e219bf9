//! `wharf config`: environment variables.

use std::collections::BTreeMap;

use clap::Subcommand;
use reqwest::Method;

use super::context::{Context, Global};
use super::failure::{Failure, exit};
use super::{follow, output};
use crate::apps::{ConfigChange, ConfigOutcome, ConfigView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the variables with their values
    #[command(after_help = "Example:\n  wharf config --app shop")]
    List,
    /// Print one value
    #[command(after_help = "Example:\n  wharf config get DATABASE_URL")]
    Get {
        /// Name of the variable
        name: String,
    },
    /// Set variables and roll them out
    #[command(after_help = "Examples:\n  wharf config set MODE=live GREETING='good morning'\n  wharf config set KEY=x --no-restart")]
    Set {
        /// NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
        pairs: Vec<String>,
        /// Only store it; the next deploy takes it
        #[arg(long)]
        no_restart: bool,
    },
    /// Remove variables and roll that out
    #[command(after_help = "Example:\n  wharf config unset MODE")]
    Unset {
        /// Names of variables
        #[arg(required = true)]
        names: Vec<String>,
        /// Only store it; the next deploy takes it
        #[arg(long)]
        no_restart: bool,
    },
}

pub(super) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let change = match command {
        Command::List => return list(&context, &app).await,
        Command::Get { name } => return get(&context, &app, &name).await,
        Command::Set { pairs, no_restart } => ConfigChange { set: parse_pairs(&pairs)?, unset: Vec::new(), no_restart },
        Command::Unset { names, no_restart } => ConfigChange { set: BTreeMap::new(), unset: names, no_restart },
    };
    let outcome: ConfigOutcome = context.client.call(Method::PATCH, &format!("{app}/config"), &change).await?;
    match &outcome.operation {
        Some(operation) => follow::follow(&context, &app, operation).await,
        None if context.json => output::json(&outcome),
        None => {
            println!("Stored as version {}; the next deploy takes it.", outcome.version);
            Ok(())
        }
    }
}

async fn list(context: &Context, app: &str) -> Result<(), Failure> {
    let config: ConfigView = context.client.get(&format!("{app}/config")).await?;
    if context.json {
        return output::json(&config);
    }
    if config.values.is_empty() {
        println!("No variable is set. Set one: wharf config set NAME=VALUE");
    }
    for (name, value) in &config.values {
        println!("{name}={value}");
    }
    Ok(())
}

async fn get(context: &Context, app: &str, name: &str) -> Result<(), Failure> {
    let config: ConfigView = context.client.get(&format!("{app}/config")).await?;
    let value = config.values.get(name).ok_or_else(|| Failure::new(exit::NOT_FOUND, format!("`{name}` is not set")))?;
    if context.json {
        return output::json(value);
    }
    println!("{value}");
    Ok(())
}

fn parse_pairs(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    words
        .iter()
        .map(|word| {
            let pair = word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failure::usage(format!("`{word}` is not of the form NAME=VALUE")))
        })
        .collect()
}
