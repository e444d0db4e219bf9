//! What Node.js, Bun and Deno projects share: `package.json`, the frameworks, and which of them give a static site.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::builds::detect::Context;
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, StaticSite};
use crate::builds::parse;
use crate::builds::source::SourceTree;

/// What decides in a `package.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PackageJson {
    pub(super) name: Option<String>,
    pub(super) main: Option<String>,
    pub(super) scripts: BTreeMap<String, String>,
    pub(super) dependencies: BTreeMap<String, serde_json::Value>,
    pub(super) dev_dependencies: BTreeMap<String, serde_json::Value>,
    pub(super) package_manager: Option<String>,
    pub(super) engines: serde_json::Value,
    pub(super) workspaces: serde_json::Value,
}

impl PackageJson {
    pub(super) fn read(tree: &SourceTree) -> Result<Self, DetectError> {
        Ok(parse::json(tree, "package.json")?.unwrap_or_default())
    }

    pub(super) fn depends_on(&self, name: &str) -> bool {
        self.dependencies.contains_key(name) || self.dev_dependencies.contains_key(name)
    }

    pub(super) fn engine(&self, name: &str) -> Option<&str> {
        self.engines.get(name)?.as_str()
    }

    /// Whether installing runs code of the project, which must be there then.
    pub(super) fn installs_with_source(&self) -> bool {
        ["preinstall", "install", "postinstall", "prepare"].iter().any(|s| self.scripts.contains_key(*s))
            || !self.workspaces.is_null()
            || self
                .dependencies
                .values()
                .chain(self.dev_dependencies.values())
                .any(|v| v.as_str().is_some_and(|v| ["file:", "link:", "workspace:"].iter().any(|p| v.starts_with(p))))
    }

    /// Whether a command names one of the packages that are only there for development.
    pub(super) fn needs_dev(&self, command: &str) -> bool {
        let tools = [("typescript", "tsc"), ("@nestjs/cli", "nest"), ("ts-node-dev", "tsnd"), ("@angular/cli", "ng")];
        let named = |word: &str| {
            self.dev_dependencies.contains_key(word)
                || tools.iter().any(|(package, tool)| *tool == word && self.dev_dependencies.contains_key(*package))
        };
        command.split(|c: char| c.is_whitespace() || "&|;/=".contains(c)).any(named)
    }
}

/// The frameworks that tell themselves by a dependency: name in the plan, package.
const FRAMEWORKS: &[(&str, &str)] = &[
    ("next", "next"),
    ("nuxt", "nuxt"),
    ("remix", "@remix-run/node"),
    ("react-router", "@react-router/dev"),
    ("astro", "astro"),
    ("sveltekit", "@sveltejs/kit"),
    ("angular", "@angular/core"),
    ("gatsby", "gatsby"),
    ("docusaurus", "@docusaurus/core"),
    ("vitepress", "vitepress"),
    ("eleventy", "@11ty/eleventy"),
    ("create-react-app", "react-scripts"),
    ("vue-cli", "@vue/cli-service"),
    ("parcel", "parcel"),
    ("nestjs", "@nestjs/core"),
    ("express", "express"),
    ("fastify", "fastify"),
    ("koa", "koa"),
    ("hono", "hono"),
    ("vite", "vite"),
];

pub(super) fn framework(package: &PackageJson) -> Option<&'static str> {
    FRAMEWORKS.iter().find(|(_, dep)| package.depends_on(dep)).map(|(name, _)| *name)
}

/// The static site a build makes, when it makes one.
pub(super) fn static_site(tree: &SourceTree, package: &PackageJson, framework: Option<&str>) -> Option<StaticSite> {
    let site = |dir: &str, spa: bool, not_found: Option<&str>| {
        Some(StaticSite { dir: format!("/app/{dir}"), spa, not_found: not_found.map(str::to_owned) })
    };
    let config = |stems: &[&str]| {
        let files = stems.iter().flat_map(|s| ["js", "mjs", "ts", "cjs"].map(|e| format!("{s}.{e}")));
        files.map(|f| parse::hint(tree, &f)).find(|t| !t.is_empty()).unwrap_or_default()
    };
    let builds = package.scripts.get("build").map(String::as_str)?;
    match framework? {
        "next" if quoted_value(config(&["next.config"]), "output").as_deref() == Some("export") => {
            site("out", false, Some("404.html"))
        }
        "astro" => {
            let output = quoted_value(config(&["astro.config"]), "output");
            let server = output.is_some_and(|o| o != "static");
            (!server).then(|| site("dist", false, Some("404.html"))).flatten()
        }
        "sveltekit" if package.depends_on("@sveltejs/adapter-static") => {
            let fallback = quoted_value(config(&["svelte.config"]), "fallback");
            let spa = fallback.as_deref().is_some_and(|f| f == "index.html");
            site("build", spa, fallback.as_deref().filter(|f| *f != "index.html"))
        }
        "react-router" if config(&["react-router.config"]).replace(' ', "").contains("ssr:false") => {
            site("build/client", true, None)
        }
        "nuxt" if builds.contains("generate") => site(".output/public", false, Some("404.html")),
        "angular" if !package.depends_on("@angular/ssr") => site(&angular_output(tree, package), true, None),
        "gatsby" => site("public", false, Some("404.html")),
        "docusaurus" => site("build", false, Some("404.html")),
        "vitepress" => site(
            if builds.contains("docs") { "docs/.vitepress/dist" } else { ".vitepress/dist" },
            false,
            Some("404.html"),
        ),
        "eleventy" => site("_site", false, Some("404.html")),
        "create-react-app" => site("build", true, None),
        "vue-cli" | "parcel" => site("dist", true, None),
        "vite" if !starts_a_server(package) => {
            let dir = quoted_value(config(&["vite.config"]), "outDir").unwrap_or_else(|| "dist".into());
            site(dir.trim_start_matches("./"), true, None)
        }
        _ => None,
    }
}

/// Vite projects with a start script of their own are servers, unless that script only shows the build.
fn starts_a_server(package: &PackageJson) -> bool {
    package.scripts.get("start").is_some_and(|s| !s.contains("vite") && !s.starts_with("serve "))
}

/// The value of `key: "value"` in a configuration written as a program.
fn quoted_value(text: &str, key: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + key.len()..];
        let word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let value = rest.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':').map(str::trim_start);
        let Some(value) = value.filter(|_| word) else {
            continue;
        };
        let quote = value.chars().next().filter(|c| ['"', '\'', '`'].contains(c));
        if let Some(quote) = quote {
            return value[1..].split(quote).next().map(str::to_owned);
        }
    }
    None
}

/// Where Angular puts the site: the builder of version 17 adds `browser/`.
fn angular_output(tree: &SourceTree, package: &PackageJson) -> String {
    let config: serde_json::Value = parse::jsonc(tree, "angular.json").ok().flatten().unwrap_or_default();
    let projects = config.get("projects").and_then(|p| p.as_object());
    let project = projects.and_then(|p| p.iter().next());
    let name = project.map(|(n, _)| n.clone()).or_else(|| package.name.clone()).unwrap_or_default();
    let build = project.and_then(|(_, p)| p.pointer("/architect/build"));
    let path = build.and_then(|b| b.pointer("/options/outputPath"));
    let path = path.and_then(|p| p.as_str().or_else(|| p.get("base")?.as_str()));
    let dir = path.map_or_else(|| format!("dist/{name}"), str::to_owned);
    let builder = build.and_then(|b| b.get("builder")?.as_str()).unwrap_or_default();
    if builder.ends_with(":application") { format!("{dir}/browser") } else { dir }
}

/// How the web process of a server is started, and with what it is run when it is a script.
pub(super) fn start(
    tree: &SourceTree,
    package: &PackageJson,
    framework: Option<&str>,
    run_script: &[&str],
    runtime: &str,
) -> Option<CommandLine> {
    if let Some(script) = package.scripts.get("start") {
        let hooked = package.scripts.contains_key("prestart") || package.scripts.contains_key("poststart");
        // Started directly, the app gets signals itself and spares the memory of the package manager.
        let alone = !hooked && !script.contains("npm_");
        return Some(if alone { CommandLine::parse(script) } else { CommandLine::exec(run_script) });
    }
    let known = match framework {
        Some("next") => Some("next start"),
        Some("nuxt") => Some("node .output/server/index.mjs"),
        Some("sveltekit") if package.depends_on("@sveltejs/adapter-node") => Some("node build"),
        Some("astro") => Some("node ./dist/server/entry.mjs"),
        Some("nestjs") => Some("node dist/main"),
        Some("react-router") => Some("react-router-serve ./build/server/index.js"),
        Some("remix") => Some("remix-serve ./build/server/index.js"),
        _ => None,
    };
    if let Some(known) = known {
        return Some(CommandLine::parse(known));
    }
    let main = package.main.as_deref().filter(|m| tree.has(m.trim_start_matches("./")));
    let files =
        ["server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js", "server.mjs", "index.mjs"];
    let typed = ["index.ts", "src/index.ts", "server.ts", "src/server.ts"];
    let file = main.or_else(|| tree.first_of(&files)).or_else(|| tree.first_of(&typed).filter(|_| runtime == "bun"))?;
    Some(CommandLine::exec(&[runtime, file]))
}

/// Turns a plan into one for the site its build makes.
pub(super) fn serve_static(plan: &mut BuildPlan, context: Context<'_>, site: StaticSite) {
    plan.images.runtime = super::static_site::image(context);
    plan.static_site = Some(site);
    plan.env.clear();
    plan.start = None;
}
