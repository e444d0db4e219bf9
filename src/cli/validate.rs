//! `wharf validate`: what Wharf makes of a Compose file, offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::Global;
use super::failure::{Failure, exit};
use super::output;
use crate::stack::compose::{self, Directory, FILE_NAMES, Outcome, Request, Severity, Variable, Variables, excerpt};

/// Check a Compose file, with every finding. Needs neither Docker nor a network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf validate                       the Compose file of this directory\n  \
wharf validate compose.yaml --json   for programs\n  \
wharf validate --schema > schema.json\n\n\
Exit codes: 0 it can be applied, 1 it cannot, 2 wrong options, 4 there is no file.")]
pub(super) struct Validate {
    /// The file, or a directory with one; further files override the first
    files: Vec<PathBuf>,
    /// Activate a profile
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// A variable's value, as the app's configuration will have it
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Show notes too: keys without effect, variables without a value
    #[arg(long)]
    notes: bool,
    /// Print the stack the file gives, as JSON
    #[arg(long, conflicts_with = "schema")]
    stack: bool,
    /// Print the JSON Schema of the file, for editors
    #[arg(long)]
    schema: bool,
}

pub(super) fn run(global: &Global, args: &Validate) -> Result<ExitCode, Failure> {
    if args.schema {
        output::json(&compose::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (root, request) = request(args)?;
    let files =
        Directory::open(&root).map_err(|e| Failure::new(exit::NOT_FOUND, format!("{}: {e}", root.display())))?;
    let outcome = compose::parse(&files, &request);
    let bad = outcome.manifest.is_none() || (args.strict && outcome.count(Severity::Warning) > 0);
    match &outcome.manifest {
        Some(manifest) if args.stack => output::json(&manifest.stack)?,
        _ if global.json => output::json(&report(&outcome, bad))?,
        _ => print(&outcome, args, bad),
    }
    Ok(ExitCode::from(if bad { exit::FAILED } else { 0 }))
}

/// The folder that is the source, and what is read in it.
fn request(args: &Validate) -> Result<(PathBuf, Request), Failure> {
    let mut known = std::collections::BTreeMap::new();
    for pair in &args.set {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("`--set {pair}`: write NAME=VALUE")))?;
        known.insert(name.to_owned(), Variable { value: value.to_owned(), secret: false });
    }
    let mut request = Request {
        paths: Vec::new(),
        variables: Variables { known, complete: false },
        profiles: args.profile.iter().cloned().collect(),
    };
    let Some(first) = args.files.first() else {
        there_is_one(Path::new("."))?;
        return Ok((PathBuf::from("."), request));
    };
    if first.is_dir() {
        there_is_one(first)?;
        return Ok((first.clone(), request));
    }
    if !first.exists() {
        return Err(Failure::new(exit::NOT_FOUND, format!("there is no file {}", first.display())));
    }
    let root = match first.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    };
    for file in &args.files {
        let relative = file.strip_prefix(&root).unwrap_or(file);
        let outside = relative.is_absolute() || relative.components().any(|c| c == std::path::Component::ParentDir);
        if outside {
            let message =
                format!("{} lies outside of {}, the folder of the first file", file.display(), root.display());
            return Err(Failure::usage(message));
        }
        request.paths.push(relative.to_string_lossy().trim_start_matches("./").to_owned());
    }
    Ok((root, request))
}

fn there_is_one(dir: &Path) -> Result<(), Failure> {
    if FILE_NAMES.iter().any(|n| dir.join(n).exists()) {
        return Ok(());
    }
    let message = format!("there is no Compose file in {}: {}", dir.display(), FILE_NAMES.join(", "));
    Err(Failure::new(exit::NOT_FOUND, message))
}

fn report(outcome: &Outcome, bad: bool) -> serde_json::Value {
    json!({
        "valid": !bad,
        "errors": outcome.count(Severity::Error),
        "warnings": outcome.count(Severity::Warning),
        "notes": outcome.count(Severity::Note),
        "files": outcome.files.iter().map(|f| &f.path).collect::<Vec<_>>(),
        "findings": excerpt::views(outcome),
        "variables": outcome.manifest.as_ref().map(|m| &m.variables),
        "stack": outcome.manifest.as_ref().map(|m| &m.stack),
    })
}

fn print(outcome: &Outcome, args: &Validate, bad: bool) {
    let colour = console::colors_enabled();
    let shown = |s: Severity| s != Severity::Note || args.notes;
    for finding in outcome.findings.iter().filter(|f| shown(f.severity)) {
        println!("{}", excerpt::render(finding, &outcome.files, colour));
    }
    let count = |severity: Severity, one: &str| match outcome.count(severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {one}s")),
    };
    let parts: Vec<String> =
        [count(Severity::Error, "error"), count(Severity::Warning, "warning"), count(Severity::Note, "note")]
            .into_iter()
            .flatten()
            .collect();
    let counted = if parts.is_empty() { "nothing to say".to_owned() } else { parts.join(", ") };
    let hidden = outcome.count(Severity::Note) > 0 && !args.notes;
    let hint = if hidden { " (--notes shows the notes)" } else { "" };
    match &outcome.manifest {
        Some(manifest) if !bad => {
            services(manifest);
            println!("{} {counted}{hint}", console::style("valid:").green().bold());
        }
        _ => println!("{} {counted}{hint}", console::style("not valid:").red().bold()),
    }
}

/// What the file gives, in one table.
fn services(manifest: &compose::Manifest) {
    let rows = manifest.stack.services.iter().map(|(name, s)| {
        let source = match &s.build {
            Some(b) if b.context.is_empty() => "build .".to_owned(),
            Some(b) => format!("build {}", b.context),
            None => s.image.name.clone(),
        };
        let runs = match &s.scale {
            Some(scale) => format!("{}-{}", scale.min, scale.max),
            None => s.replicas.to_string(),
        };
        let port = s.port.map(|p| p.to_string()).unwrap_or_default();
        vec![name.to_string(), s.kind.as_str().to_owned(), source, port, runs, s.criticality.as_str().to_owned()]
    });
    output::table(&["SERVICE", "KIND", "SOURCE", "PORT", "INSTANCES", "CRITICALITY"], rows.collect());
    println!();
}
