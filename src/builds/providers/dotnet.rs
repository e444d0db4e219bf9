//! .NET: the web project of the source, published.

use super::{Spec, from_build};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Dotnet,
    looks_for: "*.csproj, *.fsproj, *.vbproj (up to two folders deep)",
    starts: "the published project",
    detect: |tree| project(tree).is_some(),
    plan,
};

const KNOWN: Known =
    Known { tool: "dotnet", default: "10.0", lines: &["10.0", "9.0", "8.0", "7.0", "6.0"], precision: 2 };

/// Project files, shallow ones first.
fn projects(tree: &SourceTree) -> Vec<&str> {
    let is_project = |p: &&str| [".csproj", ".fsproj", ".vbproj"].iter().any(|e| p.ends_with(e));
    let mut found: Vec<&str> = tree.paths().filter(is_project).filter(|p| p.matches('/').count() <= 2).collect();
    found.sort_by_key(|p| (p.matches('/').count(), *p));
    found
}

/// The web project, or the first that is no library or test.
fn project(tree: &SourceTree) -> Option<&str> {
    let projects = projects(tree);
    let web = projects.iter().find(|p| parse::hint(tree, p).contains("Microsoft.NET.Sdk.Web"));
    let program = projects.iter().find(|p| parse::hint(tree, p).contains("<OutputType>Exe"));
    web.or(program).or(projects.first()).copied()
}

fn tag<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split('<').next().map(str::trim)
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let Some(project) = project(tree) else {
        return Err(DetectError::unsupported(
            "no .csproj, .fsproj or .vbproj file was found",
            "Add the project file, or choose another provider",
        ));
    };
    let text = parse::text(tree, project)?.unwrap_or_default();
    let mut plan = blank(context, Some(ProviderId::Dotnet));
    let target = tag(text, "TargetFramework").or_else(|| tag(text, "TargetFrameworks")?.split(';').next());
    let target = target.and_then(|t| t.strip_prefix("net")).filter(|t| t.starts_with(|c: char| c.is_ascii_digit()));
    let global: Option<serde_json::Value> = parse::jsonc(tree, "global.json")?;
    let sdk = global.as_ref().and_then(|g| g.pointer("/sdk/version")?.as_str());
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            target.map(|v| Wish::new(v.split('-').next().unwrap_or(v), format!("{project} TargetFramework"))),
            sdk.map(|v| Wish::new(v, "global.json")),
        ],
    )?;
    plan.images.build = Some(context.image("dotnet-sdk", &version.version));
    plan.images.runtime = context.image("dotnet-aspnet", &version.version);
    plan.versions.push(version);
    let file = project.rsplit('/').next().unwrap_or(project);
    let stem = file.rsplit_once('.').map_or(file, |(s, _)| s);
    let name = tag(text, "AssemblyName").filter(|n| !n.contains('$')).unwrap_or(stem);
    if ![project, name].iter().all(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))) {
        return Err(DetectError::unsupported(
            format!("the project {project:?} has a name with special characters"),
            "Use letters, digits, `.`, `-` and `_`",
        ));
    }
    steps(&mut plan, tree, project);
    plan.framework = text.contains("Microsoft.NET.Sdk.Web").then(|| "aspnet".to_owned());
    if plan.framework.is_none() {
        plan.notes.push(Note::Info(format!("{project} is no web project (Microsoft.NET.Sdk.Web)")));
    }
    plan.start = Some(CommandLine::parse(&format!("ASPNETCORE_HTTP_PORTS=$PORT dotnet {name}.dll")));
    plan.env.insert("DOTNET_RUNNING_IN_CONTAINER".into(), "true".into());
    plan.artifacts.push(from_build("/out/", "/app/"));
    Ok(plan)
}

fn steps(plan: &mut BuildPlan, tree: &SourceTree, project: &str) {
    plan.package_manager = Some(PackageManager {
        name: "nuget".into(),
        lockfile: tree.paths().find(|p| p.ends_with("packages.lock.json")).map(str::to_owned),
    });
    let central = ["Directory.Packages.props", "Directory.Build.props", "NuGet.config", "nuget.config", "global.json"];
    plan.manifests = super::present(tree, &central);
    plan.manifests.extend(projects(tree).into_iter().map(str::to_owned));
    let cached = |step: Step| step.cached("nuget", "/root/.nuget/packages");
    plan.install.push(cached(Step::new(format!("dotnet restore {project}"))));
    plan.build.push(cached(Step::new(format!("dotnet publish {project} -c Release -o /out --no-restore"))));
}
