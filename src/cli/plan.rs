//! `wharf plan` and `wharf apply`: a whole architecture from its Compose file.

use std::io::{BufRead as _, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;

use super::context::{Context, Global, encode};
use super::deploy::{pack, say_url};
use super::failure::{Failure, exit};
use super::{follow, output};
use crate::apps::{AmountsView, ChangeView, DemandView, OperationView, PlanView};

/// The first line of a plan file; what follows it is the source, as it was planned.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    wharf_plan: u32,
    app: String,
    manifest: Vec<String>,
    profiles: Vec<String>,
    plan: PlanView,
}

/// The version of plan files this program writes and reads.
const PLAN_FILE: u32 = 1;
/// Bytes the first line of a plan file may have.
const LONGEST_HEAD: u64 = 16 * 1024 * 1024;

/// Where a manifest is.
#[derive(Debug, Args)]
struct What {
    /// The Compose file; its folder is what is sent. Further ones override it
    #[arg(short, long = "file", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Activate a profile
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
}

/// Deploy a whole architecture from its Compose file, or a plan that was made before.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf apply -f compose.yaml --app shop\n  \
wharf plan -f compose.yaml --out shop.plan && wharf apply shop.plan")]
pub(super) struct Apply {
    #[command(flatten)]
    what: What,
    /// A file that `wharf plan --out` wrote; refused when something has changed since
    #[arg(conflicts_with_all = ["file", "profile"])]
    plan: Option<PathBuf>,
    /// What this is about, shown in the list of revisions
    #[arg(short, long)]
    message: Option<String>,
    /// Build without caches
    #[arg(long)]
    no_cache: bool,
}

/// Show what applying a Compose file would change, without changing anything.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf plan -f compose.yaml\n  wharf plan -f compose.yaml --out shop.plan")]
pub(super) struct Plan {
    #[command(flatten)]
    what: What,
    /// Write the plan with its source here, for `wharf apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The folder that is sent, and the manifest in it.
struct Source {
    folder: PathBuf,
    manifest: Vec<String>,
    profiles: Vec<String>,
}

impl What {
    fn source(&self) -> Result<Source, Failure> {
        let profiles = self.profile.clone();
        let Some(first) = self.file.first() else {
            return Ok(Source { folder: PathBuf::from("."), manifest: Vec::new(), profiles });
        };
        if !first.is_file() {
            return Err(Failure::new(exit::NOT_FOUND, format!("there is no file {}", first.display())));
        }
        let folder = match first.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut manifest = Vec::new();
        for file in &self.file {
            let inside = file.strip_prefix(&folder).unwrap_or(file);
            if inside.is_absolute() || inside.components().any(|c| c == std::path::Component::ParentDir) {
                let sentence =
                    format!("{} lies outside of {}, the folder that is sent", file.display(), folder.display());
                return Err(Failure::usage(sentence));
            }
            manifest.push(inside.to_string_lossy().trim_start_matches("./").to_owned());
        }
        Ok(Source { folder, manifest, profiles })
    }
}

/// The part of a URL that says how a source is to be read.
fn query(manifest: &[String], profiles: &[String]) -> String {
    format!("manifest={}&profiles={}", encode(&manifest.join(",")), encode(&profiles.join(",")))
}

async fn packed(folder: &Path) -> Result<std::fs::File, Failure> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || pack(&folder)).await.map_err(|e| Failure::failed(e.to_string()))?
}

async fn send<T: serde::de::DeserializeOwned>(
    context: &Context,
    path: &str,
    source: std::fs::File,
) -> Result<T, Failure> {
    let body = reqwest::Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(source)));
    let request = context.client.request(Method::POST, path)?.header("Content-Type", "application/gzip").body(body);
    let answer = context.client.send(request).await?;
    answer.json().await.map_err(|e| Failure::unreachable(context.client.base(), &e))
}

pub(super) async fn apply(global: &Global, args: Apply) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let (source, said) = match &args.plan {
        Some(file) => {
            let (head, source) = open_plan(file)?;
            if head.app != app {
                let sentence = format!("{} was made for another app; make one for this: wharf plan", file.display());
                return Err(Failure::usage(sentence));
            }
            let base = &head.plan.base;
            let said = query(&head.manifest, &head.profiles);
            let revision = base.revision.unwrap_or_default();
            (source, format!("{said}&base_revision={revision}&base_config={}", base.config_version))
        }
        None => {
            let source = args.what.source()?;
            (packed(&source.folder).await?, query(&source.manifest, &source.profiles))
        }
    };
    let message = args.message.unwrap_or_else(|| "wharf apply".to_owned());
    let path = format!("{app}/sources?message={}&no_cache={}&{said}", encode(&message), args.no_cache);
    let operation: OperationView = send(&context, &path, source).await?;
    follow::follow(&context, &app, &operation).await?;
    say_url(&context, &app).await
}

/// The head of a plan file, and its source.
fn open_plan(path: &Path) -> Result<(PlanFile, std::fs::File), Failure> {
    let broken = || Failure::usage(format!("{} is not a plan; make one with: wharf plan --out FILE", path.display()));
    let file = std::fs::File::open(path)
        .map_err(|e| Failure::new(exit::NOT_FOUND, format!("{} cannot be read: {e}", path.display())))?;
    let mut reader = std::io::BufReader::new(file);
    let mut head = Vec::new();
    reader.by_ref().take(LONGEST_HEAD).read_until(b'\n', &mut head)?;
    let head: PlanFile = serde_json::from_slice(&head).map_err(|_| broken())?;
    if head.wharf_plan != PLAN_FILE {
        return Err(Failure::usage(format!("{} was made by another version of wharf; make a new one", path.display())));
    }
    let mut source = tempfile::tempfile()?;
    std::io::copy(&mut reader, &mut source)?;
    source.rewind()?;
    Ok((head, source))
}

pub(super) async fn plan(global: &Global, args: Plan) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let what = args.what.source()?;
    let mut source = packed(&what.folder).await?;
    let path = format!("{app}/plan?{}", query(&what.manifest, &what.profiles));
    let plan: PlanView = send(&context, &path, source.try_clone()?).await?;
    if context.json {
        output::json(&plan)?;
    } else {
        print(&plan);
    }
    if let Some(out) = &args.out {
        let head = PlanFile { wharf_plan: PLAN_FILE, app, manifest: what.manifest, profiles: what.profiles, plan };
        let mut file = std::io::BufWriter::new(std::fs::File::create(out)?);
        serde_json::to_writer(&mut file, &head)?;
        file.write_all(b"\n")?;
        source.rewind()?;
        std::io::copy(&mut source, &mut file)?;
        file.flush()?;
        if !context.json {
            println!("Apply exactly this: wharf apply {}", out.display());
        }
    }
    Ok(())
}

fn print(plan: &PlanView) {
    for warning in &plan.warnings {
        println!("{warning}");
    }
    let rows = plan.services.iter().map(|s| {
        let change = console::style(s.change.as_str());
        let change = match s.change.as_str() {
            "added" => change.green(),
            "removed" => change.red(),
            "replaced" | "built" => change.yellow(),
            _ => change.dim(),
        };
        vec![s.name.clone(), change.to_string(), s.source.clone(), s.instances.to_string()]
    });
    output::table(&["SERVICE", "CHANGE", "SOURCE", "INSTANCES"], rows.collect());
    println!();
    changes(&plan.changes);
    if plan.changes.is_empty() {
        println!("Nothing changes but what the builds bring.");
    }
    needs(&plan.demand);
    for drift in &plan.drift {
        println!("Not as it should be now: {drift}");
    }
    let base = plan.base.revision.map_or_else(|| "nothing deployed".to_owned(), |r| format!("v{r}"));
    println!("Against {base}, configuration {}", plan.base.config_version);
}

/// Differences below what they are about: `+` is added, `-` removed, `~` changed.
pub(super) fn changes(all: &[ChangeView]) {
    let mut subject = "";
    for change in all {
        if change.subject != subject {
            subject = &change.subject;
            let of_it = all.iter().filter(|c| c.subject == subject);
            let mark = match of_it.map(|c| c.effect.as_str()).find(|e| ["start", "stop"].contains(e)) {
                Some("start") => console::style('+').green(),
                Some(_) => console::style('-').red(),
                None => console::style('~').yellow(),
            };
            println!("{mark} {}", console::style(subject).bold());
        }
        println!("    {}", change.text);
    }
}

fn needs(demand: &DemandView) {
    let line = |what: &str, unit: &str, pick: &dyn Fn(&AmountsView) -> u64| {
        let mut text = format!("{what}: {} → {} {unit}", pick(&demand.before), pick(&demand.after));
        if pick(&demand.extra) > 0 {
            text.push_str(&format!(", {} more on the way", pick(&demand.extra)));
        }
        if let Some(free) = &demand.free {
            text.push_str(&format!("; the machine has {} free", pick(free)));
        }
        println!("{text}");
    };
    line("Memory at most", "MiB", &|a| a.memory_mib);
    line("Processor at most", "millicores", &|a| a.cpu_millis);
    if demand.fits == Some(false) {
        println!("{}", console::style("There may not be enough memory: lower limits or replicas.").yellow());
    }
}
