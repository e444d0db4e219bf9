//! What `wharf build --print` and `wharf build --plan --json` print: offline, without Docker.

use std::path::Path;

use super::archive::{ArchiveError, IgnoreFiles, Limits};
use super::detect::detect;
use super::dockerfile::render;
use super::error::DetectError;
use super::model::BuildPlan;
use super::settings::Settings;
use super::source::SourceTree;

/// Why nothing could be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The directory can't be read as a source.
    #[error(transparent)]
    Source(#[from] ArchiveError),
    /// The source can't be planned.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The plan can't be written as JSON.
    #[error("the plan can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The Dockerfile for a directory.
///
/// # Errors
/// The directory can't be read, or nothing says how to build it.
pub fn print_dockerfile(dir: &Path, settings: &Settings) -> Result<String, PrintError> {
    Ok(render(&plan(dir, settings)?))
}

/// The plan for a directory, as indented JSON with a line break at its end.
///
/// # Errors
/// The directory can't be read, or nothing says how to build it.
pub fn plan_json(dir: &Path, settings: &Settings) -> Result<String, PrintError> {
    let mut json = serde_json::to_string_pretty(&plan(dir, settings)?)?;
    json.push('\n');
    Ok(json)
}

fn plan(dir: &Path, settings: &Settings) -> Result<BuildPlan, PrintError> {
    let tree = SourceTree::from_dir(dir, &Limits::default(), IgnoreFiles::GitAndDocker)?;
    Ok(detect(&tree, settings)?)
}
