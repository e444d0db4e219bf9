//! Command lines that users write: as argument lists where possible, with a shell inside the container where they need one.

use serde::{Deserialize, Serialize};

/// A command to start in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// As written.
    pub text: String,
    /// What the container runs: the words themselves, or `/bin/sh -c ...` when the text uses the shell (`$PORT`, `&&`, pipes).
    pub argv: Vec<String>,
}

impl CommandLine {
    /// Parses a command as a Procfile or a setting writes it.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let argv = match words(text) {
            Some(words) => words,
            None => vec!["/bin/sh".into(), "-c".into(), with_exec(text)],
        };
        Self { text: text.to_owned(), argv }
    }

    /// From words that need no shell.
    pub fn exec(words: &[&str]) -> Self {
        Self { text: words.join(" "), argv: words.iter().map(|w| (*w).to_owned()).collect() }
    }
}

/// The words of a command that needs no shell; `None` when it does.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => quoted(&mut chars, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut chars, '"', word.get_or_insert_default())?,
            ' ' | '\t' => words.extend(word.take()),
            '$' | '`' | '|' | '&' | ';' | '<' | '>' | '(' | ')' | '{' | '}' | '*' | '?' | '[' | '~' | '!' | '#'
            | '\\' | '\n' => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let first = words.first()?;
    (!first.contains('=') && !SHELL_WORDS.contains(&first.as_str())).then_some(words)
}

/// Words the shell itself understands; there is no such program to start.
const SHELL_WORDS: &[&str] = &["cd", "exec", "export", "source", ".", "if", "while", "for", "set", "ulimit", "trap"];

/// Takes a quoted part; `None` when it is not closed or the shell would replace something in it.
fn quoted(chars: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Option<()> {
    for c in chars.by_ref() {
        match c {
            c if c == quote => return Some(()),
            '$' | '`' | '\\' if quote == '"' => return None,
            c => word.push(c),
        }
    }
    None
}

/// Puts `exec` before a single command, so that it gets the signals and not the shell.
fn with_exec(text: &str) -> String {
    let first = text.split_whitespace().find(|w| !is_assignment(w));
    let Some(first) = first.filter(|f| !is_compound(text) && !SHELL_WORDS.contains(f)) else {
        return text.to_owned();
    };
    let start = text.find(first).unwrap_or(0);
    // A quoted assignment may hold spaces: then the place of the command is not certain.
    if text[..start].contains(['"', '\'']) {
        return text.to_owned();
    }
    format!("{}exec {}", &text[..start], &text[start..])
}

/// Whether the shell would run more than one command: a pipe, a list, a group, a negation.
fn is_compound(text: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    for c in text.chars() {
        match quote {
            Some(q) if c == q && before != '\\' => quote = None,
            Some(_) => {}
            None if ['"', '\''].contains(&c) => quote = Some(c),
            None if ['|', ';', '\n', '(', '!', '&'].contains(&c) => return true,
            None if c == '{' && before != '$' => return true,
            None => {}
        }
        before = c;
    }
    quote.is_some()
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> String {
        CommandLine::parse(text).argv.join("⏵")
    }

    #[test]
    fn simple_commands_need_no_shell() {
        assert_eq!(argv("node server.js"), "node⏵server.js");
        assert_eq!(argv("python -c 'print(1)'"), "python⏵-c⏵print(1)");
        assert_eq!(argv("  a \"b c\"  ''"), "a⏵b c⏵");
    }

    #[test]
    fn variables_keep_a_shell_that_execs() {
        assert_eq!(argv("gunicorn -b :$PORT app:app"), "/bin/sh⏵-c⏵exec gunicorn -b :$PORT app:app");
        assert_eq!(argv("serve -l ${PORT:-3000}"), "/bin/sh⏵-c⏵exec serve -l ${PORT:-3000}");
        assert_eq!(argv("A=1 node x.js"), "/bin/sh⏵-c⏵A=1 exec node x.js");
    }

    #[test]
    fn compound_commands_are_left_as_they_are() {
        assert_eq!(argv("cd api && node x"), "/bin/sh⏵-c⏵cd api && node x");
        assert_eq!(argv("a; b"), "/bin/sh⏵-c⏵a; b");
        assert_eq!(argv("A='x y' node $B"), "/bin/sh⏵-c⏵A='x y' node $B");
        assert_eq!(argv("a 'unclosed"), "/bin/sh⏵-c⏵a 'unclosed");
        assert_eq!(argv("g 'f()' $A"), "/bin/sh⏵-c⏵exec g 'f()' $A");
        assert_eq!(argv("a $(b)"), "/bin/sh⏵-c⏵a $(b)");
    }
}
