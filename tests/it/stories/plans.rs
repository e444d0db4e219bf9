//! What a plan says comes true: what restarts does, what does not goes on in its container, a plan is worth nothing once
//! its ground has moved, and what runs otherwise than it should is told and mended.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::done;
use crate::harness::{World, docker, until};

const APP: &str = "plans";

const FIRST: &str = "services:
  web:
    image: python:3.13-slim
    command: python -m http.server 8000
    ports: ['8000']
    environment: {GREETING: 'hello', WORD: '${WORD}'}
  cache:
    image: redis:7
    volumes: ['data:/data']
    healthcheck: {test: [CMD, redis-cli, ping], interval: 2s}
volumes: {data: {}}
";

fn write(dir: &Path, text: &str) -> String {
    let file = dir.join("compose.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// The one container that runs a service, when the one before it is gone.
fn container(world: &World, service: &str) -> String {
    until(&format!("one container of {service} runs"), || {
        let mut all = docker(Path::new("/var/run/docker.sock"));
        all.args(["ps", "--quiet", "--filter", &format!("label=wharf.service={service}")]);
        all.args(["--filter", &format!("label=wharf.installation={}", world.installation())]);
        let found = done(all, "").ok().out;
        (found.lines().count() == 1).then(|| found.trim().to_owned())
    })
}

fn changes(plan: &Value) -> Vec<String> {
    let all = plan["services"].as_array().unwrap().iter();
    all.map(|s| format!("{} {}", s["name"].as_str().unwrap(), s["change"].as_str().unwrap())).collect()
}

#[test]
fn what_a_plan_says_comes_true() {
    let world = World::start();
    world.cli(&["apps", "create", APP, "--no-remote"]).ok();
    world.cli(&["config", "set", "WORD=one", "--app", APP]).ok();
    let dir = world.directory(APP);
    let file = write(&dir, FIRST);
    let fresh = world.cli(&["plan", "-f", &file, "--app", APP]).ok();
    fresh.says("+ web").says("free").says("Against nothing deployed");
    world.cli(&["apply", "-f", &file, "--app", APP]).ok().says("v1 is live");
    world.cli(&["plan", "-f", &file, "--app", APP]).ok().says("Nothing changes");

    only_what_is_treated_otherwise_goes_on(&world, &dir);
    a_variable_restarts_its_readers_only(&world, &file);
    a_plan_is_refused_when_its_ground_has_moved(&world, &dir);
    drift_is_told_and_mended(&world, &file);
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
    world.until_nothing_is_left();
}

fn only_what_is_treated_otherwise_goes_on(world: &World, dir: &Path) {
    let policy = FIRST.replace(
        "    healthcheck: {test: [CMD, redis-cli",
        "    x-wharf: {criticality: high}\n    healthcheck: {test: [CMD, redis-cli",
    );
    let text = policy.replace("GREETING: 'hello'", "GREETING: 'good day'").replace("WORD}'}", "WORD}', MORE: '1'}");
    let file = write(dir, &text);
    let (web, cache) = (container(world, "web"), container(world, "cache"));
    let plan = world.cli(&["plan", "-f", &file, "--app", APP, "--json"]).ok().json();
    assert_eq!(changes(&plan), ["cache updated", "web replaced"]);
    let told = world.cli(&["plan", "-f", &file, "--app", APP]).ok();
    let told = told.says("environment GREETING changes").says("environment MORE").says("criticality normal → high");
    assert!(!told.out.contains("good day"), "values are never shown: {}", told.out);
    world.cli(&["apply", "-f", &file, "--app", APP]).ok().says("v2 is live");
    assert_eq!(container(world, "cache"), cache, "what is only treated otherwise goes on");
    assert_ne!(container(world, "web"), web);
}

fn a_variable_restarts_its_readers_only(world: &World, file: &str) {
    let (web, cache) = (container(world, "web"), container(world, "cache"));
    world.cli(&["config", "set", "WORD=two", "--app", APP, "--no-restart"]).ok();
    let plan = world.cli(&["plan", "-f", file, "--app", APP]).ok();
    plan.says("~ web\n    configuration WORD changes");
    world.cli(&["apply", "-f", file, "--app", APP]).ok().says("v3 is live");
    assert_eq!(container(world, "cache"), cache, "it does not read the variable");
    assert_ne!(container(world, "web"), web);
}

fn a_plan_is_refused_when_its_ground_has_moved(world: &World, dir: &Path) {
    let file = write(dir, FIRST);
    let saved: PathBuf = dir.with_extension("plan");
    let saved = saved.display().to_string();
    world.cli(&["plan", "-f", &file, "--out", &saved, "--app", APP]).ok();
    world.cli(&["config", "set", "OTHER=1", "--app", APP, "--no-restart"]).ok();
    world.cli(&["apply", &saved, "--app", APP]).fails_saying("Make a new plan");
    world.cli(&["plan", "-f", &file, "--out", &saved, "--app", APP]).ok();
    world.cli(&["apply", &saved, "--app", APP]).ok().says("v4 is live");
}

fn drift_is_told_and_mended(world: &World, file: &str) {
    let drift = || {
        let plan = world.cli(&["plan", "-f", file, "--app", APP, "--json"]).ok().json();
        plan["drift"].as_array().unwrap().iter().map(|d| d.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    until("nothing is otherwise than it should be", || drift().is_empty().then_some(()));
    let gone = container(world, "web");
    let mut remove = docker(Path::new("/var/run/docker.sock"));
    remove.args(["rm", "--force", &gone]);
    done(remove, "").ok();
    let told = until("the drift is told", || drift().into_iter().find(|d| d.contains("web")));
    eprintln!("drift, as `wharf plan` tells it: {told}");
    until("it is mended", || drift().is_empty().then_some(()));
    assert_ne!(container(world, "web"), gone);
    assert_eq!(world.get(APP, "/").status, 200);
}
