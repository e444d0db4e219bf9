//! `app.json`: environment, formation, health checks, cron jobs and scripts of an app, as Heroku and Dokku know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{DetectError, Position};
use super::model::Note;
use super::parse;
use super::source::SourceTree;

/// What is honoured of `app.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppJson {
    /// The app's name, for people.
    pub name: Option<String>,
    /// Variables the app wants, by name.
    #[serde(deserialize_with = "env_vars")]
    pub env: BTreeMap<String, EnvVar>,
    /// Wanted instances by process.
    pub formation: BTreeMap<String, Formation>,
    /// Health checks by process.
    pub healthchecks: BTreeMap<String, Vec<HealthCheck>>,
    /// Commands run by the clock.
    pub cron: Vec<CronJob>,
    /// Commands around a deploy.
    pub scripts: Scripts,
}

/// A variable the app wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvVar {
    /// Said to the person who sets it.
    pub description: Option<String>,
    /// Value when nothing else sets it.
    pub value: Option<String>,
    /// Whether the app can't start without it. `app.json` says no only in words: `"required": false`.
    #[serde(default = "yes")]
    pub required: bool,
    /// `secret`: the platform makes a random value at the first deploy.
    pub generator: Option<String>,
}

fn yes() -> bool {
    true
}

/// Wanted size of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Formation {
    /// Instances.
    pub quantity: Option<u32>,
    /// Heroku's size class; kept for a note only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// When a health check runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthKind {
    /// Before an instance gets traffic.
    #[default]
    Startup,
    /// Whether it may get traffic now.
    Readiness,
    /// Whether it must be replaced.
    Liveness,
}

/// A health check of one process. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// When it runs.
    #[serde(rename = "type")]
    pub kind: HealthKind,
    /// For people.
    pub name: Option<String>,
    /// HTTP path that must answer 2xx or 3xx.
    pub path: Option<String>,
    /// Text the answer must hold.
    pub content: Option<String>,
    /// Port, when it is not `PORT`.
    pub port: Option<u16>,
    /// Command that must succeed inside the instance.
    pub command: Option<Vec<String>>,
    /// Tries before it counts as failed.
    pub attempts: Option<u32>,
    /// Limit of one try.
    pub timeout: Option<u32>,
    /// Time between tries.
    pub wait: Option<u32>,
    /// Time before the first try.
    #[serde(rename = "initialDelay", alias = "initial_delay")]
    pub initial_delay: Option<u32>,
    /// Time the instance must stay up.
    pub uptime: Option<u32>,
    /// Whether it must listen on its port on all addresses.
    pub listening: Option<bool>,
}

/// A command run by the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronJob {
    /// What to run.
    pub command: String,
    /// Five cron fields.
    pub schedule: String,
}

/// Commands around a deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scripts {
    /// Before the new instances start, in a container of their own.
    pub predeploy: Option<String>,
    /// After the first deploy of an app.
    pub postdeploy: Option<String>,
    /// Dokku's place for the same.
    #[serde(skip_serializing)]
    pub dokku: DokkuScripts,
}

/// Dokku's own scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DokkuScripts {
    predeploy: Option<String>,
    postdeploy: Option<String>,
}

/// Keys that only describe the app.
const DESCRIPTIVE: &[&str] = &[
    "$schema",
    "description",
    "keywords",
    "website",
    "repository",
    "logo",
    "success_url",
    "name",
    "env",
    "formation",
    "healthchecks",
    "cron",
    "scripts",
];

/// Reads `app.json` and says what in it is not honoured.
pub(crate) fn read(tree: &SourceTree) -> Result<(AppJson, Vec<Note>), DetectError> {
    const FILE: &str = "app.json";
    let Some(text) = parse::text(tree, FILE)? else {
        return Ok((AppJson::default(), Vec::new()));
    };
    let mut app: AppJson = parse::json(tree, FILE)?.unwrap_or_default();
    let dokku = std::mem::take(&mut app.scripts.dokku);
    app.scripts.predeploy = dokku.predeploy.or(app.scripts.predeploy);
    app.scripts.postdeploy = dokku.postdeploy.or(app.scripts.postdeploy);
    for job in &app.cron {
        check_schedule(text, job)?;
    }
    let keys: BTreeMap<String, serde_json::Value> = parse::json(tree, FILE)?.unwrap_or_default();
    let notes = keys
        .keys()
        .filter(|k| !DESCRIPTIVE.contains(&k.as_str()))
        .map(|k| Note::Warning(format!("`{k}` in app.json is not used by this platform")))
        .collect();
    Ok((app, notes))
}

fn check_schedule(text: &str, job: &CronJob) -> Result<(), DetectError> {
    let fields = job.schedule.split_whitespace().count();
    if fields == 5 || (fields == 1 && job.schedule.starts_with('@')) {
        return Ok(());
    }
    let offset = text.find(&format!("\"{}\"", job.schedule)).unwrap_or(0);
    let message = format!(
        "the schedule {:?} has {fields} fields; cron needs 5: minute, hour, day of month, month, day of week",
        job.schedule
    );
    Err(DetectError::malformed("app.json", Position::of_offset(text, offset), message))
}

/// A variable may be a plain value or an object.
fn env_vars<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeMap<String, EnvVar>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a variable must be a text or an object with `description`, `value`, `required`, `generator`"
    )]
    enum Form {
        Value(String),
        Full(EnvVar),
    }
    let forms = BTreeMap::<String, Form>::deserialize(d)?;
    Ok(forms
        .into_iter()
        .map(|(name, form)| match form {
            Form::Full(var) => (name, var),
            Form::Value(value) => (name, EnvVar { value: Some(value), required: true, ..EnvVar::default() }),
        })
        .collect())
}
