//! Realistic files in the styles people write them, each with the findings it is known to give.
//!
//! `corpus/NAME.yaml` is read, and what is said is compared with `corpus/NAME.txt`; `WHARF_UPDATE=1` writes it anew.

use std::path::{Path, PathBuf};

use super::{read, said};
use crate::stack::compose::Severity;
use crate::stack::model::Stack;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stack/compose/tests/corpus")
}

/// All files of the corpus by name.
pub(super) fn files() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the corpus is there");
    let mut all: Vec<(String, String)> = entries
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .map(|p| {
            let name = p.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&p).expect("a text"))
        })
        .collect();
    all.sort();
    all
}

/// The services in a line each.
fn summary(stack: &Stack) -> String {
    let line = |(name, s): (&crate::kernel::name::ServiceName, &crate::stack::model::Service)| {
        let routes: Vec<String> = s.routes.iter().map(|r| format!("{:?}{}", r.host, r.path)).collect();
        format!(
            "{name}: {} port={} replicas={} care={:?} mounts={} routes=[{}] exposed={}\n",
            s.kind.as_str(),
            s.port.map_or("-".to_owned(), |p| p.to_string()),
            s.replicas,
            s.care,
            s.mounts.len(),
            routes.join(" "),
            s.exposures.len(),
        )
    };
    stack.services.iter().map(line).collect()
}

#[test]
fn the_corpus_gives_what_is_known_of_it() {
    let files = files();
    assert!(files.len() >= 25, "{} files", files.len());
    let (mut valid, mut wrong) = (0, Vec::new());
    for (name, text) in &files {
        let outcome = read(text);
        let services = outcome.manifest.as_ref().map(|m| summary(&m.stack));
        valid += usize::from(services.is_some());
        let current = format!("{}\n{}", said(&outcome).join("\n"), services.unwrap_or_else(|| "refused\n".to_owned()));
        let path = folder().join(format!("{name}.txt"));
        if std::env::var_os("WHARF_UPDATE").is_some() {
            std::fs::write(&path, &current).expect("writes");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != current {
            wrong.push(format!("{name}:\n{current}"));
        }
    }
    assert!(wrong.is_empty(), "run with WHARF_UPDATE=1 and look at the difference:\n{}", wrong.join("\n"));
    assert!(valid >= 14 && valid < files.len(), "{valid} of {} are valid", files.len());
}

/// Every error of the corpus says what to do; of a value, its sentence itself says what is possible.
#[test]
fn every_error_of_the_corpus_has_help() {
    for (name, text) in files() {
        for finding in read(&text)
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Error && !matches!(f.code, "bad-value" | "yaml"))
        {
            assert!(finding.help.is_some(), "{name}: {}", finding.message);
        }
    }
}

/// Valid files read from their own JSON give the same stack, and the same hash however often.
#[test]
fn stacks_of_the_corpus_survive_their_json() {
    for (name, text) in files() {
        let Some(manifest) = read(&text).manifest else { continue };
        let json = serde_json::to_string(&manifest.stack).expect("JSON");
        let again: Stack = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again, manifest.stack, "{name}");
        assert_eq!(again.hash(1), manifest.stack.hash(1), "{name}");
    }
}
