//! Watching an operation until it ends, with its lines as they come.

use std::io::IsTerminal;
use std::time::Duration;

use console::style;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;

use super::context::Context;
use super::failure::{Failure, exit};
use super::output;
use crate::apps::{OperationLine, OperationView};

/// How often a lost connection is taken up again, and the pause before.
const RECONNECTS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Line(OperationLine),
    End { end: OperationView },
}

/// Shows an operation to its end; fails with its reason when it failed.
pub(super) async fn follow(context: &Context, app_path: &str, operation: &OperationView) -> Result<(), Failure> {
    let ended = if operation.finished_at.is_some() { operation.clone() } else { watch(context, app_path, operation).await? };
    if context.json {
        output::json(&ended)?;
    }
    let summary = ended.summary.clone().unwrap_or_default();
    match ended.state.as_str() {
        "succeeded" => Ok(()),
        "cancelled" => Err(Failure::new(exit::CONFLICT, format!("{}: {summary}", ended.kind))),
        _ => Err(Failure::failed(format!("{} failed: {summary}", ended.kind))),
    }
}

async fn watch(context: &Context, app_path: &str, operation: &OperationView) -> Result<OperationView, Failure> {
    let spinner = spinner(context, &operation.kind);
    let mut last = 0;
    let mut tries = 0;
    loop {
        match read(context, app_path, &operation.id, &mut last, &spinner).await {
            Ok(Some(ended)) => {
                spinner.finish_and_clear();
                return Ok(ended);
            }
            // The control plane may be restarting; the operation goes on, and so do we.
            Ok(None) => {}
            Err(failure) if failure.code != exit::UNREACHABLE || tries >= RECONNECTS => return Err(failure),
            Err(_) => {}
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(
    context: &Context,
    app_path: &str,
    id: &str,
    last: &mut i64,
    spinner: &ProgressBar,
) -> Result<Option<OperationView>, Failure> {
    let path = format!("{app_path}/operations/{id}/log?follow=true&after={last}");
    let answer = context.client.send(context.client.request(Method::GET, &path)?).await?;
    let mut chunks = answer.bytes_stream();
    let mut buffer = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| Failure::unreachable(context.client.base(), &e))?;
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(&line)? {
                Item::Line(line) => {
                    *last = line.seq;
                    show(context, &line, spinner);
                }
                Item::End { end } => return Ok(Some(end)),
            }
        }
    }
    Ok(None)
}

fn show(context: &Context, line: &OperationLine, spinner: &ProgressBar) {
    if context.json {
        return;
    }
    let text = match line.kind.as_str() {
        "step" => format!("{} {}", style("----->").cyan(), style(&line.line).bold()),
        "notice" => format!("{}     {}", style(" !").yellow(), line.line),
        "error" => format!("{}     {}", style(" !").red().bold(), style(&line.line).red()),
        _ => format!("       {}", line.line),
    };
    if spinner.is_hidden() {
        println!("{text}");
    } else {
        spinner.println(text);
    }
    spinner.tick();
}

/// Something that moves while nothing is printed; nothing at all where nobody looks.
fn spinner(context: &Context, what: &str) -> ProgressBar {
    if context.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    let look = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
    spinner.set_style(look.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.set_message(format!("{what} …"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
