//! Finished HTML: no build, no base image, served by Wharf itself.

use super::Spec;
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, Note, ProviderId, StaticSite};
use crate::builds::parse;
use crate::builds::source::SourceTree;

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Static,
    looks_for: "Staticfile, index.html, public/index.html, dist/index.html, _site/index.html",
    starts: "an index.html",
    detect: |tree| tree.has("Staticfile") || site_folder(tree).is_some(),
    plan,
};

/// Version of the file server's image and protocol of arguments.
const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Image of the file server.
pub(super) fn image(context: Context<'_>) -> String {
    context.image("static", SERVER_VERSION)
}

const FOLDERS: &[&str] = &["", "public", "dist", "_site", "build", "www", "site", "html"];

fn site_folder(tree: &SourceTree) -> Option<&'static str> {
    FOLDERS.iter().copied().find(|f| tree.has(&join(f, "index.html")))
}

fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() || folder == "." { file.to_owned() } else { format!("{folder}/{file}") }
}

/// `root:` and `pushstate:` of a Staticfile, as Cloud Foundry and Railpack know it.
fn staticfile(tree: &SourceTree, key: &str) -> Option<String> {
    parse::hint(tree, "Staticfile").lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

pub(super) fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let wanted = context.settings.static_dir.clone().or_else(|| staticfile(tree, "root"));
    let dir = match wanted {
        Some(dir) => checked(tree, &dir)?,
        None => site_folder(tree).unwrap_or_default().to_owned(),
    };
    let mut plan = blank(context, Some(ProviderId::Static));
    if !tree.has(&join(&dir, "index.html")) {
        plan.notes.push(Note::Warning(format!("{} is not there, so / will answer 404", join(&dir, "index.html"))));
    }
    let pushstate = staticfile(tree, "pushstate").is_some_and(|v| v == "enabled" || v == "true");
    let not_found = tree.has(&join(&dir, "404.html")).then(|| "404.html".to_owned());
    plan.images.runtime = image(context);
    plan.static_site =
        Some(StaticSite { dir: if dir.is_empty() { ".".into() } else { dir }, spa: pushstate, not_found });
    Ok(plan)
}

fn checked(tree: &SourceTree, dir: &str) -> Result<String, DetectError> {
    let dir = dir.trim_start_matches("./").trim_end_matches('/');
    if dir.is_empty() || dir == "." || tree.has_dir(dir) {
        return Ok(dir.trim_start_matches('.').to_owned());
    }
    Err(DetectError::unsupported(
        format!("the static folder {dir:?} is not in the source"),
        "Correct the setting or the `root:` line of the Staticfile; if a build makes the folder, leave it to the detected framework",
    ))
}
