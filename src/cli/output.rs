//! What a command prints: tables and lines for people, JSON for programs. Colour only where it is wanted.

use console::{Style, style};
use serde::Serialize;

use super::failure::Failure;

/// Prints JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a table without borders; columns as wide as they need to be.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|h| style(h).bold().to_string()));
    table.add_rows(rows);
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
}

/// A state word in the colour people expect, with the word always there.
pub(super) fn state(word: &str) -> String {
    let colour = match word {
        "running" | "run" | "succeeded" | "healthy" => Style::new().green(),
        "failed" | "down" | "ill" | "exited" => Style::new().red(),
        "deploying" | "degraded" | "waiting" | "retrying" | "starting" | "queued" | "ready" | "provision"
        | "draining" | "stopping" => Style::new().yellow(),
        _ => Style::new().dim(),
    };
    colour.apply_to(word).to_string()
}

/// `3 min ago`, from an RFC 3339 time.
pub(super) fn ago(rfc3339: &str) -> String {
    let (Ok(then), now) = (rfc3339.parse::<jiff::Timestamp>(), crate::kernel::clock::Clock::system().now()) else {
        return rfc3339.to_owned();
    };
    span((now.0 - then.as_millisecond()).max(0) / 1000) + " ago"
}

/// A span of seconds in its largest fitting unit.
fn span(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7_200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn spans_read_well() {
        let said: Vec<String> = [5, 119, 120, 7_199, 7_200, 200_000].map(super::span).into();
        assert_eq!(said, ["5 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
