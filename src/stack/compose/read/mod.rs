//! From the tree in long forms to the closed types. Every key read here stands in a table of [`super::keys`].
//!
//! A value that cannot be read is reported and left at its default, so that one mistake hides no other.

mod build;
mod container;
mod data;
mod deploy;
mod health;
mod network;
mod resources;
mod rollout;
mod run;
mod scale;
mod service;
mod traffic;
mod wharf;
mod workflow;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::assemble::Assembler;
use super::fields::{Fields, nearest};
use super::finding::{Finding, Place, Sink};
use super::interpolate::Interpolator;
use super::keys;
use super::node::{Node, Scalar};
use crate::kernel::name::{ServiceName, VariableName};
use crate::kernel::secret::Secret;
use crate::stack::model::{About, ResourceName, Service, Stack};

/// What the readers have in common.
pub(super) struct Cx<'a> {
    pub sink: &'a Sink,
    pub assembler: &'a Assembler<'a>,
    /// For `env_file`.
    pub env: RefCell<Interpolator<'a>>,
    /// The services by the names in the file.
    pub services: BTreeMap<String, ServiceName>,
    /// Names of services that are in the files, but whose profiles are not active.
    pub inactive: BTreeSet<String>,
    /// Contents of secrets that stand in files of the source.
    pub supplied: RefCell<BTreeMap<ResourceName, Secret<Vec<u8>>>>,
}

/// A service as read, with what is decided only when all are known.
pub(super) struct Draft {
    pub service: Service,
    pub key_at: Place,
    pub published: Vec<Published>,
    /// Said by its author, not to be decided by us.
    pub said: Said,
    /// The places of `depends_on` entries.
    pub needs_at: BTreeMap<ServiceName, Place>,
    /// Further names it has for others (`links`).
    pub links: Vec<(ServiceName, String, Place)>,
}

/// Which properties the author decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub kind: bool,
    pub care: bool,
    pub health: bool,
    pub replicas: Option<Place>,
    pub routes: bool,
    /// `deploy.mode: replicated-job`.
    pub job_mode: bool,
    pub scale_at: Option<Place>,
    pub rollout_at: Option<Place>,
}

/// A port that shall be reached from outside.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub target: u16,
    pub published: Option<u16>,
    pub udp: bool,
    pub app_protocol: Option<String>,
    pub at: Place,
}

/// The stack's services as drafts, and everything beside them.
pub(super) fn stack(root: &Node, cx: &Cx<'_>) -> (Stack, Vec<(ServiceName, Draft)>) {
    let mut stack = Stack::default();
    let Some(top) = Fields::open(root, &keys::TOP, cx.sink) else { return (stack, Vec::new()) };
    resources::read(&top, cx, &mut stack);
    if let Some(x) = top.open_at("x-wharf", &keys::X_STACK) {
        stack.about = About { name: x.text("name"), version: x.text("version"), description: x.text("description") };
        stack.inputs = workflow::inputs(&x);
        stack.workflows = workflow::workflows(&x, cx);
    }
    if stack.about.name.is_none() {
        stack.about.name = top.text("name").filter(|n| !n.is_empty());
    }
    let mut drafts = Vec::new();
    for entry in top.entries("services") {
        let Some(name) = cx.services.get(&entry.key) else { continue };
        if let Some(draft) = service::read(entry, name, cx, &stack) {
            drafts.push((name.clone(), draft));
        }
    }
    (stack, drafts)
}

impl Cx<'_> {
    /// The service of this name; one that is not there is reported.
    pub(super) fn service(&self, name: &str, at: Place) -> Option<ServiceName> {
        if let Some(found) = self.services.get(name) {
            return Some(found.clone());
        }
        let finding = Finding::error("unknown-name", at, format!("there is no service `{name}`"));
        self.sink.add(if self.inactive.contains(name) {
            finding.help("it is there, but none of its profiles is active: `--profile`")
        } else {
            match nearest(name, self.services.keys().map(String::as_str)) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help("name one of the services of the stack"),
            }
        });
        None
    }

    /// A name of a resource; a bad one is reported.
    pub(super) fn name(&self, text: &str, at: Place) -> Option<ResourceName> {
        match text.parse() {
            Ok(name) => Some(name),
            Err(message) => {
                self.sink.add(Finding::error("bad-name", at, message));
                None
            }
        }
    }

    /// Reports that a resource is used and stands nowhere.
    pub(super) fn unknown_resource<'n>(
        &self,
        kind: &str,
        name: &str,
        at: Place,
        known: impl Iterator<Item = &'n ResourceName>,
    ) {
        let finding = Finding::error("unknown-name", at, format!("there is no {kind} `{name}`"));
        self.sink.add(match nearest(name, known.map(ResourceName::as_str)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help(format!("add it below `{kind}s:` at the top of the file: `{name}: {{}}`")),
        });
    }
}

/// The text to be stored, and the references in it.
pub(super) fn stored(scalar: &Scalar, references: &mut BTreeSet<VariableName>) -> String {
    let Some(template) = &scalar.template else { return scalar.text.clone() };
    let mut rest = template.as_str();
    while let Some(at) = rest.find("${{") {
        rest = &rest[at + 3..];
        if let Some(name) = rest.find("}}").and_then(|end| rest[..end].parse().ok()) {
            references.insert(name);
        }
    }
    template.clone()
}

/// An absolute path inside a container without `..`; a bad one is reported.
pub(super) fn target(text: &str, at: Place, sink: &Sink) -> Option<String> {
    let clean = text.trim_end_matches('/');
    let clean = if clean.is_empty() { "/" } else { clean };
    let sound = text.starts_with('/') && !text.split('/').any(|p| p == "..") && !text.contains('\0');
    if !sound || clean == "/" {
        let message = format!("`{}` is not a place inside a container", text.escape_debug());
        sink.add(Finding::error("bad-value", at, message).help("write an absolute path below `/`, without `..`"));
        return None;
    }
    Some(clean.to_owned())
}
