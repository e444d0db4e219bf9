//! `wharf logs`.

use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;

use super::context::{Context, Global, encode};
use super::failure::Failure;
use crate::apps::LogLine;

/// Show what the app prints.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf logs --app shop\n  wharf logs -f -p worker\n  wharf logs --since 10m -n 500")]
pub(super) struct Logs {
    /// Go on with new lines
    #[arg(short, long)]
    follow: bool,
    /// Only this service
    #[arg(short = 'p', long = "process", value_name = "SERVICE", alias = "service")]
    service: Option<String>,
    /// Only lines not older than this: 30s, 10m, 2h, 1d
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    since: Option<u32>,
    /// The last lines of each instance
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    tail: u32,
}

pub(super) async fn run(global: &Global, args: Logs) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let mut path = format!("{}/logs?tail={}&follow={}", context.app_path().await?, args.tail, args.follow);
    if let Some(service) = &args.service {
        path.push_str(&format!("&service={}", encode(service)));
    }
    if let Some(seconds) = args.since {
        path.push_str(&format!("&since={seconds}"));
    }
    let answer = context.client.send(context.client.request(Method::GET, &path)?).await?;
    let mut chunks = answer.bytes_stream();
    let mut buffer = Vec::new();
    while let Some(chunk) = chunks.next().await {
        buffer.extend_from_slice(&chunk.map_err(|e| Failure::unreachable(context.client.base(), &e))?);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if !line.iter().all(u8::is_ascii_whitespace) {
                show(&context, &line)?;
            }
        }
    }
    Ok(())
}

fn show(context: &Context, line: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if context.json {
        out.write_all(line)?;
        return Ok(());
    }
    let line: LogLine = serde_json::from_slice(line)?;
    let head = format!("{} {}", line.at, line.instance);
    writeln!(out, "{} {}", console::style(format!("{head}:")).cyan(), line.line)?;
    Ok(())
}

/// Seconds of `90`, `30s`, `10m`, `2h` or `1d`.
fn parse_span(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("`{text}` is not a span; write it as in 30s, 10m, 2h or 1d")),
    };
    let number: u32 = digits.parse().map_err(|_| format!("`{text}` is not a span; write it as in 30s, 10m, 2h or 1d"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::parse_span;

    #[test]
    fn spans_have_units() {
        assert_eq!(parse_span("90"), Ok(90));
        assert_eq!(parse_span("10m"), Ok(600));
        assert_eq!(parse_span("1d"), Ok(86_400));
        assert!(parse_span("soon").is_err());
        assert!(parse_span("99999999d").is_err());
    }
}
