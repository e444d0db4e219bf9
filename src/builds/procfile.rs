//! The Procfile: one line per process type, `name: command`.

use std::collections::BTreeMap;

use super::command::CommandLine;
use super::error::{DetectError, Position};
use super::parse;
use super::source::SourceTree;

/// More process types than this are a mistake (a pasted YAML file, say).
const MAX_PROCESSES: usize = 50;

/// Reads `Procfile`; `None` when there is none.
pub(crate) fn read(tree: &SourceTree) -> Result<Option<BTreeMap<String, CommandLine>>, DetectError> {
    parse::text(tree, "Procfile")?.map(parse).transpose()
}

fn parse(text: &str) -> Result<BTreeMap<String, CommandLine>, DetectError> {
    let mut processes = BTreeMap::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
        let at = |column: usize, message: String| {
            let position = Position { line: index + 1, column: indent + column };
            Err(DetectError::malformed("Procfile", position, message))
        };
        let Some((name, command)) = line.split_once(':') else {
            return at(1, "a line must look like `web: <command>`; the `:` is missing".into());
        };
        if let Some(bad) = name.chars().position(|c| !is_name_char(c)) {
            return at(bad + 1, format!("the process name {name:?} may hold only letters, digits, `-` and `_`"));
        }
        if name.is_empty() {
            return at(1, "the process name before `:` is missing".into());
        }
        if command.trim().is_empty() {
            return at(name.len() + 2, format!("the command of {name:?} is missing"));
        }
        if processes.insert(name.to_owned(), CommandLine::parse(command)).is_some() {
            return at(1, format!("the process {name:?} is there twice"));
        }
        if processes.len() > MAX_PROCESSES {
            return at(1, format!("more than {MAX_PROCESSES} processes"));
        }
    }
    Ok(processes)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn processes_are_read() {
        let p = parse("# all\r\nweb: gunicorn app:app --bind :$PORT\r\n\nworker-2:python worker.py\n").unwrap();
        assert_eq!(p["web"].argv[2], "exec gunicorn app:app --bind :$PORT");
        assert_eq!(p["worker-2"].argv, ["python", "worker.py"]);
    }

    #[test]
    fn mistakes_name_line_and_column() {
        assert_eq!(
            error("web: a\n  worker python"),
            "Procfile, line 2, column 3: a line must look like `web: <command>`; the `:` is missing. Correct the file and deploy again"
        );
        assert!(error("we b: a").starts_with("Procfile, line 1, column 3: the process name \"we b\""));
        assert!(error("web:  ").starts_with("Procfile, line 1, column 5: the command of \"web\" is missing"));
        assert!(error("web: a\nweb: b").starts_with("Procfile, line 2, column 1: the process \"web\" is there twice"));
        assert!(error(": a").contains("name before `:` is missing"));
    }
}
