//! Elixir with Mix: Phoenix and other releases.

use super::{Spec, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Elixir,
    looks_for: "mix.exs",
    starts: "the release of `app:` in mix.exs",
    detect: |tree| tree.has("mix.exs"),
    plan,
};

const KNOWN: Known =
    Known { tool: "elixir", default: "1.18", lines: &["1.19", "1.18", "1.17", "1.16", "1.15", "1.14"], precision: 2 };

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let mix = parse::text(tree, "mix.exs")?.unwrap_or_default();
    let mut plan = blank(context, Some(ProviderId::Elixir));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            Wish::tool_files(tree, &["elixir"])
                .map(|w| Wish::new(w.spec.split("-otp").next().unwrap_or_default(), w.source)),
            Wish::file(tree, ".elixir-version"),
            quoted_after(mix, "elixir:").map(|v| Wish::new(v, "mix.exs elixir")),
        ],
    )?;
    // A release carries its own Erlang, linked with the libraries of the image it was built in: so it runs on the same image.
    let image = context.image("elixir", &version.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(version);
    plan.package_manager =
        Some(PackageManager { name: "mix".into(), lockfile: tree.first_of(&["mix.lock"]).map(str::to_owned) });
    let app = mix.split_once("app:").and_then(|(_, rest)| {
        let name: String = rest
            .trim_start()
            .strip_prefix(':')?
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        (!name.is_empty()).then_some(name)
    });
    steps(&mut plan, tree, mix);
    if let Some(app) = app {
        plan.artifacts.push(super::super::model::Artifact {
            owned: true,
            ..from_build(&format!("/app/_build/prod/rel/{app}"), "/app")
        });
        plan.start = Some(CommandLine::exec(&[&format!("/app/bin/{app}"), "start"]));
    }
    Ok(plan)
}

fn quoted_after(text: &str, key: &str) -> Option<String> {
    let (_, rest) = text.split_once(key)?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn steps(plan: &mut BuildPlan, tree: &SourceTree, mix: &str) {
    plan.packages.build.extend(["build-essential", "git"].map(str::to_owned));
    plan.build_env.insert("MIX_ENV".into(), "prod".into());
    plan.env.insert("MIX_ENV".into(), "prod".into());
    plan.env.insert("LANG".into(), "C.UTF-8".into());
    if !tree.has_dir("apps") {
        plan.manifests = present(tree, &["mix.exs", "mix.lock", "config/config.exs", "config/prod.exs"]);
    }
    let cached = |step: Step| step.cached("hex", "/root/.hex").cached("mix", "/root/.cache/rebar3");
    plan.tools.push(Step::new("mix local.hex --force --if-missing && mix local.rebar --force --if-missing"));
    plan.install.push(cached(Step::new("mix deps.get --only prod && mix deps.compile")));
    plan.build.push(cached(Step::new("mix compile")));
    if mix.contains(":phoenix") {
        plan.framework = Some("phoenix".into());
        plan.env.insert("PHX_SERVER".into(), "true".into());
        if mix.contains("assets.deploy") {
            plan.build.push(cached(Step::new("mix assets.deploy")));
        }
        plan.notes.push(Note::Info(
            "Phoenix needs SECRET_KEY_BASE and PHX_HOST in the app's environment; migrations are run by a `release:` line in the Procfile".into(),
        ));
    }
    plan.build.push(cached(Step::new("mix release --overwrite")));
}
