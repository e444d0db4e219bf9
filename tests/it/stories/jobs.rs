//! Jobs and workflows on real containers: schedules, retries, shared files, and a control plane that is killed meanwhile.

use serde_json::Value;

use crate::harness::{TENANT, World, until};
use crate::http;

const MANIFEST: &str = r#"
services:
  keeper:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    init: true
  tool:
    image: debian:bookworm-slim
    command: [sh, -c, "echo told $WHO; exit ${CODE:-0}"]
    x-wharf: {job: {start: manual, deadline: 60s}}
  slow:
    image: debian:bookworm-slim
    command: [sleep, "600"]
    init: true
    x-wharf: {job: {start: manual, deadline: 15m}}
  tick:
    image: debian:bookworm-slim
    command: [sh, -c, 'echo tick of $WHARF_SCHEDULED_FOR']
    x-wharf: {schedule: {cron: "* * * * *", zone: Asia/Kolkata}, job: {history: 2}}
x-wharf:
  workflows:
    nightly:
      parameters: {DAY: {default: sunday}}
      steps:
        export:
          service: tool
          command: [sh, -c, "echo from $DAY > $WHARF_ARTIFACTS/out.txt; for n in 1 2 3 4 5 6; do echo part $n; sleep 1; done"]
          artifacts: [out.txt]
        load:
          service: tool
          command: [sh, -c, "cat $WHARF_ARTIFACTS/out.txt; [ $WHARF_ITEM = a ] || [ $WHARF_ATTEMPT = 2 ]"]
          needs: [export]
          for_each: [a, b]
          retries: 1
          retry_delay: 1s
        weekday: {service: tool, command: ["false"], needs: [export], when: DAY != sunday}
        finish: {service: tool, command: [ls, /wharf/artifacts], needs: [load, weekday]}
        alarm: {service: tool, command: ["true"], when: on_failure}
    broken:
      steps:
        promise: {service: tool, command: ["true"], artifacts: [never.txt]}
        next: {service: tool, command: ["true"], needs: [promise]}
        clean: {service: tool, command: [echo, cleaned], when: on_failure}
"#;

/// An app that was made from a manifest.
fn applied(world: &World, app: &str, manifest: &str) {
    world.cli(&["apps", "create", app, "--no-remote"]).ok();
    let dir = world.directory(app);
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("compose.yaml");
    // What the manifest reads from the containers' environment is not a variable of the manifest.
    std::fs::write(&file, manifest.replace('$', "$$")).unwrap();
    world.cli(&["apply", "-f", &file.display().to_string(), "--app", app]).ok();
}

fn shown(world: &World, app: &str, kind: &str, name: &str, number: &str) -> Value {
    world.cli(&[kind, "show", name, number, "--app", app, "--json"]).ok().json()
}

fn states(run: &Value) -> Vec<String> {
    let steps = run["steps"].as_array().unwrap();
    steps.iter().map(|s| format!("{} {}", s["name"].as_str().unwrap(), s["state"].as_str().unwrap())).collect()
}

/// The volumes and task containers of an app, in Docker.
fn left(world: &World) -> usize {
    world.in_docker("volume", None).len() + world.in_docker("container", Some("label=wharf.role=task")).len()
}

#[test]
fn a_workflow_goes_on_where_a_killed_control_plane_left_it() {
    let world = World::start();
    applied(&world, "flow", MANIFEST);
    world.cli(&["workflows", "run", "nightly", "--param", "DAY=sunday", "--detach", "--app", "flow"]).ok();
    let part = |n: u32| format!("export | part {n}");
    let log = |world: &World| {
        let run = shown(world, "flow", "workflows", "nightly", "1");
        let operation = run["operation"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/tenants/{TENANT}/projects/flow/environments/production/operations/{operation}/log");
        let token = format!("Authorization: Bearer {}\r\n", world.token);
        http::Connection::open(world.http).unwrap().send("GET", "wharf.localhost", &path, &token, "").unwrap().body
    };
    until("the first step prints", || log(&world).contains(&part(2)).then_some(()));
    world.kill_serve();
    world.start_serve();
    let run = until("the run has ended", || {
        let run = shown(&world, "flow", "workflows", "nightly", "1");
        run["finished_at"].is_string().then_some(run)
    });
    assert_eq!(run["state"], "succeeded", "{run}");
    let expected = ["alarm skipped", "export succeeded", "finish succeeded", "load succeeded", "weekday skipped"];
    assert_eq!(states(&run), expected);
    let said = log(&world);
    for n in 1..=6 {
        assert_eq!(said.matches(&part(n)).count(), 1, "each line is there once:\n{said}");
    }
    assert_eq!(said.matches("load[a] | from sunday").count(), 1, "{said}");
    assert_eq!(said.matches("load[b] | from sunday").count(), 2, "it was tried again:\n{said}");
    assert!(said.contains("finish | out.txt"), "{said}");
    until("nothing of the run is left", || (left(&world) == 0).then_some(()));
    world
        .cli(&["workflows", "run", "broken", "--app", "flow"])
        .fails_saying("step `promise`: it ended well, but did not leave its artefact never.txt");
    let broken = shown(&world, "flow", "workflows", "broken", "1");
    assert_eq!(states(&broken), ["clean succeeded", "next skipped", "promise failed"]);
    until("nothing of the second run is left", || (left(&world) == 0).then_some(()));
}

#[test]
fn jobs_run_on_request_and_by_their_schedule_one_at_a_time() {
    let world = World::shared();
    applied(&world, "chores", MANIFEST);
    let app = ["--app", "chores"];
    let cli = |arguments: &[&str]| world.cli(&[arguments, &app].concat());
    cli(&["jobs", "run", "tool", "--param", "WHO=ann"]).ok().says("told ann");
    cli(&["jobs", "run", "tool", "--param", "CODE=3"]).fails_saying("it ended with exit code 3");
    cli(&["jobs", "run", "tool", "--param", "WHARF_APP=x"]).fails_saying("take another name");
    cli(&["jobs", "run", "nothing"]).fails_saying("this app has: slow, tick, tool, broken, nightly");
    cli(&["jobs", "run", "slow", "--detach"]).ok();
    cli(&["jobs", "run", "slow"]).fails_saying("run 1 was still under way");
    cli(&["jobs", "cancel", "slow"]).ok();
    let slow = until("the cancelled run has ended", || {
        let run = shown(&world, "chores", "jobs", "slow", "1");
        run["finished_at"].is_string().then_some(run)
    });
    assert_eq!((slow["state"].as_str(), slow["cancelled_by"].is_string()), (Some("cancelled"), true));
    let ticked = until("the schedule has fired", || {
        let all = cli(&["jobs", "history", "tick", "--json"]).ok().json();
        all.as_array().unwrap().iter().find(|r| r["state"] == "succeeded").cloned()
    });
    assert_eq!(ticked["cause"], "schedule");
    let moment = ticked["scheduled_for"].as_str().unwrap();
    assert!(moment.ends_with(":00.000Z"), "{moment}");
    cli(&["jobs", "logs", "tick"]).ok().says("tick of 20");
    let listed = cli(&["jobs", "--json"]).ok().json();
    let tick = listed.as_array().unwrap().iter().find(|j| j["name"] == "tick").cloned().unwrap();
    assert!(tick["schedule"]["next_local"][0].as_str().unwrap().ends_with("IST"), "{tick}");
    cli(&["jobs", "suspend", "tick"]).ok();
    cli(&["jobs"]).ok().says("held by");
    cli(&["apps", "destroy", "chores", "--confirm", "chores"]).ok();
}
