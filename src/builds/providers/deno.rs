//! Deno: projects with a `deno.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Spec, app_folder, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Deno,
    looks_for: "deno.json, deno.jsonc",
    starts: "the task `start` of deno.json, main.ts, server.ts, mod.ts, index.ts",
    detect: |tree| tree.first_of(&["deno.json", "deno.jsonc"]).is_some(),
    plan,
};

const KNOWN: Known = Known { tool: "deno", default: "2.5.6", lines: &["2.5.6", "1.46.3"], precision: 3 };

#[derive(Default, Deserialize)]
#[serde(default)]
struct DenoJson {
    tasks: BTreeMap<String, serde_json::Value>,
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let file = tree.first_of(&["deno.json", "deno.jsonc"]).unwrap_or("deno.json");
    let config: DenoJson = parse::jsonc(tree, file)?.unwrap_or_default();
    let mut plan = blank(context, Some(ProviderId::Deno));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [Wish::file(tree, ".deno-version"), Wish::tool_files(tree, &["deno"])],
    )?;
    let image = context.image("deno", &version.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(version);
    plan.package_manager =
        Some(PackageManager { name: "deno".into(), lockfile: tree.first_of(&["deno.lock"]).map(str::to_owned) });
    plan.build_env.insert("DENO_DIR".into(), "/deno-dir".into());
    plan.env.insert("DENO_DIR".into(), "/deno-dir".into());
    plan.manifests = present(tree, &[file, "deno.lock", "package.json"]);
    let main = tree.first_of(&["main.ts", "server.ts", "mod.ts", "index.ts", "src/main.ts", "main.js", "main.tsx"]);
    let has = |task: &str| config.tasks.contains_key(task);
    plan.install.push(Step::new("deno install"));
    if has("build") {
        plan.build.push(Step::new("deno task build"));
    }
    if let Some(main) = main {
        plan.build.push(Step::new(format!("deno cache {main}")));
    }
    plan.start = if has("start") {
        Some(CommandLine::exec(&["deno", "task", "start"]))
    } else {
        main.map(|main| {
            CommandLine::exec(&["deno", "run", "--allow-net", "--allow-env", "--allow-read", "--allow-sys", main])
        })
    };
    let mut modules = from_build("/deno-dir", "/deno-dir");
    modules.owned = true; // Deno keeps its compiled code there
    plan.artifacts.push(modules);
    plan.artifacts.push(app_folder(true));
    Ok(plan)
}
