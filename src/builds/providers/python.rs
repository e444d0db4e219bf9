//! Python: pip, uv, Poetry, Pipenv; Django, Flask, FastAPI and plain programs.
//!
//! Dependencies go into a virtual environment at `/opt/venv`, so Debian's externally managed Python works as well as
//! the official images. Build tools live in a second one, which stays in the build stage.

mod deps;
mod frameworks;

use super::{Spec, app_folder, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, Note, ProviderId, Step, ToolVersion};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Python,
    looks_for: "requirements.txt, pyproject.toml, Pipfile, manage.py, main.py, app.py",
    starts: "Django's manage.py, a Flask or FastAPI object, main.py, app.py",
    detect,
    plan,
};

const KNOWN: Known =
    Known { tool: "python", default: "3.13", lines: &["3.14", "3.13", "3.12", "3.11", "3.10", "3.9"], precision: 2 };

/// Programs that say by their name that they are to be started.
const MAINS: &[&str] = &["main.py", "app.py", "server.py", "start.py", "bot.py", "run.py", "hello.py"];

fn detect(tree: &SourceTree) -> bool {
    ["requirements.txt", "pyproject.toml", "Pipfile", "manage.py"].iter().any(|f| tree.has(f))
        || (tree.first_of(MAINS).is_some() && !tree.has("package.json"))
}

/// How the dependencies are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    Uv,
    Poetry,
    Pipenv,
    Pip,
    /// `[project].dependencies` without a lock file.
    Project,
    Nothing,
}

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let project = deps::Project::read(tree)?;
    let mut plan = blank(context, Some(ProviderId::Python));
    let version = version(context, &project)?;
    let image = context.image("python", &version.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(version);
    let installer = installer(tree, &project);
    install(&mut plan, tree, &project, installer);
    deps::system_packages(&mut plan, &project);

    plan.build_env =
        env(&[("PATH", "/opt/venv/bin:$PATH"), ("VIRTUAL_ENV", "/opt/venv"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")]);
    plan.env = env(&[("PATH", "/opt/venv/bin:$PATH"), ("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")]);
    if tree.has_dir("src") && installer != Installer::Pip {
        plan.env.insert("PYTHONPATH".into(), "/app/src".into());
    }
    frameworks::apply(&mut plan, tree, &project);
    let built = !plan.build.is_empty();
    plan.artifacts.push(from_build("/opt/venv", "/opt/venv"));
    plan.artifacts.push(app_folder(built));
    Ok(plan)
}

fn env(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn version(context: Context<'_>, project: &deps::Project) -> Result<ToolVersion, DetectError> {
    let tree = context.tree;
    choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            Wish::file(tree, ".python-version"),
            Wish::tool_files(tree, &["python"]),
            Wish::file(tree, "runtime.txt"),
            project.requires_python.clone().map(|v| Wish::new(v, "pyproject.toml requires-python")),
            project.pipfile_python.clone().map(|v| Wish::new(v, "Pipfile python_version")),
        ],
    )
}

fn installer(tree: &SourceTree, project: &deps::Project) -> Installer {
    if tree.has("uv.lock") {
        Installer::Uv
    } else if tree.has("poetry.lock") || project.is_poetry {
        Installer::Poetry
    } else if tree.has("Pipfile") {
        Installer::Pipenv
    } else if tree.has("requirements.txt") {
        Installer::Pip
    } else if tree.has("pyproject.toml") {
        Installer::Project
    } else {
        Installer::Nothing
    }
}

fn install(plan: &mut BuildPlan, tree: &SourceTree, project: &deps::Project, installer: Installer) {
    let venv = "python -m venv /opt/venv";
    let pip = |step: Step| step.cached("pip", "/root/.cache/pip");
    let tool = |name: &str| pip(Step::new(format!("python -m venv /opt/tools && /opt/tools/bin/pip install {name}")));
    plan.tools.push(Step::new(venv));
    match installer {
        Installer::Uv => {
            plan.manifests = present(tree, &["pyproject.toml", "uv.lock", ".python-version"]);
            plan.tools.push(tool("uv"));
            plan.install.push(
                Step::new("UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never /opt/tools/bin/uv sync --locked --inexact --no-dev --no-install-project --no-install-workspace --python /opt/venv/bin/python")
                    .cached("uv", "/root/.cache/uv"),
            );
        }
        Installer::Poetry => {
            plan.manifests = present(tree, &["pyproject.toml", "poetry.lock"]);
            plan.tools.push(tool("poetry"));
            plan.install.push(
                Step::new("POETRY_VIRTUALENVS_CREATE=false /opt/tools/bin/poetry install --only main --no-root --no-interaction")
                    .cached("poetry", "/root/.cache/pypoetry"),
            );
        }
        Installer::Pipenv => {
            plan.manifests = present(tree, &["Pipfile", "Pipfile.lock"]);
            plan.tools.push(tool("pipenv"));
            let locked = if tree.has("Pipfile.lock") { "sync" } else { "install --skip-lock" };
            plan.install.push(
                pip(Step::new(format!("/opt/tools/bin/pipenv {locked}"))).cached("pipenv", "/root/.cache/pipenv"),
            );
        }
        Installer::Pip => {
            plan.manifests = deps::requirement_files(tree);
            plan.install.push(pip(Step::new("pip install -r requirements.txt")));
        }
        Installer::Project => {
            plan.manifests = present(tree, &["pyproject.toml"]);
            if !project.declared.is_empty() {
                let list: Vec<String> =
                    project.declared.iter().map(|d| format!("'{}'", d.replace('\'', "\""))).collect();
                plan.install.push(pip(Step::new(format!("pip install {}", list.join(" ")))));
            }
        }
        Installer::Nothing => {}
    }
    let (name, lock) = match installer {
        Installer::Uv => ("uv", tree.first_of(&["uv.lock"])),
        Installer::Poetry => ("poetry", tree.first_of(&["poetry.lock"])),
        Installer::Pipenv => ("pipenv", tree.first_of(&["Pipfile.lock"])),
        Installer::Pip | Installer::Project | Installer::Nothing => ("pip", None),
    };
    plan.package_manager =
        Some(crate::builds::model::PackageManager { name: name.into(), lockfile: lock.map(str::to_owned) });
    let pinned = parse::hint(tree, "requirements.txt").lines().any(|l| l.contains("=="));
    if lock.is_none() && !pinned && installer != Installer::Nothing {
        plan.notes.push(Note::Warning(
            "no lock file and no pinned version: two builds of the same commit may install different versions".into(),
        ));
    }
}
