//! What a Python project depends on, from whichever file says it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::builds::error::DetectError;
use crate::builds::model::BuildPlan;
use crate::builds::parse;
use crate::builds::source::SourceTree;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct PyProject {
    project: ProjectTable,
    tool: Option<Tool>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct ProjectTable {
    dependencies: Vec<String>,
    requires_python: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tool {
    poetry: Option<Poetry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Poetry {
    dependencies: toml::Table,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pipfile {
    packages: toml::Table,
    requires: toml::Table,
}

/// A project's dependencies, direct and where known indirect.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Lower-case names with `-`.
    names: BTreeSet<String>,
    /// As `[project].dependencies` has them.
    pub(super) declared: Vec<String>,
    pub(super) requires_python: Option<String>,
    pub(super) pipfile_python: Option<String>,
    pub(super) is_poetry: bool,
}

impl Project {
    pub(super) fn read(tree: &SourceTree) -> Result<Self, DetectError> {
        let mut found = Self::default();
        if let Some(py) = parse::toml::<PyProject>(tree, "pyproject.toml")? {
            found.requires_python = py.project.requires_python;
            found.add(py.project.dependencies.iter().map(String::as_str));
            found.declared = py.project.dependencies;
            if let Some(poetry) = py.tool.and_then(|t| t.poetry) {
                found.is_poetry = !poetry.dependencies.is_empty();
                found.add(poetry.dependencies.keys().map(String::as_str));
                let python = poetry.dependencies.get("python").and_then(toml::Value::as_str);
                found.requires_python = found.requires_python.or(python.map(str::to_owned));
            }
        }
        if let Some(pipfile) = parse::toml::<Pipfile>(tree, "Pipfile")? {
            found.add(pipfile.packages.keys().map(String::as_str));
            let version =
                ["python_full_version", "python_version"].iter().find_map(|k| pipfile.requires.get(*k)?.as_str());
            found.pipfile_python = version.map(str::to_owned);
        }
        for file in requirement_files(tree) {
            found.add(parse::hint(tree, &file).lines());
        }
        Ok(found)
    }

    fn add<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        for line in lines {
            let line = line.trim();
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
            if end > 0 && !line.starts_with('-') {
                self.names.insert(line[..end].to_ascii_lowercase().replace(['_', '.'], "-"));
            }
            if line.contains("fastapi[") {
                self.names.insert("uvicorn".into());
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// `requirements.txt` and the files of the top folder it may include.
pub(super) fn requirement_files(tree: &SourceTree) -> Vec<String> {
    if !tree.has("requirements.txt") {
        return Vec::new();
    }
    let mut files = vec!["requirements.txt".to_owned()];
    let mut next = 0;
    while let Some(file) = files.get(next).cloned() {
        next += 1;
        let folder = file.rsplit_once('/').map_or(String::new(), |(f, _)| format!("{f}/"));
        for line in parse::hint(tree, &file).lines().map(str::trim) {
            let included = ["-r", "--requirement", "-c", "--constraint"].iter().find_map(|flag| {
                let rest = line.strip_prefix(flag)?;
                rest.starts_with([' ', '=']).then(|| rest.trim_start_matches([' ', '=']).trim())
            });
            if let Some(name) = included {
                let path = format!("{folder}{}", name.trim_start_matches("./"));
                if tree.has(&path) && !files.contains(&path) {
                    files.push(path);
                }
            }
        }
    }
    files
}

/// Python packages that are built from C here, or need a library of the system: (name, to build, to run).
const NATIVE: &[(&str, &[&str], &[&str])] = &[
    ("psycopg2", &["build-essential", "libpq-dev"], &["libpq5"]),
    ("psycopg", &[], &["libpq5"]),
    ("mysqlclient", &["build-essential", "pkg-config", "default-libmysqlclient-dev"], &["libmariadb3"]),
    ("pyodbc", &["build-essential", "unixodbc-dev"], &["unixodbc"]),
    ("python-ldap", &["build-essential", "libldap2-dev", "libsasl2-dev"], &["libldap-2.5-0", "libsasl2-2"]),
    ("pycairo", &["build-essential", "pkg-config", "libcairo2-dev"], &["libcairo2"]),
    ("weasyprint", &[], &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"]),
    ("opencv-python", &[], &["libgl1", "libglib2.0-0"]),
    ("uwsgi", &["build-essential"], &[]),
    ("pdf2image", &[], &["poppler-utils"]),
];

pub(super) fn system_packages(plan: &mut BuildPlan, project: &Project) {
    for (name, build, run) in NATIVE {
        if project.has(name) {
            plan.packages.build.extend(build.iter().map(|p| (*p).to_owned()));
            plan.packages.runtime.extend(run.iter().map(|p| (*p).to_owned()));
        }
    }
}
