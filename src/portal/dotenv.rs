//! Pasted `.env` text, read into variables. Pure.

use thiserror::Error;

use crate::kernel::name::{NameError, VariableName};

/// What is wrong with pasted text, and in which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DotenvError {
    #[error("line {line}: write NAME=value (a line that starts with # is a comment)")]
    NoEquals { line: usize },
    #[error("line {line}: {source}")]
    Name { line: usize, source: NameError },
    #[error("line {line}: the quote that opens here is never closed")]
    Unclosed { line: usize },
}

/// Reads `NAME=value` lines: comments, blank lines, `export `, single and double quotes (also over several lines)
/// are understood; `\n`, `\t`, `\"` and `\\` mean what they do in double quotes. Nothing is substituted.
pub(crate) fn parse(text: &str) -> Result<Vec<(VariableName, String)>, DotenvError> {
    let text = text.replace("\r\n", "\n");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let (current, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = current.trim();
        let trimmed = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let (name, value) = trimmed.split_once('=').ok_or(DotenvError::NoEquals { line })?;
        let name = name.trim().parse().map_err(|source| DotenvError::Name { line, source })?;
        let value = value.trim_start();
        match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            None => {
                let plain = value.split_once(" #").map_or(value, |(plain, _)| plain);
                found.push((name, plain.trim_end().to_owned()));
                rest = after;
            }
            Some(quote) => {
                let whole = from_quote(rest, value);
                let (value, used) = quoted(whole, quote).ok_or(DotenvError::Unclosed { line })?;
                line += value_lines(&whole[..used]);
                found.push((name, value));
                rest = whole[used..].split_once('\n').map_or("", |(_, after)| after);
            }
        }
    }
    Ok(found)
}

/// The text from the opening quote on: `value` is the tail of the first line of `rest`, less trailing blanks.
fn from_quote<'t>(rest: &'t str, value: &str) -> &'t str {
    let first = rest.lines().next().unwrap_or_default().trim_end();
    &rest[first.len() - value.len()..]
}

fn value_lines(text: &str) -> usize {
    text.matches('\n').count()
}

/// The value between quotes, and how many bytes both quotes and value take.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &[(&str, &str)]) {
        let found = parse(text).expect("it parses");
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_usual_forms_are_read() {
        check("", &[]);
        check("# a note\n\nA=1\r\nexport B = two words  \n", &[("A", "1"), ("B", "two words")]);
        check("A=x # note\nB=x#y\nC=\n", &[("A", "x"), ("B", "x#y"), ("C", "")]);
        check("A=\"x # y\" # note\nB='$HOME \\n'\n", &[("A", "x # y"), ("B", "$HOME \\n")]);
        check("A=\"l1\\nl2\\t\\\"q\\\"\"", &[("A", "l1\nl2\t\"q\"")]);
        check("URL=postgres://u:p@h/d?a=b\n", &[("URL", "postgres://u:p@h/d?a=b")]);
    }

    #[test]
    fn quoted_values_may_span_lines() {
        check("KEY=\"-----BEGIN\nabc\n-----END\"\nNEXT=1\n", &[("KEY", "-----BEGIN\nabc\n-----END"), ("NEXT", "1")]);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("A=1\nnonsense\n"), Err(DotenvError::NoEquals { line: 2 }));
        assert_eq!(parse("A=\"x\ny\"\nB='open\n"), Err(DotenvError::Unclosed { line: 3 }));
        let error = parse("1A=x").expect_err("a name cannot start with a digit");
        assert!(error.to_string().starts_with("line 1: the variable name `1A` is not valid"), "{error}");
    }
}
