//! Node.js with npm, pnpm or Yarn (1 and later): servers, and sites that a build makes.

use super::javascript::{self, PackageJson};
use super::{Spec, app_folder, has_own_server, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, Note, PackageManager, ProviderId, Step, ToolVersion};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Node,
    looks_for: "package.json",
    starts: "`scripts.start` or `main` of package.json, server.js, index.js, app.js, a known framework",
    detect: |tree| tree.has("package.json"),
    plan,
};

const KNOWN: Known =
    Known { tool: "node", default: "24", lines: &["26", "25", "24", "23", "22", "21", "20", "18", "16"], precision: 1 };

/// A package manager of the Node world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    Yarn,
    Berry,
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let package = PackageJson::read(tree)?;
    let mut plan = blank(context, Some(ProviderId::Node));
    let node = version(context, &package)?;
    let image = context.image("node", &node.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(node);
    let (manager, found) = manager(tree, &package)?;
    let framework = javascript::framework(&package);
    plan.framework = framework.map(str::to_owned);

    let site = javascript::static_site(tree, &package, framework).filter(|_| !has_own_server(context));
    let run = [manager.program(), "run", "start"];
    plan.start = javascript::start(tree, &package, framework, &run, "node");
    let builds = package.scripts.contains_key("build");
    let keeps_dev = site.is_some() || needs_dev(tree, &package, &plan);
    if keeps_dev && site.is_none() {
        plan.notes.push(Note::Info(
            "development dependencies stay in the image, because a start command uses one of them".into(),
        ));
    }
    plan.versions.extend(found);
    install(&mut plan, tree, &package, manager, builds || keeps_dev);
    if builds {
        let caches = [("node-modules-cache", "/app/node_modules/.cache"), ("next-cache", "/app/.next/cache")];
        let mut step = Step::new(format!("{} run build", manager.program())).cached(caches[0].0, caches[0].1);
        if framework == Some("next") {
            step = step.cached(caches[1].0, caches[1].1);
        }
        plan.build.push(step);
        if !keeps_dev {
            plan.build.push(prune(manager));
        }
    }
    plan.build_env = [("PATH", "/app/node_modules/.bin:$PATH")].map(|(k, v)| (k.into(), v.into())).into();
    plan.env = [("NODE_ENV", "production"), ("PATH", "/app/node_modules/.bin:$PATH")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    if framework == Some("nuxt") || framework == Some("astro") || framework == Some("next") {
        plan.env.insert(if framework == Some("next") { "HOSTNAME" } else { "HOST" }.into(), "0.0.0.0".into());
    }
    if package.depends_on("prisma") || package.depends_on("@prisma/client") {
        plan.packages.build.push("openssl".into());
        plan.packages.runtime.push("openssl".into());
    }
    if let Some(site) = site {
        javascript::serve_static(&mut plan, context, site);
        return Ok(plan);
    }
    plan.artifacts.push(app_folder(true));
    Ok(plan)
}

fn needs_dev(tree: &SourceTree, package: &PackageJson, plan: &BuildPlan) -> bool {
    let start = plan.start.as_ref().map(|s| s.text.as_str()).unwrap_or_default();
    let script = package.scripts.get("start").map(String::as_str).unwrap_or_default();
    let procfile = parse::hint(tree, "Procfile");
    [start, script, procfile].iter().any(|text| package.needs_dev(text))
}

fn version(context: Context<'_>, package: &PackageJson) -> Result<ToolVersion, DetectError> {
    let tree = context.tree;
    choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            package.engine("node").map(|v| Wish::new(v, "package.json engines.node")),
            Wish::file(tree, ".nvmrc"),
            Wish::file(tree, ".node-version"),
            Wish::tool_files(tree, &["node", "nodejs"]),
        ],
    )
}

/// The package manager and, where it is not the one that comes with Node, its version.
fn manager(tree: &SourceTree, package: &PackageJson) -> Result<(Manager, Option<ToolVersion>), DetectError> {
    let tool = |manager: Manager, version: &str, source: &str| {
        let version = ToolVersion { tool: manager.tool().into(), version: version.into(), source: source.into() };
        (manager, Some(version))
    };
    if let Some(text) = &package.package_manager {
        let (name, version) = text.split_once('@').unwrap_or((text, "latest"));
        let version = version.split('+').next().unwrap_or(version);
        let manager = match name {
            "npm" => return Ok((Manager::Npm, None)),
            "pnpm" => Manager::Pnpm,
            "yarn" if version.starts_with("1.") => Manager::Yarn,
            "yarn" => Manager::Berry,
            _ => {
                return Err(DetectError::unsupported(
                    format!("package.json names the package manager {text:?}, which is not known"),
                    "Known are npm, pnpm, yarn and bun",
                ));
            }
        };
        return Ok(tool(manager, version, "package.json packageManager"));
    }
    if tree.has("pnpm-lock.yaml") {
        return Ok(tool(Manager::Pnpm, pnpm_version(tree), "pnpm-lock.yaml"));
    }
    if tree.has("yarn.lock") {
        let berry = tree.has(".yarnrc.yml") || parse::hint(tree, "yarn.lock").contains("__metadata:");
        return Ok(if berry { tool(Manager::Berry, "4", "yarn.lock") } else { tool(Manager::Yarn, "1", "yarn.lock") });
    }
    Ok((Manager::Npm, None))
}

/// The pnpm that reads a lock file of this format.
fn pnpm_version(tree: &SourceTree) -> &'static str {
    let lock = parse::hint(tree, "pnpm-lock.yaml");
    let format = lock.lines().find_map(|l| l.strip_prefix("lockfileVersion:")).unwrap_or_default();
    match format.trim().trim_matches(['\'', '"']).split('.').next() {
        Some("5") => "7",
        Some("6") => "8",
        _ => "9",
    }
}

impl Manager {
    fn tool(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn | Self::Berry => "yarn",
        }
    }

    fn program(self) -> &'static str {
        self.tool()
    }

    /// Package that holds the program.
    fn package(self) -> &'static str {
        if self == Self::Berry { "@yarnpkg/cli-dist" } else { self.tool() }
    }

    fn locks(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["package-lock.json", "npm-shrinkwrap.json"],
            Self::Pnpm => &["pnpm-lock.yaml"],
            Self::Yarn | Self::Berry => &["yarn.lock"],
        }
    }
}

fn install(plan: &mut BuildPlan, tree: &SourceTree, package: &PackageJson, manager: Manager, with_dev: bool) {
    let lock = tree.first_of(manager.locks());
    plan.package_manager = Some(PackageManager { name: manager.tool().into(), lockfile: lock.map(str::to_owned) });
    if lock.is_none() && !(package.dependencies.is_empty() && package.dev_dependencies.is_empty()) {
        plan.notes.push(Note::Warning(format!(
            "no lock file ({}): two builds of the same commit may install different versions; commit it",
            manager.locks()[0]
        )));
    }
    let extra = [".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs"];
    let patches = tree.has_dir("patches") || tree.has_dir(".yarn") || tree.has_dir("prisma");
    if !package.installs_with_source() && !patches {
        plan.manifests = present(tree, &["package.json"]);
        plan.manifests.extend(present(tree, manager.locks()));
        plan.manifests.extend(present(tree, &extra));
    }
    if manager != Manager::Npm {
        let version = plan.versions.last().map_or("latest", |v| v.version.as_str());
        let step = Step::new(format!("npm install --global {}@{version}", manager.package()));
        plan.tools.push(step.cached("npm", "/root/.npm"));
    }
    let step = match (manager, lock.is_some(), with_dev) {
        (Manager::Npm, true, true) => Step::new("npm ci --include=dev").cached("npm", "/root/.npm"),
        (Manager::Npm, true, false) => Step::new("npm ci --omit=dev").cached("npm", "/root/.npm"),
        (Manager::Npm, false, true) => Step::new("npm install --include=dev").cached("npm", "/root/.npm"),
        (Manager::Npm, false, false) => Step::new("npm install --omit=dev").cached("npm", "/root/.npm"),
        (Manager::Pnpm, locked, dev) => {
            let locked = if locked { " --frozen-lockfile" } else { " --no-frozen-lockfile" };
            let dev = if dev { " --prod=false" } else { " --prod" };
            Step::new(format!(
                "CI=true pnpm install{locked}{dev} --store-dir=/root/.pnpm-store --package-import-method=copy"
            ))
            .cached("pnpm", "/root/.pnpm-store")
        }
        (Manager::Yarn, locked, dev) => {
            let locked = if locked { " --frozen-lockfile" } else { "" };
            Step::new(format!("yarn install{locked} --production={}", !dev))
                .cached("yarn", "/usr/local/share/.cache/yarn")
        }
        (Manager::Berry, locked, _) => {
            let locked = if locked { " --immutable" } else { " --no-immutable" };
            Step::new(format!("YARN_GLOBAL_FOLDER=/root/.yarn YARN_ENABLE_TELEMETRY=0 YARN_NODE_LINKER=node-modules yarn install{locked}"))
                .cached("yarn-berry", "/root/.yarn")
        }
    };
    plan.install.push(step);
}

fn prune(manager: Manager) -> Step {
    match manager {
        Manager::Npm => Step::new("npm prune --omit=dev"),
        Manager::Pnpm => Step::new("CI=true pnpm prune --prod"),
        Manager::Yarn => Step::new("yarn install --production --ignore-scripts --prefer-offline")
            .cached("yarn", "/usr/local/share/.cache/yarn"),
        Manager::Berry => Step::new(
            "YARN_GLOBAL_FOLDER=/root/.yarn YARN_NODE_LINKER=node-modules yarn workspaces focus --all --production",
        )
        .cached("yarn-berry", "/root/.yarn"),
    }
}
