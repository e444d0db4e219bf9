//! `kill -9` of the control plane at every commit and every change in Docker on the way of an operation, and what must be
//! true afterwards: the operation ends, in one of the ways it may; what answers is the version it says; nothing is left
//! over; and no request is lost.
//!
//! The normal run takes some places of each operation, others in each run; `WHARF_FAIL_POINTS_ALL=1` takes every one.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::apps;
use crate::harness::{World, until};

const APP: &str = "doomed";
/// Places of one operation that the normal run takes.
const SAMPLE: u64 = 5;
/// More places than any operation has.
const NEVER: u64 = 1_000_000;

/// One operation.
struct Act {
    name: &'static str,
    /// The arguments of the command line.
    words: Vec<String>,
    /// What answers before, and after success.
    before: String,
    after: String,
    /// Instances that may be there afterwards.
    instances: [usize; 2],
}

/// What became of it.
struct Outcome {
    /// The place where the control plane died; none when there was no such place any more.
    place: Option<String>,
    succeeded: bool,
    took: Duration,
}

/// Lets the control plane die at the `n`th place on the way of this operation, and looks at what is true afterwards.
fn die_at(world: &World, act: &Act, n: u64) -> Outcome {
    let began = Instant::now();
    let before = newest(world);
    std::fs::write(world.fail_points(), n.to_string()).unwrap();
    let words: Vec<&str> = act.words.iter().map(String::as_str).collect();
    let mut command = world.cli_command(&[&words[..], &["--app", APP]].concat(), &[]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let died = until(&format!("{} is over, or the control plane has died", act.name), || {
        if world.serve_has_ended() {
            return Some(true);
        }
        // What follows the end of the operation belongs to it.
        (child.try_wait().unwrap().is_some() && is_tidy(world, act)).then_some(false)
    });
    let left = std::fs::read_to_string(world.fail_points()).unwrap();
    std::fs::remove_file(world.fail_points()).unwrap();
    if died {
        world.kill_serve();
        world.start_serve();
    }
    // A command whose connection was cut off comes back to its operation, or says that it could not begin one.
    until("the command line has ended", || child.try_wait().unwrap());
    let operation = until("no operation is under way", || {
        let all = world.cli(&["ops", "list", "--app", APP, "--json"]).ok().json();
        let all = all.as_array().unwrap().clone();
        all.iter().all(|o| o["finished_at"].is_string()).then(|| all[0].clone())
    });
    let place = died.then_some(left);
    let summary = operation["summary"].as_str().unwrap_or_default();
    let at = place.clone().unwrap_or_default();
    // It may have died before there was an operation; then nothing has changed.
    let succeeded = operation["id"] != before && operation["state"] == "succeeded";
    let told = operation["id"] == before || succeeded || summary.contains("the control plane was restarted");
    assert!(told, "{} killed {at}: {operation}", act.name);
    let expected = if succeeded { &act.after } else { &act.before };
    until(&format!("{expected} answers, and nothing is left over ({} killed {at}: {summary})", act.name), || {
        let body = world.get(APP, "/").body;
        (body.contains(expected.as_str()) && is_tidy(world, act)).then_some(())
    });
    Outcome { place, succeeded, took: began.elapsed() }
}

fn newest(world: &World) -> serde_json::Value {
    world.newest_operation(APP)["id"].clone()
}

/// Whether Docker holds exactly what the app needs, and the platform waits for nothing.
fn is_tidy(world: &World, act: &Act) -> bool {
    let containers = world.in_docker("container", None).len();
    if !act.instances.contains(&containers) || world.in_docker("network", None).len() != 1 {
        return false;
    }
    let status = world.cli(&["status", "--app", APP, "--json"]);
    if status.code != 0 {
        // The control plane may have died in this moment.
        return false;
    }
    let status = status.json();
    let services = status["services"].as_array().unwrap();
    let count = |name: &str| services.iter().filter_map(|s| s[name].as_u64()).sum::<u64>();
    let waits = services.iter().any(|s| s["waiting_for"].as_array().is_some_and(|w| !w.is_empty()));
    status["state"] == "running"
        && !waits
        && count("wanted") == containers as u64
        && count("healthy") == containers as u64
}

/// Goes through the places of an operation, each time from the state before it; gives how many were tried, and how many
/// there are.
fn walk(world: &World, mut act: impl FnMut() -> Act) -> (u64, u64) {
    // Once without dying: how many places there are.
    std::fs::write(world.fail_points(), NEVER.to_string()).unwrap();
    let first = act();
    let words: Vec<&str> = first.words.iter().map(String::as_str).collect();
    world.cli(&[&words[..], &["--app", APP]].concat()).ok();
    until("it is tidy again", || is_tidy(world, &first).then_some(()));
    let left: u64 = std::fs::read_to_string(world.fail_points()).unwrap().parse().unwrap();
    std::fs::remove_file(world.fail_points()).unwrap();
    let places = NEVER - left;
    let all = std::env::var_os("WHARF_FAIL_POINTS_ALL").is_some();
    let step = if all { 1 } else { places.div_ceil(SAMPLE).max(1) };
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (mut n, mut tried) = (1 + if all { 0 } else { seconds % step }, 0);
    loop {
        let act = act();
        let outcome = die_at(world, &act, n);
        let Some(place) = outcome.place else { break };
        let end = if outcome.succeeded { "succeeded" } else { "took nothing with it" };
        eprintln!("{} of {places}: {} killed {place}: {end}, {:.1?}", n, act.name, outcome.took);
        (tried, n) = (tried + 1, n + step);
        if !all && tried == SAMPLE {
            break;
        }
    }
    (tried, places)
}

fn write_page(dir: &Path, text: &str) {
    for (path, page) in apps::page(text) {
        std::fs::write(dir.join(path), page).unwrap();
    }
}

#[test]
fn killed_at_any_commit_or_engine_call_every_operation_ends_and_nothing_is_lost() {
    let world = World::start();
    let dir = world.directory(APP);
    world.app(APP, &apps::page("page 0<")).push().ok();
    let load = world.load(APP, 60);
    let shown = || {
        let body = world.get(APP, "/").body;
        let number = body.split("page ").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
        format!("page {}<", number.unwrap_or_else(|| panic!("{body}")))
    };
    let mut number = 0;
    let deploys = walk(&world, || {
        number += 1;
        let after = format!("page {number}<");
        write_page(&dir, &after);
        let words = vec!["up".to_owned(), dir.display().to_string()];
        Act { name: "a deploy", words, before: shown(), after, instances: [1, 1] }
    });
    let restarts = walk(&world, || {
        let words = vec!["ps".to_owned(), "restart".to_owned()];
        Act { name: "a restart", words, before: shown(), after: shown(), instances: [1, 1] }
    });
    let mut instances = 1;
    let scales = walk(&world, || {
        instances = 3 - instances;
        let words = vec!["ps".to_owned(), "scale".to_owned(), format!("web={instances}")];
        Act { name: "a change of the number", words, before: shown(), after: shown(), instances: [1, 2] }
    });
    let failed = load.none_failed();
    for (name, (tried, places)) in [("deploy", deploys), ("restart", restarts), ("scale", scales)] {
        eprintln!("{name}: killed at {tried} of {places} places");
        assert!(tried > 0, "{name} has no place to die at: is this a release build?");
    }
    eprintln!("0 of {failed} requests failed");
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
    world.until_nothing_is_left();
}
