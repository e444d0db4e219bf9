//! One file per language. A provider says which files it looks for, whether a tree is its own, and makes the plan.

mod bun;
mod deno;
mod dotnet;
mod elixir;
mod go;
mod java;
mod javascript;
mod node;
mod php;
mod python;
mod ruby;
mod rust;
mod static_site;

use super::detect::Context;
use super::error::DetectError;
use super::model::{Artifact, BuildPlan, Note, ProviderId};
use super::parse;
use super::source::SourceTree;

/// What the room knows of a provider.
pub(crate) struct Spec {
    pub(crate) id: ProviderId,
    /// Files it looks for, for people.
    pub(crate) looks_for: &'static str,
    /// What it takes as a start command, for people.
    pub(crate) starts: &'static str,
    pub(crate) detect: fn(&SourceTree) -> bool,
    pub(crate) plan: fn(Context<'_>) -> Result<BuildPlan, DetectError>,
}

/// In order of detection. Languages whose projects also carry a `package.json` for their assets come before Node.
const ALL: &[Spec] = &[
    php::SPEC,
    go::SPEC,
    java::SPEC,
    rust::SPEC,
    ruby::SPEC,
    elixir::SPEC,
    python::SPEC,
    dotnet::SPEC,
    deno::SPEC,
    bun::SPEC,
    node::SPEC,
    static_site::SPEC,
];

/// Plans with the provider of the settings, or the first that recognises the tree.
pub(crate) fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    if let Some(id) = context.settings.provider {
        let spec = ALL.iter().find(|s| s.id == id);
        return spec.map_or_else(|| Err(nothing(context.tree)), |s| (s.plan)(context));
    }
    let wants_static = context.settings.static_dir.is_some();
    let spec = ALL.iter().find(|s| (s.detect)(context.tree));
    match spec {
        Some(spec) => {
            let mut plan = (spec.plan)(context)?;
            plan.notes.extend(unbuilt_assets(context.tree, spec.id));
            Ok(plan)
        }
        None if wants_static => static_site::plan(context),
        None => Err(nothing(context.tree)),
    }
}

/// Apps in other languages often carry a `package.json` for their assets; one image is built by one provider.
fn unbuilt_assets(tree: &SourceTree, id: ProviderId) -> Option<Note> {
    let builds = javascript::PackageJson::read(tree).is_ok_and(|p| p.scripts.contains_key("build"));
    let other = ![ProviderId::Node, ProviderId::Bun, ProviderId::Deno].contains(&id);
    (builds && other).then(|| {
        Note::Warning(format!(
            "`scripts.build` of package.json is not run, because this is built as {id}; commit the built files, or use a Dockerfile"
        ))
    })
}

/// Whether the owner says what the web process is: then a build that makes a static site is served by that process.
pub(crate) fn has_own_server(context: Context<'_>) -> bool {
    let procfile = parse::hint(context.tree, "Procfile");
    context.settings.start.is_some() || procfile.lines().any(|l| l.trim_start().starts_with("web:"))
}

fn nothing(tree: &SourceTree) -> DetectError {
    let lines: Vec<String> = ALL.iter().map(|s| format!("  {}: {}", s.id, s.looks_for)).collect();
    DetectError::NothingFound {
        files: tree.len(),
        looked_for: format!("  a whole stack: compose.yaml\n  your own build: Dockerfile\n{}", lines.join("\n")),
    }
}

/// Image of the file server for static sites.
pub(crate) fn static_image(context: Context<'_>) -> String {
    static_site::image(context)
}

/// The error for an app that nothing says how to start.
pub(crate) fn no_start(id: Option<ProviderId>) -> DetectError {
    let spec = ALL.iter().find(|s| Some(s.id) == id);
    DetectError::NoStart {
        provider: id.map_or_else(|| "source".into(), |i| i.to_string()),
        looked_for: spec.map_or("a Procfile", |s| s.starts).into(),
    }
}

/// The whole source, or with a build the whole result, as the app's own folder.
pub(crate) fn app_folder(built: bool) -> Artifact {
    Artifact { from: if built { "/app" } else { "." }.into(), to: "/app".into(), from_source: !built, owned: true }
}

/// Something from the build stage that the app only reads.
pub(crate) fn from_build(from: &str, to: &str) -> Artifact {
    Artifact { from: from.into(), to: to.into(), from_source: false, owned: false }
}

/// Those of these files that are there.
pub(crate) fn present(tree: &SourceTree, names: &[&str]) -> Vec<String> {
    names.iter().filter(|n| tree.has(n)).map(|n| (*n).to_owned()).collect()
}
