//! Tests of the manifest: each key, each rule, a corpus, and what must hold of any text.

mod assembling;
mod corpus;
mod findings;
mod interpolation;
mod keys;
mod properties;
mod reading;
mod schema;

use super::{InMemory, Manifest, Outcome, Request, Variable, Variables, parse};
use crate::stack::model::{Service, Stack};

/// Reads one text, with a complete and empty configuration.
fn read(text: &str) -> Outcome {
    read_with(&[("compose.yaml", text)], &[])
}

/// Reads a source of several files, the first ones by their usual names.
fn read_with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Outcome {
    let files = InMemory(files.iter().map(|(p, t)| ((*p).to_owned(), t.as_bytes().to_vec())).collect());
    let known = variables
        .iter()
        .map(|(n, v)| {
            // What begins with a star is a secret.
            let secret = n.starts_with('*');
            (n.trim_start_matches('*').to_owned(), Variable { value: (*v).to_owned(), secret })
        })
        .collect();
    parse(&files, &Request { variables: Variables { known, complete: true }, ..Request::default() })
}

/// The manifest, which must have no errors.
#[track_caller]
fn good(outcome: Outcome) -> Manifest {
    let said = said(&outcome);
    outcome.manifest.unwrap_or_else(|| panic!("not valid:\n{}", said.join("\n")))
}

#[track_caller]
fn stack(text: &str) -> Stack {
    good(read(text)).stack
}

/// The service `s` of a stack.
#[track_caller]
fn service(text: &str) -> Service {
    stack(text).services.remove(&"s".parse().expect("a name")).expect("a service `s`")
}

/// All findings, one a line: severity, code, place, sentence.
fn said(outcome: &Outcome) -> Vec<String> {
    let line =
        |f: &super::Finding| format!("{}[{}] {}:{} {}", f.severity.as_str(), f.code, f.at.line, f.at.column, f.message);
    outcome.findings.iter().map(line).collect()
}

/// The errors and warnings only.
fn grave(outcome: &Outcome) -> Vec<String> {
    said(outcome).into_iter().filter(|l| !l.starts_with("note")).collect()
}
