//! Files of `NAME=value` lines, as `env_file` and `.env` have them.

use super::finding::{Finding, Place, Sink};
use super::interpolate::Interpolator;
use super::node::Scalar;

/// One variable: its value, or `None` when only its name stands there.
pub(super) type Line = (String, Option<Scalar>, Place);

/// Reads a file. `raw` takes values as they stand, without quotes and variables.
pub(super) fn parse(text: &str, file: u16, raw: bool, inter: &mut Interpolator<'_>, sink: &Sink) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let at = Place {
            file,
            line: u32::try_from(number + 1).unwrap_or(u32::MAX),
            column: 1,
            length: u32::try_from(line.chars().count()).unwrap_or(0),
        };
        let trimmed = line.trim_start_matches('\u{feff}').trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let body = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
        let (name, value) = match body.split_once(['=', ':']) {
            Some((name, value)) => (name.trim(), Some(value)),
            None => (body, None),
        };
        if name.parse::<crate::kernel::name::VariableName>().is_err() {
            let finding =
                Finding::error("env-file", at, format!("`{}` is not the name of a variable", name.escape_debug()));
            sink.add(finding.help("write `NAME=value`, one a line; `#` begins a comment"));
            continue;
        }
        let Some(value) = value else {
            found.push((name.to_owned(), None, at));
            continue;
        };
        let scalar = if raw {
            Scalar { text: value.to_owned(), ..Scalar::default() }
        } else {
            let mut rest = || lines.next().map(|(_, l)| l);
            let Some((text, expands)) = unquote(value.trim(), &mut rest) else {
                let finding = Finding::error("env-file", at, format!("the quotes of `{name}` are not closed"));
                sink.add(finding.help("close them with the sign they were opened with"));
                continue;
            };
            let mut scalar = Scalar { text, ..Scalar::default() };
            if expands {
                inter.scalar(&mut scalar, Place { length: 0, ..at });
            }
            scalar
        };
        // Later lines may use it.
        inter.local.insert(name.to_owned(), scalar.text.clone());
        found.push((name.to_owned(), Some(scalar), at));
    }
    found
}

/// The value without its quotes and comment, and whether variables in it count. Quoted values may go on in further lines.
fn unquote<'t>(value: &str, more: &mut impl FnMut() -> Option<&'t str>) -> Option<(String, bool)> {
    let Some(quote @ ('"' | '\'')) = value.chars().next() else {
        let plain = value.find(" #").map_or(value, |at| &value[..at]);
        return Some((plain.trim_end().to_owned(), true));
    };
    let mut text = value[1..].to_owned();
    let mut out = String::new();
    loop {
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            match c {
                c if c == quote => return Some((out, quote == '"')),
                '\\' if quote == '"' => match characters.next() {
                    Some('n') => out.push('\n'),
                    Some('r') => out.push('\r'),
                    Some('t') => out.push('\t'),
                    // Kept for the interpolation, which knows `$$`.
                    Some('$') => out.push_str("$$"),
                    Some(c) => out.push(c),
                    None => {}
                },
                c => out.push(c),
            }
        }
        out.push('\n');
        text = more()?.to_owned();
    }
}
