//! `wharf releases` and `wharf rollback`.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::context::{Context, Global};
use super::failure::Failure;
use super::{follow, output};
use crate::apps::{OperationView, RevisionView};

/// List releases.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf releases --app shop")]
pub(super) struct Releases {}

/// Go back to an earlier release, its configuration included.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf rollback        the one before\n  wharf rollback 7")]
pub(super) struct Rollback {
    /// Number of the release; the one before the present one when left out
    number: Option<String>,
}

pub(super) async fn list(global: &Global, _args: Releases) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let all: Vec<RevisionView> = context.client.items(&format!("{}/revisions", context.app_path().await?)).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("Nothing was deployed yet.");
        return Ok(());
    }
    let rows = all.iter().map(|r| {
        let state = match (&r.failed_reason, r.serving) {
            (_, true) => output::state("running"),
            (Some(_), _) => output::state("failed"),
            (None, false) => String::new(),
        };
        let message = r.failed_reason.as_ref().map_or_else(|| r.message.clone(), |reason| format!("{}: {reason}", r.message));
        let commit = r.source_commit.as_deref().map(|c| c.chars().take(8).collect()).unwrap_or_default();
        vec![format!("v{}", r.number), state, output::ago(&r.created_at), r.author.clone(), commit, message]
    });
    output::table(&["RELEASE", "STATE", "MADE", "BY", "COMMIT", "ABOUT"], rows.collect());
    Ok(())
}

pub(super) async fn rollback(global: &Global, args: Rollback) -> Result<(), Failure> {
    let number = match args.number.as_deref() {
        None => None,
        Some(text) => {
            let digits = text.strip_prefix('v').unwrap_or(text);
            Some(digits.parse::<i64>().map_err(|_| Failure::usage(format!("`{text}` is not the number of a release, such as 7")))?)
        }
    };
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let operation: OperationView = context.client.call(Method::POST, &format!("{app}/rollback"), &json!({ "revision": number })).await?;
    follow::follow(&context, &app, &operation).await
}
