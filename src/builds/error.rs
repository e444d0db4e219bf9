//! Why a source tree could not be turned into a plan. Every message says what, where, why and what to do next.

use std::fmt;

/// A place in a file, counted from 1 as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of a byte offset in a text; an offset past the end gives the end.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Detection stopped; the text is meant for the person who pushed the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// No provider recognised the tree.
    #[error(
        "nothing in this source says how to build it. Looked at {files} files for:\n{looked_for}\nAdd one of these files at the top level, or a Dockerfile, or an index.html for a static site; a Procfile (`web: <command>`) says how to start"
    )]
    NothingFound {
        /// How many files the tree holds.
        files: usize,
        /// One line per provider with the files it looks for.
        looked_for: String,
    },
    /// A file that decides the build can't be read.
    #[error("{file}, {position}: {message}. Correct the file and deploy again")]
    Malformed {
        /// Path inside the source.
        file: String,
        /// Where in the file.
        position: Position,
        /// What is wrong there.
        message: String,
    },
    /// The file is there, but its content is not usable as text or is too large.
    #[error("{file} can't be read: {reason}")]
    Unreadable {
        /// Path inside the source.
        file: String,
        /// Why.
        reason: String,
    },
    /// A Compose file decides, and stacks from Compose files are not built here.
    #[error(
        "{file} was found, and Compose files are not deployed by this version yet. Remove it, or choose another input for this app: a Dockerfile path, or a provider such as `python`"
    )]
    Compose {
        /// The Compose file's path.
        file: String,
    },
    /// A setting or file asks for something that does not exist.
    #[error("{what}. {fix}")]
    Unsupported {
        /// What was asked for and where.
        what: String,
        /// What to do instead.
        fix: String,
    },
    /// The language is known but nothing says what to start.
    #[error(
        "this looks like a {provider} app, but nothing says how to start it. Looked for {looked_for}. Add a Procfile with a line `web: <command>`, or set a start command"
    )]
    NoStart {
        /// The provider's name.
        provider: String,
        /// What would have been taken as a start command.
        looked_for: String,
    },
}

impl DetectError {
    pub(crate) fn malformed(file: &str, position: Position, message: impl Into<String>) -> Self {
        Self::Malformed { file: file.to_owned(), position, message: message.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), fix: fix.into() }
    }
}
