//! The manifest: Compose files plus `x-wharf`, from their text to a [`Stack`], with everything that is to be said about them.
//!
//! The way through: [`yaml`] makes a tree in which every value knows its place, [`interpolate`] puts variables in,
//! [`canonical`] spells short forms out, [`assemble`] puts overrides, `extends` and `include` together, [`read`] reads the
//! keys that [`keys`] allows into the closed types, [`infer`] decides what follows from the rest, [`check`] looks at the whole.
//!
//! Invariants:
//! - Compiled, never filtered: a stack holds only what a reader put there, and a reader can only read a key its table honours.
//! - Nothing is dropped in silence: every key is honoured, or a finding names it with its line, the reason and what to do.
//! - One mistake hides no other: reading goes on after each.
//! - Values of secrets never reach a stack: they stay references ([`interpolate`]).
//! - Pure but for [`Files`]; no text, however hostile, makes it panic or costs more than its limits allow.
//!
//! To take one more key of Compose or `x-wharf`, see [`keys`].

mod assemble;
mod canonical;
mod check;
mod dotenv;
pub mod excerpt;
mod fields;
mod files;
mod finding;
mod infer;
mod interpolate;
mod keys;
mod merge;
mod node;
mod read;
mod schema;
mod short;
mod units;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub use assemble::SourceFile;
pub use files::{Directory, FileError, Files, InMemory};
pub use finding::{Finding, Place, Severity};
pub use interpolate::{Variable, Variables, Wanted};
pub use schema::{reference, schema};

use assemble::Assembler;
use finding::Sink;
use node::{Map, Node, Value};

use super::model::{ResourceName, Stack};
use crate::kernel::name::ServiceName;
use crate::kernel::secret::Secret;

/// The names a manifest is looked for under, the first one found wins.
pub const FILE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// What shall be read, with what is known.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The file, and those that override it, in their order. Empty: the first of [`FILE_NAMES`] with its `.override`.
    pub paths: Vec<String>,
    pub variables: Variables,
    /// Active profiles, beside those `COMPOSE_PROFILES` names.
    pub profiles: BTreeSet<String>,
}

/// A manifest without errors.
#[derive(Debug)]
pub struct Manifest {
    /// Images are not pinned to their content yet ([`Stack::unpinned`]), secrets not to their versions.
    pub stack: Stack,
    /// The variables it asks for.
    pub variables: BTreeMap<String, Wanted>,
    /// Contents of secrets that stand in files of the source, by the name the stack refers to. They belong into the vault.
    pub supplied: BTreeMap<ResourceName, Secret<Vec<u8>>>,
}

/// What came of reading.
#[derive(Debug)]
pub struct Outcome {
    /// Absent when there is an error among the findings.
    pub manifest: Option<Manifest>,
    /// By place.
    pub findings: Vec<Finding>,
    /// The files that were read; [`Place::file`] counts in here.
    pub files: Vec<SourceFile>,
}

impl Outcome {
    /// How many findings there are of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }
}

/// Reads a manifest. Never fails: what is wrong is among the findings.
#[must_use]
pub fn parse(files: &dyn Files, request: &Request) -> Outcome {
    let (sink, wanted, sources) = (Sink::default(), RefCell::default(), RefCell::default());
    let read = {
        let assembler = Assembler::new(files, &request.variables, &sink, &wanted, &sources);
        let paths = if request.paths.is_empty() { discover(files) } else { request.paths.clone() };
        if paths.is_empty() {
            let message = format!("there is no Compose file: {}", FILE_NAMES.join(", "));
            sink.add(Finding::error("file", Place::default(), message).help("write one, or name the file"));
        }
        tree(&assembler, &paths).map(|(root, inter)| services(&assembler, root, inter, request))
    };
    let complete = read.filter(|_| !sink.has_errors());
    let manifest = complete.map(|(stack, supplied)| Manifest { stack, variables: wanted.into_inner(), supplied });
    Outcome { manifest, findings: sink.into_findings(), files: sources.into_inner() }
}

/// The names of a manifest and its override in a source, if there is one.
fn discover(files: &dyn Files) -> Vec<String> {
    let there = |path: &str| !matches!(files.read(path), Err(FileError::Missing));
    let Some(main) = FILE_NAMES.iter().find(|n| there(n)) else { return Vec::new() };
    let (stem, ending) = main.split_once('.').unwrap_or((main, "yaml"));
    let over = format!("{stem}.override.{ending}");
    let mut paths = vec![(*main).to_owned()];
    if there(&over) {
        paths.push(over);
    }
    paths
}

fn tree<'a>(assembler: &Assembler<'a>, paths: &[String]) -> Option<(Node, interpolate::Interpolator<'a>)> {
    let dir = files::folder(paths.first()?).to_owned();
    // The main file is the first in the list of files, so that findings without a place of their own are about it.
    assembler.text(&paths[0], Some(Place::default()))?;
    let env = files::join(&dir, ".env")?;
    let inter = assembler.interpolator(&[(env, None)]);
    let root = assembler.group(paths, &dir, &inter, None, &mut Vec::new())?;
    Some((root, inter))
}

type Read = (Stack, BTreeMap<ResourceName, Secret<Vec<u8>>>);

fn services<'a>(
    assembler: &'a Assembler<'a>,
    mut root: Node,
    inter: interpolate::Interpolator<'a>,
    request: &Request,
) -> Read {
    let sink = assembler.sink;
    let mut active = request.profiles.clone();
    if let Some(named) = inter.silently("COMPOSE_PROFILES") {
        active.extend(named.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()));
    }
    let mut inactive = BTreeSet::new();
    let mut names = BTreeMap::new();
    if let Value::Map(top) = &mut root.value {
        if let Some(Value::Map(all)) = top.get_mut("services").map(|n| &mut n.value) {
            inactive = drop_inactive(all, &active);
            names = service_names(all, sink);
        }
        if names.is_empty() && !sink.has_errors() {
            let finding = Finding::error("missing-key", root.at, "there is no service");
            sink.add(finding.help("write `services: {web: {image: …}}`"));
        }
    }
    let cx =
        read::Cx { sink, assembler, env: RefCell::new(inter), services: names, inactive, supplied: RefCell::default() };
    let (mut stack, mut drafts) = read::stack(&root, &cx);
    infer::decide(&mut drafts, sink);
    stack.services = drafts.iter().map(|(name, draft)| (name.clone(), draft.service.clone())).collect();
    check::check(&stack, &drafts, sink);
    (stack, cx.supplied.into_inner())
}

/// Takes services out of which no profile is active; gives their names.
fn drop_inactive(services: &mut Map, active: &BTreeSet<String>) -> BTreeSet<String> {
    let mut dropped = BTreeSet::new();
    services.0.retain(|entry| {
        let profiles = entry.node.as_map().and_then(|m| m.get("profiles")).and_then(Node::as_list).unwrap_or_default();
        let texts: Vec<&str> = profiles.iter().filter_map(Node::scalar).map(|s| s.text.as_str()).collect();
        let keep = texts.is_empty() || active.contains("*") || texts.iter().any(|p| active.contains(*p));
        if !keep {
            dropped.insert(entry.key.clone());
        }
        keep
    });
    dropped
}

/// The platform's name for each service: its own where that is possible, else the nearest one that is.
fn service_names(services: &Map, sink: &Sink) -> BTreeMap<String, ServiceName> {
    let mut names: BTreeMap<String, ServiceName> = BTreeMap::new();
    for entry in &services.0 {
        let name = match entry.key.parse::<ServiceName>().or_else(|_| nearest_name(&entry.key).parse()) {
            Ok(name) => name,
            Err(error) => {
                let finding = Finding::error("bad-name", entry.key_at, format!("{error}"));
                sink.add(
                    finding
                        .help("rename the service; `networks: {default: {aliases: […]}}` keeps the old name reachable"),
                );
                continue;
            }
        };
        if name.as_str() != entry.key {
            let message = format!("the service `{}` is called `{name}` by the platform", entry.key);
            sink.add(
                Finding::note("other-meaning", entry.key_at, message).help("other services reach it by both names"),
            );
        }
        if let Some((other, _)) = names.iter().find(|(_, n)| **n == name) {
            let message = format!("the services `{other}` and `{}` would both be called `{name}`", entry.key);
            sink.add(Finding::error("bad-name", entry.key_at, message).help("rename one of them"));
            continue;
        }
        names.insert(entry.key.clone(), name);
    }
    names
}

/// Lower case, with single hyphens for everything that cannot be in a name.
fn nearest_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("s-{name}") } else { name.to_owned() }
}
