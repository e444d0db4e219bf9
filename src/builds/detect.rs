//! From a source tree to a plan, in the order: explicit setting, Compose file, Dockerfile, Procfile and `app.json` with language
//! detection, static site.

use std::collections::BTreeMap;

use super::error::DetectError;
use super::model::{
    BuildOptions, BuildPlan, CommandLine, DEFAULT_PORT, Images, Input, Note, Packages, ProviderId, StaticSite, Step,
};
use super::settings::Settings;
use super::source::SourceTree;
use super::{appjson, parse, procfile, providers, userfile};

const COMPOSE_FILES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// What a provider gets to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) tree: &'a SourceTree,
    pub(crate) settings: &'a Settings,
}

impl Context<'_> {
    pub(crate) fn image(&self, key: &str, version: &str) -> String {
        self.settings.platform.base_images.resolve(key, version)
    }
}

/// What decides how this source is built, without looking further.
///
/// # Errors
/// The Dockerfile named in the settings is not there.
pub fn recognise(tree: &SourceTree, settings: &Settings) -> Result<Input, DetectError> {
    if let Some(file) = &settings.dockerfile {
        if tree.has(file) {
            return Ok(Input::Dockerfile { file: file.clone() });
        }
        return Err(DetectError::unsupported(
            format!("the settings name {file:?} as the Dockerfile, and the source has no such file"),
            "Commit the file, or correct the setting",
        ));
    }
    if settings.provider.is_some() || settings.static_dir.is_some() {
        return Ok(Input::Detected);
    }
    if let Some(file) = tree.first_of(COMPOSE_FILES).filter(|_| !settings.beside_compose) {
        return Ok(Input::Compose { file: file.into() });
    }
    if tree.has("Dockerfile") {
        return Ok(Input::Dockerfile { file: "Dockerfile".into() });
    }
    Ok(Input::Detected)
}

/// Makes the plan for building this source.
///
/// # Errors
/// Nothing fits, a deciding file is malformed, or something is asked for that does not exist; the text is for the person who pushed.
pub fn detect(tree: &SourceTree, settings: &Settings) -> Result<BuildPlan, DetectError> {
    let context = Context { tree, settings };
    let mut plan = match recognise(tree, settings)? {
        Input::Compose { file } => return Err(DetectError::Compose { file }),
        Input::Dockerfile { file } => user_dockerfile(context, &file)?,
        Input::Detected => providers::plan(context)?,
    };
    let (app, notes) = appjson::read(tree)?;
    plan.notes.extend(notes);
    plan.app = app;
    apply_settings(&mut plan, context);
    let procfile = procfile::read(tree)?;
    if plan.static_site.is_some() && procfile.as_ref().is_some_and(|p| p.contains_key("web")) {
        return Err(DetectError::unsupported(
            "the Procfile names a `web` process, and the source is a static site with nothing that could run it",
            "Remove the Procfile to have the site served, or add the program with its manifest or a Dockerfile",
        ));
    }
    apply_procfile(&mut plan, procfile);
    let needs_start = plan.dockerfile.is_none() && plan.static_site.is_none();
    if needs_start && plan.processes.is_empty() {
        return Err(providers::no_start(plan.provider));
    }
    Ok(plan)
}

/// A plan with nothing in it yet.
pub(crate) fn blank(context: Context<'_>, provider: Option<ProviderId>) -> BuildPlan {
    let platform = &context.settings.platform;
    BuildPlan {
        input: Input::Detected,
        provider,
        framework: None,
        versions: Vec::new(),
        package_manager: None,
        images: Images::default(),
        packages: Packages::default(),
        tools: Vec::new(),
        manifests: Vec::new(),
        install: Vec::new(),
        build: Vec::new(),
        build_env: BTreeMap::new(),
        artifacts: Vec::new(),
        runtime_steps: Vec::new(),
        env: BTreeMap::new(),
        user: "app".into(),
        port: DEFAULT_PORT,
        start: None,
        processes: BTreeMap::new(),
        release: None,
        static_site: None,
        dockerfile: None,
        app: appjson::AppJson::default(),
        notes: Vec::new(),
        options: BuildOptions {
            cache_scope: platform.cache_scope.clone(),
            extra_ca: platform.extra_ca.clone(),
            build_args: platform.build_args.clone(),
        },
    }
}

fn user_dockerfile(context: Context<'_>, file: &str) -> Result<BuildPlan, DetectError> {
    let text = parse::text(context.tree, file)?.unwrap_or_default();
    let facts = userfile::read(file, text);
    let mut plan = blank(context, None);
    plan.input = Input::Dockerfile { file: file.into() };
    match (facts.port_env, facts.expose.as_slice()) {
        (Some(port), _) => plan.port = port,
        (None, [port]) => plan.port = *port,
        (None, []) => plan
            .notes
            .push(Note::Info(format!("{file} has no EXPOSE line; the app is told to listen on PORT={DEFAULT_PORT}"))),
        (None, [port, ..]) => {
            plan.port = *port;
            plan.notes
                .push(Note::Info(format!("{file} exposes several ports; the first, {port}, gets the HTTP traffic")));
        }
    }
    plan.user = facts.user.clone().unwrap_or_else(|| "root".into());
    plan.images.runtime = facts.base.clone().unwrap_or_default();
    plan.start = match (&facts.entrypoint, &facts.cmd) {
        (Some(entry), Some(cmd)) => Some(CommandLine {
            text: format!("{} {}", entry.text, cmd.text),
            argv: [entry.argv.clone(), cmd.argv.clone()].concat(),
        }),
        (entry, cmd) => entry.clone().or_else(|| cmd.clone()),
    };
    plan.dockerfile = Some(facts);
    Ok(plan)
}

fn apply_settings(plan: &mut BuildPlan, context: Context<'_>) {
    let settings = context.settings;
    if let Some(port) = settings.port {
        plan.port = port;
    }
    plan.packages.build.extend(settings.packages.iter().cloned());
    plan.packages.runtime.extend(settings.packages.iter().cloned());
    let caches = |steps: &[Step]| steps.iter().flat_map(|s| s.caches.clone()).collect::<Vec<_>>();
    if let Some(run) = &settings.install {
        plan.install = vec![Step { run: one_line(run), caches: caches(&plan.install) }];
    }
    if let Some(run) = &settings.build {
        plan.build = vec![Step { run: one_line(run), caches: caches(&plan.build) }];
        build_in_a_stage(plan);
    }
    if let Some(start) = &settings.start {
        plan.start = Some(CommandLine::parse(start));
    }
    if let (Some(dir), Some(_)) = (&settings.static_dir, plan.images.build.as_ref()) {
        plan.images.runtime = providers::static_image(context);
        plan.env.clear();
        plan.start = None;
        plan.static_site = Some(StaticSite {
            dir: format!("/app/{}", dir.trim_start_matches("./").trim_matches('/')),
            spa: false,
            not_found: None,
        });
    }
    if let Some(site) = &mut plan.static_site {
        site.spa = settings.spa.unwrap_or(site.spa);
    }
}

/// Several lines of a setting are commands that must all succeed.
fn one_line(command: &str) -> String {
    let lines: Vec<&str> = command.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines.join(" && ")
}

/// An app that was only copied is now built first, on the image it runs on where it has no other.
fn build_in_a_stage(plan: &mut BuildPlan) {
    if plan.dockerfile.is_some() {
        return;
    }
    if let Some(site) = plan.static_site.as_mut().filter(|_| plan.images.build.is_none()) {
        // Without a language there is a plain Debian to build in.
        plan.images.build = Some("debian:bookworm-slim".into());
        site.dir = if site.dir == "." { "/app".into() } else { format!("/app/{}", site.dir) };
    }
    plan.images.build.get_or_insert_with(|| plan.images.runtime.clone());
    for artifact in plan.artifacts.iter_mut().filter(|a| a.from_source && a.from == ".") {
        *artifact = providers::app_folder(true);
    }
}

/// A Procfile says which processes there are; without one there is `web` alone.
fn apply_procfile(plan: &mut BuildPlan, procfile: Option<BTreeMap<String, CommandLine>>) {
    let explicit_start = plan.start.clone();
    let Some(mut processes) = procfile else {
        plan.processes.extend(explicit_start.map(|start| ("web".to_owned(), start)));
        plan.release = plan.app.scripts.predeploy.as_deref().map(CommandLine::parse);
        return;
    };
    plan.release = processes.remove("release");
    if plan.release.is_none() {
        plan.release = plan.app.scripts.predeploy.as_deref().map(CommandLine::parse);
    }
    match processes.get("web") {
        Some(web) => plan.start = Some(web.clone()),
        None if processes.is_empty() => processes.extend(explicit_start.map(|s| ("web".to_owned(), s))),
        None => {
            plan.start = None;
            plan.notes.push(Note::Info("the Procfile has no `web` process, so this app gets no traffic".into()));
        }
    }
    plan.processes = processes;
}
