//! Rust: packages and workspaces, release builds with cached dependencies.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Spec, app_folder, from_build};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Rust,
    looks_for: "Cargo.toml",
    starts: "the package's program: default-run, [[bin]] or src/main.rs",
    detect: |tree| tree.has("Cargo.toml"),
    plan,
};

const KNOWN: Known = Known { tool: "rust", default: "1", lines: &["1"], precision: 3 };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    package: Option<Package>,
    bin: Vec<Bin>,
    workspace: Option<Workspace>,
    dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Package {
    name: String,
    default_run: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bin {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Workspace {
    members: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Toolchain {
    toolchain: BTreeMap<String, toml::Value>,
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let manifest: Manifest = parse::toml(tree, "Cargo.toml")?.unwrap_or_default();
    let toolchain: Toolchain = parse::toml(tree, "rust-toolchain.toml")?.unwrap_or_default();
    let channel = toolchain.toolchain.get("channel").and_then(toml::Value::as_str);
    let mut plan = blank(context, Some(ProviderId::Rust));
    // `rust-version` is a lower bound that the newest release meets, so it does not choose.
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            channel.map(|v| Wish::new(v, "rust-toolchain.toml")),
            Wish::file(tree, "rust-toolchain").filter(|w| !w.spec.starts_with('[')),
            Wish::file(tree, ".rust-version"),
            Wish::tool_files(tree, &["rust"]),
        ],
    )?;
    plan.images.build = Some(context.image("rust", &version.version));
    plan.images.runtime = context.image("debian", "");
    plan.versions.push(version);
    let locked = tree.has("Cargo.lock");
    plan.package_manager =
        Some(PackageManager { name: "cargo".into(), lockfile: locked.then(|| "Cargo.lock".to_owned()) });
    let programs = programs(tree, &manifest)?;
    build(&mut plan, locked, &programs);
    system(&mut plan, tree);
    plan.framework = ["axum", "actix-web", "rocket", "warp", "poem"]
        .iter()
        .find(|d| manifest.dependencies.contains_key(**d))
        .map(|d| (*d).to_owned());
    if plan.framework.as_deref() == Some("rocket") {
        plan.env.insert("ROCKET_ADDRESS".into(), "0.0.0.0".into());
        plan.notes
            .push(Note::Info("Rocket reads its port from ROCKET_PORT; it is set from PORT when the app starts".into()));
    }
    plan.start = programs.first().map(|name| match plan.framework.as_deref() {
        Some("rocket") => CommandLine::parse(&format!("ROCKET_PORT=$PORT /usr/local/bin/{name}")),
        _ => CommandLine::exec(&[&format!("/usr/local/bin/{name}")]),
    });
    Ok(plan)
}

/// All programs, that of the web process first.
fn programs(tree: &SourceTree, manifest: &Manifest) -> Result<Vec<String>, DetectError> {
    let mut found = package_programs(tree, "", manifest);
    let members = manifest.workspace.as_ref().map(|w| w.members.as_slice()).unwrap_or_default();
    for member in members {
        let folders: Vec<String> = match member.strip_suffix("/*") {
            None => vec![member.clone()],
            Some(parent) => {
                let inside = format!("{parent}/");
                let manifests = tree.paths().filter(|p| p.starts_with(&inside) && p.ends_with("/Cargo.toml"));
                manifests.filter_map(|p| Some(p.rsplit_once('/')?.0.to_owned())).collect()
            }
        };
        for folder in folders {
            let own: Manifest = parse::toml(tree, &format!("{folder}/Cargo.toml"))?.unwrap_or_default();
            found.extend(package_programs(tree, &format!("{folder}/"), &own));
        }
    }
    let mut seen = Vec::new();
    found.retain(|name| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let new = plain && !seen.contains(name);
        seen.push(name.clone());
        new
    });
    if let Some(at) =
        found.iter().position(|n| ["web", "server", "api"].contains(&n.as_str())).filter(|_| manifest.package.is_none())
    {
        found.swap(0, at);
    }
    Ok(found)
}

fn package_programs(tree: &SourceTree, folder: &str, manifest: &Manifest) -> Vec<String> {
    let Some(package) = &manifest.package else {
        return Vec::new();
    };
    let main = tree.has(&format!("{folder}src/main.rs")).then(|| package.name.clone());
    let listed = manifest.bin.iter().map(|b| b.name.clone());
    let dir = format!("{folder}src/bin");
    let found = tree.in_dir(&dir, ".rs").filter_map(|p| Some(p.rsplit_once('/')?.1.trim_end_matches(".rs").to_owned()));
    let all = package.default_run.clone().into_iter().chain(listed.chain(main).chain(found));
    all.filter(|n| !n.is_empty()).collect()
}

fn build(plan: &mut BuildPlan, locked: bool, programs: &[String]) {
    let locked = if locked { " --locked" } else { "" };
    let bins: String = programs.iter().map(|p| format!(" --bin {p}")).collect();
    let copies: Vec<String> = programs.iter().map(|p| format!("target/release/{p}")).collect();
    // The target folder is a cache and no part of the layer, so the programs are copied out in the same step.
    let run = format!(
        "cargo build --release{locked}{bins} && mkdir -p /out && cp {} /out/ && mkdir -p /etc/ssl/certs",
        copies.join(" ")
    );
    plan.build_env.insert("CARGO_HOME".into(), "/cargo".into());
    plan.build.push(
        Step::new(run)
            .cached("cargo-registry", "/cargo/registry")
            .cached("cargo-git", "/cargo/git")
            .cached("cargo-target", "/app/target"),
    );
    plan.artifacts.push(from_build("/etc/ssl/certs", "/etc/ssl/certs"));
    plan.artifacts.push(app_folder(false));
    plan.artifacts.push(from_build("/out/", "/usr/local/bin/"));
}

fn system(plan: &mut BuildPlan, tree: &SourceTree) {
    let lock = parse::hint(tree, "Cargo.lock");
    plan.packages.build.push("ca-certificates".into());
    if lock.contains("name = \"openssl-sys\"") {
        plan.packages.build.extend(["pkg-config".to_owned(), "libssl-dev".to_owned()]);
        plan.packages.runtime.push("libssl3".into());
    }
    if lock.contains("name = \"pq-sys\"") {
        plan.packages.build.push("libpq-dev".into());
        plan.packages.runtime.push("libpq5".into());
    }
}
