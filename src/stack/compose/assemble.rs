//! From files to one tree: overrides, `extends`, `include`, `.env`. Knows files only through [`Files`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::files::{FileError, Files, folder, join};
use super::finding::{Finding, Place, Sink};
use super::interpolate::{Interpolator, Variables, Wanted};
use super::node::{Entry, Map, Node, Scalar, Tag, Value};
use super::{canonical, dotenv, merge, yaml};

/// Files one manifest may consist of.
const MOST_FILES: usize = 64;
/// How deep files may include files, and services extend services.
const DEEPEST: usize = 8;

/// A file that was read, for excerpts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path below the root of the source.
    pub path: String,
    pub text: String,
}

pub(super) struct Assembler<'a> {
    files: &'a dyn Files,
    variables: &'a Variables,
    pub sink: &'a Sink,
    pub wanted: &'a RefCell<BTreeMap<String, Wanted>>,
    sources: &'a RefCell<Vec<SourceFile>>,
}

/// What was asked for from where, for circles.
type Chain = Vec<(String, String)>;

impl<'a> Assembler<'a> {
    pub(super) fn new(
        files: &'a dyn Files,
        variables: &'a Variables,
        sink: &'a Sink,
        wanted: &'a RefCell<BTreeMap<String, Wanted>>,
        sources: &'a RefCell<Vec<SourceFile>>,
    ) -> Self {
        Self { files, variables, sink, wanted, sources }
    }

    /// Variables for files of this folder: those of its `.env`, below those of the platform.
    pub(super) fn interpolator(&self, env_files: &[(String, Option<Place>)]) -> Interpolator<'a> {
        let mut inter = Interpolator::new(self.variables, self.sink, self.wanted);
        for (path, at) in env_files {
            if let Some((text, file)) = self.text(path, *at) {
                dotenv::parse(&text, file, false, &mut inter, self.sink);
            }
        }
        inter
    }

    /// The text of a file and its number. With a place, a file that is not there is reported there.
    pub(super) fn text(&self, path: &str, asked_at: Option<Place>) -> Option<(String, u16)> {
        let report = |message: String| {
            let finding = Finding::error("file", asked_at.unwrap_or_default(), message);
            self.sink.add(finding.help("files are looked for in the source that is deployed, below its root"));
        };
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(FileError::Missing) if asked_at.is_none() => return None,
            Err(error) => {
                report(format!("`{path}`: {error}"));
                return None;
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            report(format!("`{path}` is not a text in UTF-8"));
            return None;
        };
        let mut sources = self.sources.borrow_mut();
        if let Some(known) = sources.iter().position(|s| s.path == path) {
            return Some((text, u16::try_from(known).unwrap_or(u16::MAX)));
        }
        if sources.len() >= MOST_FILES {
            drop(sources);
            report(format!("the manifest consists of more than {MOST_FILES} files"));
            return None;
        }
        sources.push(SourceFile { path: path.to_owned(), text: text.clone() });
        Some((text, u16::try_from(sources.len() - 1).unwrap_or(u16::MAX)))
    }

    /// One file and those that override it, with all they include.
    pub(super) fn group(
        &self,
        paths: &[String],
        dir: &str,
        inter: &Interpolator<'_>,
        asked_at: Option<Place>,
        open: &mut Vec<String>,
    ) -> Option<Node> {
        let mut whole: Option<Node> = None;
        for path in paths {
            let Some(node) = self.file(path, dir, inter, asked_at.or(Some(Place::default()))) else { continue };
            match &mut whole {
                None => whole = Some(node),
                Some(base) => merge::merge(base, node, &mut Vec::new()),
            }
        }
        let mut whole = whole?;
        merge::settle(&mut whole);
        open.extend(paths.iter().cloned());
        self.include(&mut whole, dir, open);
        open.truncate(open.len() - paths.len());
        Some(whole)
    }

    /// One file in long forms, its `extends` resolved.
    fn file(&self, path: &str, dir: &str, inter: &Interpolator<'_>, asked_at: Option<Place>) -> Option<Node> {
        let mut root = self.raw(path, dir, inter, asked_at)?;
        let Value::Map(map) = &mut root.value else {
            let message = format!("a Compose file is a mapping, and this is {}", root.what());
            let help = "begin with `services:`";
            self.sink.add(Finding::error("bad-value", root.at, message).help(help));
            return None;
        };
        let Some(services) = map.get("services").and_then(Node::as_map).cloned() else { return Some(root) };
        let mut resolved = Map::default();
        for entry in &services.0 {
            let node = self.extend(&services, entry, path, dir, inter, &mut Vec::new());
            resolved.0.push(Entry { node, ..entry.clone() });
        }
        if let Some(node) = map.get_mut("services") {
            node.value = Value::Map(resolved);
        }
        Some(root)
    }

    fn raw(&self, path: &str, dir: &str, inter: &Interpolator<'_>, asked_at: Option<Place>) -> Option<Node> {
        let (text, file) = self.text(path, asked_at)?;
        let mut root = yaml::load(&text, file, self.sink)?;
        inter.tree(&mut root);
        canonical::document(&mut root, dir, inter, self.sink);
        Some(root)
    }

    /// A service with what it extends below it.
    fn extend(
        &self,
        services: &Map,
        entry: &Entry,
        path: &str,
        dir: &str,
        inter: &Interpolator<'_>,
        chain: &mut Chain,
    ) -> Node {
        let mut own = entry.node.clone();
        let Value::Map(map) = &mut own.value else { return own };
        let Some(extends) = map.remove("extends") else { return own };
        let here = (path.to_owned(), entry.key.clone());
        if chain.contains(&here) || chain.len() >= DEEPEST {
            let names: Vec<&str> = chain.iter().map(|(_, s)| s.as_str()).chain([entry.key.as_str()]).collect();
            let message = format!("services extend each other in a circle: {}", names.join(" → "));
            self.sink.add(Finding::error("cycle", extends.key_at, message).help("let one of them stand for itself"));
            unresolved(map, extends.key_at);
            return own;
        }
        chain.push(here);
        let base = self.base(services, &extends, path, dir, inter, chain);
        chain.pop();
        let Some(mut base) = base else {
            unresolved(map, extends.key_at);
            return own;
        };
        base.at = own.at;
        merge::merge(&mut base, own, &mut vec!["services".to_owned(), entry.key.clone()]);
        base
    }

    fn base(
        &self,
        services: &Map,
        extends: &Entry,
        path: &str,
        dir: &str,
        inter: &Interpolator<'_>,
        chain: &mut Chain,
    ) -> Option<Node> {
        let fields = super::fields::Fields::open(&extends.node, &super::keys::EXTENDS, self.sink)?;
        let Some((name, at)) = fields.word("service") else {
            fields.missing("service", "web");
            return None;
        };
        let unknown = |known: &Map| {
            let finding = Finding::error("unknown-name", at, format!("there is no service `{name}` to extend"));
            let near = super::fields::nearest(&name, known.0.iter().map(|e| e.key.as_str()));
            self.sink.add(match near {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name a service of the same file, or say `file` too"),
            });
        };
        let Some((file, file_at)) = fields.word("file") else {
            let Some(entry) = services.entry(&name) else {
                unknown(services);
                return None;
            };
            return Some(self.extend(services, entry, path, dir, inter, chain));
        };
        let Some(other) = join(dir, &file) else {
            let message = format!("`{file}` lies outside the source");
            self.sink.add(Finding::error("outside", file_at, message).help("put the file into the source"));
            return None;
        };
        let other_dir = folder(&other).to_owned();
        let root = self.raw(&other, &other_dir, inter, Some(file_at))?;
        let theirs = root.as_map().and_then(|m| m.get("services")).and_then(Node::as_map).cloned().unwrap_or_default();
        let Some(entry) = theirs.entry(&name) else {
            unknown(&theirs);
            return None;
        };
        Some(self.extend(&theirs, entry, &other, &other_dir, inter, chain))
    }

    /// Takes the resources of included files in. What both have must be the same.
    fn include(&self, root: &mut Node, dir: &str, open: &mut Vec<String>) {
        let Value::Map(map) = &mut root.value else { return };
        let Some(includes) = map.get("include").cloned() else { return };
        for item in includes.as_list().unwrap_or_default() {
            let Some(theirs) = self.included(item, dir, open) else { continue };
            let Value::Map(theirs) = theirs.value else { continue };
            for kind in ["services", "volumes", "networks", "configs", "secrets"] {
                let Some(Value::Map(resources)) = theirs.get(kind).map(|n| n.value.clone()) else { continue };
                if map.get(kind).and_then(Node::as_map).is_none() {
                    map.remove(kind);
                    map.put(kind, Node::map(Map::default(), item.at));
                }
                let Some(Value::Map(own)) = map.get_mut(kind).map(|n| &mut n.value) else { continue };
                resources.0.into_iter().for_each(|entry| self.take_in(own, entry, kind));
            }
        }
    }

    fn take_in(&self, own: &mut Map, entry: Entry, kind: &str) {
        match own.entry(&entry.key) {
            None => own.0.push(entry),
            // An empty entry only names what the other file describes.
            Some(mine) if mine.node.is_null() => own.set(entry),
            Some(_) if entry.node.is_null() => {}
            Some(mine) if mine.key_at == entry.key_at => {}
            Some(mine) => {
                let what = kind.trim_end_matches('s');
                let message = format!("the {what} `{}` is in an included file too", entry.key);
                let finding =
                    Finding::error("duplicate-key", mine.key_at, message).also(entry.key_at, "it is here too");
                self.sink.add(
                    finding.help("name one of them differently, or put the change into an override of the include"),
                );
            }
        }
    }

    fn included(&self, item: &Node, dir: &str, open: &mut Vec<String>) -> Option<Node> {
        let fields = super::fields::Fields::open(item, &super::keys::INCLUDE, self.sink)?;
        let inside = |relative: &str, at: Place| {
            let path = join(dir, relative);
            if path.is_none() {
                let message = format!("`{relative}` lies outside the source");
                self.sink.add(Finding::error("outside", at, message).help("put the file into the source"));
            }
            path
        };
        let paths: Vec<(String, Place)> =
            fields.texts("path").into_iter().filter_map(|(p, at)| Some((inside(&p, at)?, at))).collect();
        let Some((first, at)) = paths.first().cloned() else {
            if fields.get("path").is_none() {
                fields.missing("path", "more.yaml");
            }
            return None;
        };
        if open.contains(&first) || open.len() >= DEEPEST * 2 {
            let message = format!("files include each other in a circle: {} → {first}", open.join(" → "));
            self.sink.add(Finding::error("cycle", at, message).help("let one of them stand for itself"));
            return None;
        }
        let sub = match fields.word("project_directory") {
            Some((directory, at)) => inside(&directory, at)?,
            None => folder(&first).to_owned(),
        };
        let env: Vec<(String, Option<Place>)> = match fields.texts("env_file") {
            files if files.is_empty() => vec![(join(&sub, ".env")?, None)],
            files => files.into_iter().filter_map(|(f, at)| Some((inside(&f, at)?, Some(at)))).collect(),
        };
        let names: Vec<String> = paths.into_iter().map(|(p, _)| p).collect();
        self.group(&names, &sub, &self.interpolator(&env), Some(at), open)
    }
}

/// What the service would have got is not known: that it lacks an image is not its fault.
fn unresolved(service: &mut Map, at: Place) {
    if service.entry("image").is_none() {
        let unknown = Scalar { plain: true, unknown: true, ..Scalar::default() };
        service.put("image", Node { value: Value::Scalar(unknown), at, tag: Tag::None });
    }
}
