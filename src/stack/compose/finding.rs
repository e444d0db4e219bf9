//! What is said about a manifest: where, how grave, what to do.

use std::cell::RefCell;

use serde::Serialize;

/// Findings kept; a file that has more is not read to its end by anybody.
const MOST_FINDINGS: usize = 500;

/// A place in one of the files. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`super::Outcome::files`].
    pub file: u16,
    pub line: u32,
    pub column: u32,
    /// Characters it is long; 0 when it goes over several lines.
    pub length: u32,
}

impl Place {
    /// The place `offset` characters further in the same line.
    pub(super) fn further(self, offset: usize, length: usize) -> Self {
        let to_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { column: self.column.saturating_add(to_u32(offset)), length: to_u32(length), ..self }
    }
}

/// How grave a finding is. The order is the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest cannot be applied.
    Error,
    /// It is applied, and something means another thing than its author may think.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// A stable word for programs: `unknown-key`, `refused`, `bad-value`, …
    pub code: &'static str,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
    pub at: Place,
    /// A second place that belongs to it, with what is there.
    pub also: Option<(Place, String)>,
}

impl Finding {
    pub(super) fn new(severity: Severity, code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), help: None, at, also: None }
    }

    pub(super) fn error(code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, at, message)
    }

    pub(super) fn warning(code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, at, message)
    }

    pub(super) fn note(code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, at, message)
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn also(mut self, at: Place, what: impl Into<String>) -> Self {
        self.also = Some((at, what.into()));
        self
    }
}

/// Takes findings in while a manifest is read.
#[derive(Debug, Default)]
pub(super) struct Sink(RefCell<Vec<Finding>>);

impl Sink {
    /// Adds one; the same one twice counts once (an anchor that is used in several places).
    pub(super) fn add(&self, finding: Finding) {
        let mut all = self.0.borrow_mut();
        if all.len() < MOST_FINDINGS && !all.contains(&finding) {
            all.push(finding);
        }
    }

    /// Whether there is an error so far.
    pub(super) fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|f| f.severity == Severity::Error)
    }

    /// All of them, by place; at one place the gravest first.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| (a.at, a.severity, &a.message).cmp(&(b.at, b.severity, &b.message)));
        all
    }
}
