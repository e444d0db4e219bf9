//! Writing a plan as a Dockerfile that a person can read, keep and change.
//!
//! It uses nothing that Docker Engine 20.10 does not build by itself: no `# syntax` line, no heredocs, no `COPY --link`.
//! Cache ids carry the app's scope, secrets are mounted and never copied, build arguments stay in the build stage.

use std::fmt::Write;

use super::model::{Artifact, BuildPlan, CaBundle, Cache, Input, StaticSite, Step};

/// Where the operator's CA bundle is mounted.
const CA: &str = "/run/secrets/wharf-ca";
/// Variables by which tools find a CA bundle.
const CA_VARS: &[&str] = &[
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "YARN_HTTPS_CA_FILE_PATH",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "COMPOSER_CAFILE",
    "HEX_CACERTS_PATH",
];
/// The app's user; above the range that base images use.
const UID: u32 = 10001;

/// The Dockerfile of a plan. For an app with its own Dockerfile: a line that says so.
pub fn render(plan: &BuildPlan) -> String {
    let mut out = Writer::default();
    if let Input::Dockerfile { file } = &plan.input {
        out.comment(&format!("This app is built with its own {file}; nothing is generated."));
        return out.text;
    }
    out.comment(&format!("Made by Wharf for {}.", title(plan)));
    out.comment(
        "`wharf build --print` prints it again. To change it, save it as Dockerfile: from then on it is yours.",
    );
    if plan.images.build.is_some() {
        build_stage(&mut out, plan);
    }
    match &plan.static_site {
        Some(site) => static_stage(&mut out, plan, site),
        None => runtime_stage(&mut out, plan),
    }
    out.text
}

fn title(plan: &BuildPlan) -> String {
    let mut title = plan.provider.map_or_else(|| "an app".into(), |p| p.to_string());
    if let Some(framework) = &plan.framework {
        let _ = write!(title, " with {framework}");
    }
    for v in &plan.versions {
        let _ = write!(title, ", {} {} ({})", v.tool, v.version, v.source);
    }
    title
}

fn build_stage(out: &mut Writer, plan: &BuildPlan) {
    let image = plan.images.build.as_deref().unwrap_or_default();
    out.gap();
    out.comment("Build: what is needed to build stays in this stage.");
    out.line(&format!("FROM {image} AS build"));
    out.line("WORKDIR /app");
    for arg in &plan.options.build_args {
        out.line(&format!("ARG {arg}"));
    }
    out.env(plan.build_env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    if plan.options.extra_ca.is_some() {
        out.comment("The platform's CA bundle, there while a step runs.");
        out.env(CA_VARS.iter().map(|name| (*name, CA)));
    }
    packages(out, plan, &plan.packages.build);
    for step in &plan.tools {
        out.run(plan, step);
    }
    if !plan.manifests.is_empty() {
        out.gap();
        out.comment("Dependencies first: this layer is kept as long as these files don't change.");
        copy_manifests(out, &plan.manifests);
    }
    if plan.manifests.is_empty() && copies_all(plan) {
        out.gap();
        out.line("COPY . .");
    }
    for step in &plan.install {
        out.run(plan, step);
    }
    if !plan.manifests.is_empty() && copies_all(plan) {
        out.gap();
        out.comment("The app.");
        out.line("COPY . .");
    }
    for step in &plan.build {
        out.run(plan, step);
    }
}

/// The source is needed in the build stage when something is built there or taken from there.
fn copies_all(plan: &BuildPlan) -> bool {
    let taken = |a: &Artifact| !a.from_source && (a.from == "/app" || a.from.starts_with("/app/"));
    plan.static_site.is_some() || !plan.build.is_empty() || plan.artifacts.iter().any(taken)
}

/// Files of the top folder in one line, those of other folders each to their place.
fn copy_manifests(out: &mut Writer, manifests: &[String]) {
    let (nested, top): (Vec<&String>, Vec<&String>) = manifests.iter().partition(|m| m.contains('/'));
    if !top.is_empty() {
        out.copy("", &top, "./");
    }
    for file in nested {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        out.copy("", &[file], &format!("{folder}/"));
    }
}

fn runtime_stage(out: &mut Writer, plan: &BuildPlan) {
    out.gap();
    out.comment("Run: only the app and what it needs.");
    out.line(&format!("FROM {}", plan.images.runtime));
    packages(out, plan, &plan.packages.runtime);
    if plan.user == "app" {
        out.comment("The app does not run as root.");
        out.line(&format!(
            "RUN groupadd --gid {UID} app && useradd --uid {UID} --gid {UID} --create-home --shell /usr/sbin/nologin app"
        ));
    }
    out.line("WORKDIR /app");
    for step in &plan.runtime_steps {
        out.run_as_root(plan, step);
    }
    if plan.artifacts.iter().any(|a| a.owned && a.to == "/app") {
        out.line(&format!("RUN chown {0}:{0} /app", plan.user));
    }
    for artifact in &plan.artifacts {
        let mut flags = String::new();
        if !artifact.from_source {
            flags.push_str("--from=build ");
        }
        if artifact.owned {
            let _ = write!(flags, "--chown={0}:{0} ", plan.user);
        }
        out.copy(&flags, &[&artifact.from], &artifact.to);
    }
    let port = plan.port.to_string();
    let env = plan.env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    out.env(env.chain([("PORT", port.as_str())]));
    out.line(&format!("USER {}", plan.user));
    out.line(&format!("EXPOSE {port}"));
    if let Some(start) = plan.start.as_ref().or_else(|| plan.processes.values().next()) {
        out.line(&format!("CMD {}", json(&start.argv)));
    }
}

fn static_stage(out: &mut Writer, plan: &BuildPlan, site: &StaticSite) {
    out.gap();
    out.comment("Run: the files, and Wharf's own file server.");
    out.line(&format!("FROM {}", plan.images.runtime));
    let from_build = plan.images.build.is_some();
    let flags = if from_build { "--from=build " } else { "" };
    out.copy(flags, &[&site.dir], "/site");
    out.line(&format!("ENV PORT={}", plan.port));
    out.line(&format!("USER {UID}:{UID}"));
    out.line(&format!("EXPOSE {}", plan.port));
    out.line(&format!("CMD {}", json(&static_command(site))));
}

/// Arguments of the file server, whose image has the Wharf binary as entry point.
pub(crate) fn static_command(site: &StaticSite) -> Vec<String> {
    let mut argv: Vec<String> = ["static", "--root", "/site"].map(str::to_owned).into();
    if site.spa {
        argv.push("--spa".into());
    }
    if let Some(page) = &site.not_found {
        argv.extend(["--not-found".to_owned(), page.clone()]);
    }
    argv
}

fn packages(out: &mut Writer, plan: &BuildPlan, packages: &[String]) {
    if packages.is_empty() {
        return;
    }
    let mut sorted: Vec<&str> = packages.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let step = Step::new(format!(
        "apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*",
        sorted.join(" ")
    ));
    out.run_as_root(plan, &step);
}

fn json(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|w| quote(w)).collect();
    format!("[{}]", words.join(", "))
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    /// One line of the file, whatever the text holds: a line break would start an instruction of its own.
    fn line(&mut self, text: &str) {
        self.text.push_str(&text.replace(['\n', '\r'], " "));
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn env<'v>(&mut self, vars: impl Iterator<Item = (&'v str, &'v str)>) {
        let pairs: Vec<String> = vars.map(|(k, v)| format!("{k}={}", env_value(v))).collect();
        if !pairs.is_empty() {
            let text = format!("ENV {}", pairs.join(" \\\n    "));
            self.text.push_str(&text);
            self.text.push('\n');
        }
    }

    fn copy(&mut self, flags: &str, from: &[&String], to: &str) {
        let plain = from.iter().all(|f| is_plain(f)) && is_plain(to);
        if plain {
            let from: Vec<&str> = from.iter().map(|f| f.as_str()).collect();
            self.line(&format!("COPY {flags}{} {to}", from.join(" ")));
        } else {
            let mut words: Vec<String> = from.iter().map(|f| (*f).clone()).collect();
            words.push(to.to_owned());
            self.line(&format!("COPY {flags}{}", json(&words)));
        }
    }

    /// A step in the build stage, which has the CA variables set.
    fn run(&mut self, plan: &BuildPlan, step: &Step) {
        self.mounted(plan, step, "");
    }

    /// A step in the runtime stage, where nothing of the build may stay behind in the image's environment.
    fn run_as_root(&mut self, plan: &BuildPlan, step: &Step) {
        let export = if plan.options.extra_ca.is_some() {
            format!("export SSL_CERT_FILE={CA} CURL_CA_BUNDLE={CA} && ")
        } else {
            String::new()
        };
        self.mounted(plan, step, &export);
    }

    fn mounted(&mut self, plan: &BuildPlan, step: &Step, export: &str) {
        let mut mounts: Vec<String> = Vec::new();
        match &plan.options.extra_ca {
            Some(CaBundle::Secret) => mounts.push(format!("--mount=type=secret,id=wharf-ca,target={CA}")),
            Some(CaBundle::Image(image)) => {
                mounts.push(format!("--mount=type=bind,from={image},source=/ca.crt,target={CA}"))
            }
            None => {}
        }
        for Cache { name, target } in &step.caches {
            let scope = &plan.options.cache_scope;
            mounts.push(format!("--mount=type=cache,id={scope}-{name},target={target},sharing=locked"));
        }
        let mut text = String::from("RUN ");
        for mount in mounts {
            text.push_str(&mount);
            text.push_str(" \\\n    ");
        }
        self.text.push_str(&text);
        self.line(&format!("{export}{}", step.run));
    }
}

fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/@+".contains(c))
}

/// Quoted where needed; `$` stays, so that a value can add to `PATH`.
fn env_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/@+:,=$%".contains(c);
    if !value.is_empty() && value.chars().all(plain) { value.to_owned() } else { quote(value) }
}
