//! `wharf diff`, `volumes` and `secrets`: what an architecture was, and what it has beside its services.

use std::io::Read as _;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::apps::ask;
use super::context::{Context, Global, encode};
use super::failure::Failure;
use super::output;
use super::plan::changes;
use crate::apps::{DiffView, SecretView, VolumeView};

/// Show what differs between two revisions.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf diff 3 4")]
pub(super) struct Diff {
    /// The earlier revision
    from: String,
    /// The later one
    to: String,
}

/// List the volumes of an app.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf volumes --app shop")]
pub(super) struct Volumes {}

/// Secrets of an app: files and variables that are never shown.
#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// List the secrets, without their values
    #[command(after_help = "Example:\n  wharf secrets list --app shop")]
    List,
    /// Set a secret; the value comes from standard input, or is asked for
    #[command(after_help = "Example:\n  wharf secrets set tls_key < key.pem")]
    Set {
        /// Its name, as the Compose file has it
        name: String,
    },
    /// Remove a secret
    #[command(after_help = "Example:\n  wharf secrets remove tls_key")]
    Remove {
        /// Its name
        name: String,
    },
}

pub(super) async fn diff(global: &Global, args: Diff) -> Result<(), Failure> {
    let number = |text: &str| {
        let digits = text.strip_prefix('v').unwrap_or(text);
        digits
            .parse::<i64>()
            .map_err(|_| Failure::usage(format!("`{text}` is not the number of a revision, such as 7")))
    };
    let (from, to) = (number(&args.from)?, number(&args.to)?);
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let diff: DiffView = context.client.get(&format!("{app}/diff?from={from}&to={to}")).await?;
    if context.json {
        return output::json(&diff);
    }
    changes(&diff.changes);
    if diff.changes.is_empty() {
        println!("v{from} and v{to} are the same.");
    }
    Ok(())
}

pub(super) async fn volumes(global: &Global, _args: Volumes) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let all: Vec<VolumeView> = context.client.items(&format!("{}/volumes", context.app_path().await?)).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("This app has no volume.");
        return Ok(());
    }
    let rows = all.iter().map(|v| {
        let size = v.size_bytes.map(|b| format!("{} KiB", b.div_ceil(1024))).unwrap_or_default();
        let used = match v.in_use {
            Some(true) => "in use",
            Some(false) => "not in use",
            None => "",
        };
        let made = v.created_at.as_deref().map(output::ago).unwrap_or_default();
        vec![v.name.clone(), v.services.join(", "), size, used.to_owned(), made]
    });
    output::table(&["VOLUME", "SERVICES", "SIZE", "STATE", "MADE"], rows.collect());
    Ok(())
}

pub(super) async fn secrets(global: &Global, command: Secrets) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let path = format!("{}/secrets", context.app_path().await?);
    match command {
        Secrets::List => list_secrets(&context, &path).await,
        Secrets::Set { name } => {
            let value = read_value(&name)?;
            let at = format!("{path}/{}", encode(&name));
            let set: SecretView = context.client.call(Method::PUT, &at, &json!({ "value": value })).await?;
            if context.json {
                return output::json(&set);
            }
            println!("{} is at version {}; the next deploy takes it.", set.name, set.version);
            Ok(())
        }
        Secrets::Remove { name } => {
            let request = context.client.request(Method::DELETE, &format!("{path}/{}", encode(&name)))?;
            context.client.send(request).await?;
            if !context.json {
                println!("{name} has no value any more.");
            }
            Ok(())
        }
    }
}

async fn list_secrets(context: &Context, path: &str) -> Result<(), Failure> {
    let all: Vec<SecretView> = context.client.items(path).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("This app has no secret.");
        return Ok(());
    }
    let row =
        |s: &SecretView| vec![s.name.clone(), s.version.to_string(), output::ago(&s.created_at), s.author.clone()];
    output::table(&["SECRET", "VERSION", "SET", "BY"], all.iter().map(row).collect());
    Ok(())
}

/// From standard input as it is, or one line that is asked for.
fn read_value(name: &str) -> Result<String, Failure> {
    use std::io::IsTerminal as _;
    if std::io::stdin().is_terminal() {
        return ask(&format!("Value of {name}: "), "write the value to standard input");
    }
    let mut value = String::new();
    std::io::stdin()
        .read_to_string(&mut value)
        .map_err(|e| Failure::usage(format!("the value on standard input is not a text: {e}")))?;
    Ok(value)
}
