//! `wharf apply`, `plan`, `revisions`, `diff`, `volumes` and `secrets`: an architecture as one thing.

use std::io::{BufRead as _, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::apps::ask;
use super::context::{Context, Global, encode};
use super::deploy::{pack, say_url};
use super::failure::{Failure, exit};
use super::{follow, output};
use crate::apps::{DiffView, OperationView, PlanView, SecretView, VolumeView};

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

/// Show what differs between two revisions.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf diff 3 4")]
pub(super) struct Diff {
    /// The earlier revision
    from: String,
    /// The later one
    to: String,
}

/// List the volumes of an app.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wharf volumes --app shop")]
pub(super) struct Volumes {}

/// Secrets of an app: files and variables that are never shown.
#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// List the secrets, without their values
    #[command(after_help = "Example:\n  wharf secrets list --app shop")]
    List,
    /// Set a secret; the value comes from standard input, or is asked for
    #[command(after_help = "Example:\n  wharf secrets set tls_key < key.pem")]
    Set {
        /// Its name, as the Compose file has it
        name: String,
    },
    /// Remove a secret
    #[command(after_help = "Example:\n  wharf secrets remove tls_key")]
    Remove {
        /// Its name
        name: String,
    },
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
        let change = match s.change.as_str() {
            "added" => console::style("added").green(),
            "removed" => console::style("removed").red(),
            "replaced" => console::style("replaced").yellow(),
            other => console::style(other).dim(),
        };
        vec![s.name.clone(), change.to_string(), s.source.clone(), s.instances.to_string()]
    });
    output::table(&["SERVICE", "CHANGE", "SOURCE", "INSTANCES"], rows.collect());
    println!();
    for change in &plan.changes {
        println!("{} {}", console::style(&change.subject).bold(), change.text);
    }
    if plan.changes.is_empty() {
        println!("Nothing changes but what the builds bring.");
    }
    let (memory, cpu) = (&plan.memory_mib, &plan.cpu_millis);
    println!("Limits: memory {} → {} MiB, CPU {} → {} m", memory.before, memory.after, cpu.before, cpu.after);
    for drift in &plan.drift {
        println!("now: {drift}");
    }
    let base = plan.base.revision.map_or_else(|| "nothing deployed".to_owned(), |r| format!("v{r}"));
    println!("Against {base}, configuration {}", plan.base.config_version);
}

pub(super) async fn diff(global: &Global, args: Diff) -> Result<(), Failure> {
    let number = |text: &str| {
        let digits = text.strip_prefix('v').unwrap_or(text);
        digits
            .parse::<i64>()
            .map_err(|_| Failure::usage(format!("`{text}` is not the number of a revision, such as 7")))
    };
    let (from, to) = (number(&args.from)?, number(&args.to)?);
    let context = Context::new(global).await?;
    let app = context.app_path().await?;
    let diff: DiffView = context.client.get(&format!("{app}/diff?from={from}&to={to}")).await?;
    if context.json {
        return output::json(&diff);
    }
    for change in &diff.changes {
        println!("{} {}", console::style(&change.subject).bold(), change.text);
    }
    if diff.changes.is_empty() {
        println!("v{from} and v{to} are the same.");
    }
    Ok(())
}

pub(super) async fn volumes(global: &Global, _args: Volumes) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let all: Vec<VolumeView> = context.client.items(&format!("{}/volumes", context.app_path().await?)).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("This app has no volume.");
        return Ok(());
    }
    let rows = all.iter().map(|v| {
        let size = v.size_bytes.map(|b| format!("{} KiB", b.div_ceil(1024))).unwrap_or_default();
        let used = match v.in_use {
            Some(true) => "in use",
            Some(false) => "not in use",
            None => "",
        };
        let made = v.created_at.as_deref().map(output::ago).unwrap_or_default();
        vec![v.name.clone(), v.services.join(", "), size, used.to_owned(), made]
    });
    output::table(&["VOLUME", "SERVICES", "SIZE", "STATE", "MADE"], rows.collect());
    Ok(())
}

pub(super) async fn secrets(global: &Global, command: Secrets) -> Result<(), Failure> {
    let context = Context::new(global).await?;
    let path = format!("{}/secrets", context.app_path().await?);
    match command {
        Secrets::List => list_secrets(&context, &path).await,
        Secrets::Set { name } => {
            let value = read_value(&name)?;
            let at = format!("{path}/{}", encode(&name));
            let set: SecretView = context.client.call(Method::PUT, &at, &json!({ "value": value })).await?;
            if context.json {
                return output::json(&set);
            }
            println!("{} is at version {}; the next deploy takes it.", set.name, set.version);
            Ok(())
        }
        Secrets::Remove { name } => {
            let request = context.client.request(Method::DELETE, &format!("{path}/{}", encode(&name)))?;
            context.client.send(request).await?;
            if !context.json {
                println!("{name} has no value any more.");
            }
            Ok(())
        }
    }
}

async fn list_secrets(context: &Context, path: &str) -> Result<(), Failure> {
    let all: Vec<SecretView> = context.client.items(path).await?;
    if context.json {
        return output::json(&all);
    }
    if all.is_empty() {
        println!("This app has no secret.");
        return Ok(());
    }
    let row =
        |s: &SecretView| vec![s.name.clone(), s.version.to_string(), output::ago(&s.created_at), s.author.clone()];
    output::table(&["SECRET", "VERSION", "SET", "BY"], all.iter().map(row).collect());
    Ok(())
}

/// From standard input as it is, or one line that is asked for.
fn read_value(name: &str) -> Result<String, Failure> {
    use std::io::IsTerminal as _;
    if std::io::stdin().is_terminal() {
        return ask(&format!("Value of {name}: "), "write the value to standard input");
    }
    let mut value = String::new();
    std::io::stdin()
        .read_to_string(&mut value)
        .map_err(|e| Failure::usage(format!("the value on standard input is not a text: {e}")))?;
    Ok(value)
}
