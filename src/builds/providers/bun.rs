//! Bun: projects with its lock file, its configuration, or its name in `packageManager`.

use super::javascript::{self, PackageJson};
use super::{Spec, app_folder, has_own_server, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, PackageManager, ProviderId, Step};
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Bun,
    looks_for: "bun.lock, bun.lockb, bunfig.toml, or `packageManager: bun` in package.json",
    starts: "`scripts.start` or `main` of package.json, index.ts, src/index.ts, index.js",
    detect,
    plan,
};

const KNOWN: Known = Known { tool: "bun", default: "1", lines: &["1"], precision: 3 };

fn detect(tree: &SourceTree) -> bool {
    let named = || {
        let package = PackageJson::read(tree).ok();
        package.and_then(|p| p.package_manager).is_some_and(|m| m.starts_with("bun"))
    };
    let other_lock = tree.first_of(&["package-lock.json", "pnpm-lock.yaml", "yarn.lock"]).is_some();
    (tree.first_of(&["bun.lock", "bun.lockb", "bunfig.toml"]).is_some() && !other_lock) || named()
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let package = PackageJson::read(tree)?;
    let mut plan = blank(context, Some(ProviderId::Bun));
    let named = package.package_manager.as_deref().and_then(|m| m.strip_prefix("bun@"));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            named.map(|v| Wish::new(v, "package.json packageManager")),
            Wish::file(tree, ".bun-version"),
            Wish::tool_files(tree, &["bun"]),
            package.engine("bun").map(|v| Wish::new(v, "package.json engines.bun")),
        ],
    )?;
    let image = context.image("bun", &version.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(version);
    let lock = tree.first_of(&["bun.lock", "bun.lockb"]);
    plan.package_manager = Some(PackageManager { name: "bun".into(), lockfile: lock.map(str::to_owned) });
    if !package.installs_with_source() {
        plan.manifests = present(tree, &["package.json", "bun.lock", "bun.lockb", "bunfig.toml", ".npmrc"]);
    }
    let locked = if lock.is_some() { " --frozen-lockfile" } else { "" };
    plan.install.push(Step::new(format!("bun install{locked}")).cached("bun", "/root/.bun/install/cache"));
    if package.scripts.contains_key("build") {
        plan.build.push(Step::new("bun run build"));
    }
    let framework = javascript::framework(&package);
    plan.framework = framework.map(str::to_owned);
    plan.env.insert("NODE_ENV".into(), "production".into());
    plan.env.insert("PATH".into(), "/app/node_modules/.bin:$PATH".into());
    plan.start = javascript::start(tree, &package, framework, &["bun", "run", "start"], "bun");
    let site = javascript::static_site(tree, &package, framework).filter(|_| !has_own_server(context));
    if let Some(site) = site {
        javascript::serve_static(&mut plan, context, site);
        return Ok(plan);
    }
    plan.artifacts.push(app_folder(true));
    Ok(plan)
}
