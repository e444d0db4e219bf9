//! Go: modules and workspaces, one static program.

use super::{Spec, app_folder, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Go,
    looks_for: "go.mod, go.work, main.go",
    starts: "`package main` in the top folder or in cmd/<name>",
    detect: |tree| tree.first_of(&["go.mod", "go.work", "main.go"]).is_some(),
    plan,
};

const KNOWN: Known =
    Known { tool: "go", default: "1.25", lines: &["1.26", "1.25", "1.24", "1.23", "1.22", "1.21"], precision: 2 };

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let mut plan = blank(context, Some(ProviderId::Go));
    let directive = |file: &str, key: &str| {
        let line = parse::hint(tree, file).lines().find_map(|l| l.trim().strip_prefix(key))?;
        let version = line.trim().trim_start_matches("go").to_owned();
        (!version.is_empty()).then_some(Wish::new(version, format!("{file} {}", key.trim())))
    };
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            Wish::tool_files(tree, &["go", "golang"]),
            Wish::file(tree, ".go-version"),
            directive("go.mod", "toolchain "),
            directive("go.work", "go "),
            directive("go.mod", "go "),
        ],
    )?;
    plan.images.build = Some(context.image("go", &version.version));
    plan.images.runtime = context.image("debian", "");
    plan.versions.push(version);
    plan.package_manager =
        Some(PackageManager { name: "go".into(), lockfile: tree.first_of(&["go.sum"]).map(str::to_owned) });
    module_steps(&mut plan, tree);
    plan.tools.push(Step::new("mkdir -p /etc/ssl/certs"));
    plan.framework = framework(tree).map(str::to_owned);
    plan.start = Some(CommandLine::exec(&["/usr/local/bin/app"])).filter(|_| package(tree).is_some());
    plan.artifacts.push(from_build("/etc/ssl/certs", "/etc/ssl/certs"));
    plan.artifacts.push(app_folder(false));
    plan.artifacts.push(from_build("/out/", "/usr/local/bin/"));
    Ok(plan)
}

fn module_steps(plan: &mut BuildPlan, tree: &SourceTree) {
    let cached = |step: Step| step.cached("go-mod", "/go/pkg/mod").cached("go-build", "/root/.cache/go-build");
    let vendored = tree.has_dir("vendor");
    let workspace = tree.has("go.work");
    plan.manifests = present(tree, &["go.mod", "go.sum", "go.work", "go.work.sum"]);
    if workspace {
        let modules = tree.paths().filter(|p| p.ends_with("/go.mod") || p.ends_with("/go.sum"));
        plan.manifests.extend(modules.map(str::to_owned));
    }
    let local_replace = parse::hint(tree, "go.mod").lines().any(|l| l.contains("=> ./") || l.contains("=> ../"));
    if local_replace || vendored {
        plan.manifests.clear();
    }
    if !vendored && tree.first_of(&["go.sum", "go.work.sum"]).is_some() {
        plan.install.push(cached(Step::new("go mod download")));
    }
    // Programs that bind C libraries need the C compiler; all others are static.
    let cgo = ["github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go"]
        .iter()
        .any(|m| parse::hint(tree, "go.mod").contains(m));
    plan.build_env.insert("CGO_ENABLED".into(), if cgo { "1" } else { "0" }.into());
    plan.build_env.insert("GOPATH".into(), "/go".into());
    let target = package(tree).unwrap_or_else(|| ".".into());
    let target = if tree.has("go.mod") || workspace { target } else { "main.go".into() };
    let flags = "-trimpath -ldflags='-s -w' -tags=timetzdata";
    plan.build.push(cached(Step::new(format!("go build {flags} -o /out/app {target}"))));
    for (name, package) in other_programs(tree, &target) {
        plan.build.push(cached(Step::new(format!("go build {flags} -o /out/{name} {package}"))));
    }
}

/// Whether a folder (`""` is the top) holds a program.
fn is_main(tree: &SourceTree, dir: &str) -> bool {
    let mut files = tree.in_dir(dir, ".go").filter(|p| !p.ends_with("_test.go"));
    files
        .any(|p| parse::hint(tree, p).lines().any(|l| l.trim_end() == "package main" || l.starts_with("package main ")))
}

/// Folders in `cmd/` that hold programs.
fn commands(tree: &SourceTree) -> Vec<String> {
    let mut dirs: Vec<String> = tree
        .paths()
        .filter(|p| p.starts_with("cmd/") && p.matches('/').count() == 2 && p.ends_with(".go"))
        .filter_map(|p| p.rsplit_once('/').map(|(dir, _)| dir.to_owned()))
        .collect();
    dirs.dedup();
    dirs.retain(|d| is_main(tree, d) && d.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)));
    dirs
}

/// The package of the web process: the top folder, `cmd/web`, `cmd/server`, `cmd/api`, or the first of `cmd/`.
fn package(tree: &SourceTree) -> Option<String> {
    if is_main(tree, "") {
        return Some(".".into());
    }
    let commands = commands(tree);
    let named =
        ["web", "server", "api", "app"].iter().find_map(|n| commands.iter().find(|c| c.ends_with(&format!("/{n}"))));
    let nested = || {
        let main = tree.paths().find(|p| p.ends_with("/main.go") && p.matches('/').count() == 1)?;
        main.rsplit_once('/').map(|(dir, _)| format!("./{dir}"))
    };
    named.or(commands.first()).map(|c| format!("./{c}")).or_else(nested)
}

fn other_programs(tree: &SourceTree, web: &str) -> Vec<(String, String)> {
    let programs = commands(tree).into_iter().map(|c| format!("./{c}")).filter(|c| c != web);
    programs.filter_map(|c| Some((c.rsplit_once('/')?.1.to_owned(), c.clone()))).filter(|(n, _)| n != "app").collect()
}

fn framework(tree: &SourceTree) -> Option<&'static str> {
    let modules = [
        ("gin", "github.com/gin-gonic/gin"),
        ("echo", "github.com/labstack/echo"),
        ("fiber", "github.com/gofiber/fiber"),
        ("chi", "github.com/go-chi/chi"),
    ];
    let text = parse::hint(tree, "go.mod");
    modules.iter().find(|(_, m)| text.contains(m)).map(|(n, _)| *n)
}
