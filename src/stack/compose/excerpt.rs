//! Findings as people and programs read them: with the line they are about, and as JSON. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Finding, Place, Severity};
use super::{Outcome, SourceFile};

/// Columns of a terminal that nobody made wider.
pub const COLUMNS: usize = 80;

/// A finding for programs.
#[derive(Debug, Serialize)]
pub struct FindingView<'a> {
    pub severity: Severity,
    pub code: &'a str,
    pub message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'a str>,
    pub file: &'a str,
    /// Counts from 1; 0 when it is about the whole file.
    pub line: u32,
    /// Counts from 1, in characters.
    pub column: u32,
    pub length: u32,
}

/// All findings for programs.
#[must_use]
pub fn views<'a>(outcome: &'a Outcome) -> Vec<FindingView<'a>> {
    let view = |f: &'a Finding| FindingView {
        severity: f.severity,
        code: f.code,
        message: &f.message,
        help: f.help.as_deref(),
        file: path(&outcome.files, f.at),
        line: f.at.line,
        column: f.at.column,
        length: f.at.length,
    };
    outcome.findings.iter().map(view).collect()
}

fn path(files: &[SourceFile], at: Place) -> &str {
    files.get(usize::from(at.file)).map_or("", |f| f.path.as_str())
}

/// One finding with the line it is about and a mark below it, in at most [`COLUMNS`] columns. With `colour` it holds
/// terminal colours.
#[must_use]
pub fn render(finding: &Finding, files: &[SourceFile], colour: bool) -> String {
    let paint =
        |code: &str, text: &str| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let hue = match finding.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Note => "1;36",
    };
    let head = format!("{}[{}]", finding.severity.as_str(), finding.code);
    let mut out = String::new();
    for (i, line) in wrap(&format!("{head}: {}", printable(&finding.message)), COLUMNS, "  ").into_iter().enumerate() {
        let line = match line.strip_prefix(&head) {
            Some(rest) if i == 0 => format!("{}{}", paint(hue, &head), paint("1", rest)),
            _ => paint("1", &line),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{line}");
    }
    let width = finding.at.line.max(finding.also.as_ref().map_or(0, |(p, _)| p.line)).to_string().len();
    place(&mut out, finding.at, files, width, hue, None, &paint);
    if let Some((at, what)) = &finding.also {
        place(&mut out, *at, files, width, "1;34", Some(what), &paint);
    }
    if let Some(help) = &finding.help {
        let indent = " ".repeat(width + 9);
        let text = format!("{} = help: {}", " ".repeat(width), printable(help));
        for line in wrap(&text, COLUMNS, &indent) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// Where it is, the line itself and a mark below.
fn place(
    out: &mut String,
    at: Place,
    files: &[SourceFile],
    width: usize,
    hue: &str,
    what: Option<&String>,
    paint: &dyn Fn(&str, &str) -> String,
) {
    let Some(file) = files.get(usize::from(at.file)).filter(|_| at.line > 0) else { return };
    let gutter = " ".repeat(width);
    let _ = writeln!(out, "{gutter}{} {}:{}:{}", paint("1;34", "-->"), file.path, at.line, at.column);
    let Some(line) = file.text.lines().nth(at.line as usize - 1) else { return };
    let (shown, start, length) = window(line, at, COLUMNS.saturating_sub(width + 3));
    let bar = paint("1;34", "|");
    let _ = writeln!(out, "{gutter} {bar}");
    let number = paint("1;34", &format!("{:>width$}", at.line));
    let _ = writeln!(out, "{number} {bar} {shown}");
    let mark = paint(hue, &"^".repeat(length.max(1)));
    let said = what.map(|w| format!(" {w}")).unwrap_or_default();
    let _ = writeln!(out, "{gutter} {bar} {}{mark}{said}", " ".repeat(start));
}

/// The part of a line around the place that fits, where the mark begins in it, and how long it is.
fn window(line: &str, at: Place, room: usize) -> (String, usize, usize) {
    let characters: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let column = (at.column as usize).saturating_sub(1).min(characters.len());
    let length = if at.length == 0 { characters.len().saturating_sub(column) } else { at.length as usize };
    let length = length.min(characters.len().saturating_sub(column)).max(1);
    if characters.len() <= room {
        return (characters.into_iter().collect(), column, length);
    }
    let from = column.saturating_sub(room / 3);
    let until = characters.len().min(from + room.saturating_sub(2));
    let mut shown: String = characters[from..until].iter().collect();
    let mut start = column - from;
    if from > 0 {
        shown.insert(0, '…');
        start += 1;
    }
    if until < characters.len() {
        shown.push('…');
    }
    (shown, start, length.min(room.saturating_sub(start)).max(1))
}

/// Without what could move the cursor or colour the terminal: parts of the text come from the file.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Lines of at most `columns` columns, broken at spaces; all but the first begin with `indent`.
fn wrap(text: &str, columns: usize, indent: &str) -> Vec<String> {
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut lines = Vec::new();
    let mut line = lead;
    let mut empty = true;
    for word in text.split_whitespace() {
        let wide = line.chars().count() + usize::from(!empty) + word.chars().count() > columns;
        if wide && !empty {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}
