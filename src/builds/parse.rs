//! Reading the files that decide a build: text, JSON (with or without comments) and TOML, each error with its place.

use serde::de::DeserializeOwned;

use super::error::{DetectError, Position};
use super::source::{Content, SourceTree};

/// The text of a file, without a byte order mark; `None` when the file is not there.
pub(crate) fn text<'t>(tree: &'t SourceTree, path: &str) -> Result<Option<&'t str>, DetectError> {
    let unreadable = |reason: &str| DetectError::Unreadable { file: path.to_owned(), reason: reason.to_owned() };
    match tree.content(path) {
        None => Ok(None),
        Some(Content::NotKept) => Err(unreadable(
            "it is larger than 4 MiB, or the files that describe this app are larger than 32 MiB together",
        )),
        Some(Content::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.trim_start_matches('\u{feff}'))),
            Err(e) => Err(unreadable(&format!("byte {} is not UTF-8; save the file as UTF-8", e.valid_up_to() + 1))),
        },
    }
}

/// The text of a file when it is there and readable; for files that only give hints.
pub(crate) fn hint<'t>(tree: &'t SourceTree, path: &str) -> &'t str {
    text(tree, path).ok().flatten().unwrap_or_default()
}

/// Parses a JSON file.
pub(crate) fn json<T: DeserializeOwned>(tree: &SourceTree, path: &str) -> Result<Option<T>, DetectError> {
    text(tree, path)?.map(|text| json_text(path, text)).transpose()
}

/// Parses a JSON file that may hold `//` and `/* */` comments and trailing commas.
pub(crate) fn jsonc<T: DeserializeOwned>(tree: &SourceTree, path: &str) -> Result<Option<T>, DetectError> {
    text(tree, path)?.map(|text| json_text(path, &without_comments(text))).transpose()
}

fn json_text<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, DetectError> {
    serde_json::from_str(text).map_err(|e| {
        let position = Position { line: e.line().max(1), column: e.column().max(1) };
        // serde_json ends its message with the place, which is said once already.
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        DetectError::malformed(path, position, message)
    })
}

/// Parses a TOML file.
pub(crate) fn toml<T: DeserializeOwned>(tree: &SourceTree, path: &str) -> Result<Option<T>, DetectError> {
    let Some(text) = text(tree, path)? else {
        return Ok(None);
    };
    toml::from_str(text).map(Some).map_err(|e| {
        let offset = e.span().map_or(0, |s| s.start);
        let message = e.message().trim_end_matches('.').replace('\n', ", ");
        DetectError::malformed(path, Position::of_offset(text, offset), message)
    })
}

/// Replaces comments and trailing commas by spaces, so that every offset stays true.
fn without_comments(text: &str) -> String {
    let mut out: Vec<char> = text.chars().collect();
    let mut i = 0;
    let mut comma: Option<usize> = None;
    while i < out.len() {
        match out[i] {
            '"' => {
                comma = None;
                i += 1;
                while i < out.len() && out[i] != '"' {
                    i += if out[i] == '\\' { 2 } else { 1 };
                }
            }
            '/' if out.get(i + 1) == Some(&'/') => {
                while i < out.len() && out[i] != '\n' {
                    out[i] = ' ';
                    i += 1;
                }
            }
            '/' if out.get(i + 1) == Some(&'*') => {
                while i < out.len() && !(out[i] == '*' && out.get(i + 1) == Some(&'/')) {
                    blank(&mut out[i]);
                    i += 1;
                }
                for c in out.iter_mut().skip(i).take(2) {
                    *c = ' ';
                }
                i += 1;
            }
            ',' => comma = Some(i),
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    out[at] = ' ';
                }
            }
            c if c.is_whitespace() => {}
            _ => comma = None,
        }
        i += 1;
    }
    out.into_iter().collect()
}

fn blank(c: &mut char) {
    if *c != '\n' {
        *c = ' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_go_and_offsets_stay() {
        let text = "{ // a\n \"u\": \"http://x\", /* b\n */ \"l\": [1, 2,],\n}";
        let plain = without_comments(text);
        assert_eq!(plain.len(), text.len());
        let value: serde_json::Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(value["u"], "http://x");
        assert_eq!(value["l"][1], 2);
    }

    #[test]
    fn an_unclosed_comment_or_string_is_no_panic() {
        for text in ["/*", "\"a\\", "/", "{,", "/* *"] {
            without_comments(text);
        }
    }
}
