//! Jobs, schedules and backups.

use super::{Cx, Draft, service};
use crate::stack::compose::fields::Fields;
use crate::stack::compose::finding::Finding;
use crate::stack::compose::keys;
use crate::stack::cron::Cron;
use crate::stack::model::{Backup, Job, JobStart, Misfire, Overlap, Schedule, Stack};

/// Longest a run may take, in seconds.
const LONGEST_RUN: u32 = 7 * 86_400;
/// Backups kept unless said otherwise.
const KEEP: u32 = 7;

pub(super) fn read(x: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, draft: &mut Draft) {
    let mut job = None;
    if let Some(f) = x.open_at("job", &keys::X_JOB) {
        job = Some(read_job(&f));
    }
    if let Some(node) = x.get("schedule") {
        let job = job.get_or_insert_with(Job::default);
        job.start = JobStart::Schedule;
        if node.as_map().is_some() {
            if let Some(f) = x.open_at("schedule", &keys::X_SCHEDULE) {
                (job.schedule, job.misfire, job.overlap) = start(&f);
            }
        } else {
            job.schedule = table(x, "schedule").map(|cron| Schedule { cron, zone: "UTC".to_owned() });
        }
    }
    draft.service.job = job;
    if let Some(f) = x.open_at("backup", &keys::X_BACKUP) {
        draft.service.backup = backup(&f, cx, stack, draft);
    }
}

/// When something starts by itself, and what happens when that is not possible.
pub(super) fn start(f: &Fields<'_>) -> (Option<Schedule>, Misfire, Overlap) {
    if f.get("cron").is_none() {
        f.missing("cron", "'@daily'");
    }
    let misfire = if f.choice("misfire", &["skip", "once"]) == Some(1) { Misfire::Once } else { Misfire::Skip };
    let overlap = match f.choice("overlap", &["skip", "replace", "allow"]) {
        Some(1) => Overlap::Replace,
        Some(2) => Overlap::Allow,
        _ => Overlap::Skip,
    };
    (schedule(f, "cron", "zone"), misfire, overlap)
}

fn read_job(f: &Fields<'_>) -> Job {
    let mut job = Job::default();
    if f.choice("start", &["release", "manual"]) == Some(1) {
        job.start = JobStart::Manual;
    }
    job.parallelism = f.int("parallelism", 1, 1_000).unwrap_or(job.parallelism);
    job.completions = f.int("completions", 1, 10_000).unwrap_or(job.parallelism);
    job.retry.attempts = f.int("retries", 0, 100).unwrap_or(0);
    job.retry.delay_seconds = f.seconds("retry_delay", 86_400).unwrap_or(0);
    job.deadline_seconds = f.seconds("deadline", LONGEST_RUN).unwrap_or(job.deadline_seconds).max(1);
    job.history = f.int("history", 0, 1_000).unwrap_or(job.history);
    job
}

/// A time table with its zone.
pub(super) fn schedule(f: &Fields<'_>, cron: &str, zone: &str) -> Option<Schedule> {
    let zone = match f.word(zone) {
        None => "UTC".to_owned(),
        Some((name, at)) => {
            let database = jiff::tz::TimeZoneDatabase::bundled();
            match database.get(&name) {
                Ok(zone) => zone.iana_name().unwrap_or(&name).to_owned(),
                Err(_) => {
                    f.bad(
                        at,
                        &format!("`{}` is not a time zone", name.escape_debug()),
                        "write for example `Europe/Berlin` or `UTC`",
                    );
                    return None;
                }
            }
        }
    };
    Some(Schedule { cron: table(f, cron)?, zone })
}

/// The canonical text of a time table.
fn table(f: &Fields<'_>, key: &str) -> Option<String> {
    f.read(key, |t| Cron::parse(t).map(|c| c.to_string()))
}

fn backup(f: &Fields<'_>, cx: &Cx<'_>, stack: &Stack, draft: &mut Draft) -> Option<Backup> {
    if f.get("schedule").is_none() {
        f.missing("schedule", "'@daily'");
    }
    let mut volumes = Vec::new();
    for (text, at) in f.texts("volumes") {
        let Some(name) = cx.name(&text, at) else { continue };
        if !draft.service.mounts.iter().any(|m| m.volume == name) {
            if stack.volumes.contains_key(&name) {
                let finding =
                    Finding::error("unknown-name", at, format!("the service does not mount the volume `{name}`"));
                cx.sink.add(finding.help("name one of its own `volumes`"));
            } else {
                cx.unknown_resource("volume", &text, at, stack.volumes.keys());
            }
        }
        volumes.push(name);
    }
    let command = service::command(f, "command", &mut draft.service.references);
    if command.is_none() && draft.service.mounts.is_empty() && f.get("command").is_none() {
        f.bad(
            f.at,
            "there is nothing to save: the service has no volumes",
            "say a `command` that writes a dump, or mount a volume",
        );
    }
    Some(Backup {
        schedule: schedule(f, "schedule", "zone")?,
        keep: f.int("keep", 1, 10_000).unwrap_or(KEEP),
        command,
        volumes,
    })
}
