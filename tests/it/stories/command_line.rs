//! Exit codes and `--json`: what scripts rely on.

use std::process::Stdio;

use crate::apps;
use crate::harness::World;

#[test]
fn errors_have_their_exit_codes_and_say_what_to_do() {
    let world = World::shared();
    world.cli(&["apps", "create", "twice", "--no-remote"]).ok();
    world.cli(&["apps", "create", "twice", "--no-remote"]).ends_with(5).says("twice");
    world.cli(&["apps", "create", "Not A Name", "--no-remote"]).ends_with(1).says("name");
    world.cli(&["status", "--app", "nosuch"]).ends_with(4).says("nosuch");
    world.cli(&["status"]).ends_with(2).says("--app NAME");
    world.cli(&["rollback", "--app", "twice"]).ends_with(5);
    world.cli(&["rollback", "seven", "--app", "twice"]).ends_with(2);
    world.cli(&["frobnicate"]).ends_with(2).says("--help");
    world.cli(&["apps", "destroy", "twice"]).ends_with(2).says("--confirm");
    world.cli_with(&["apps", "list"], &[("WHARF_TOKEN", "")], "").ends_with(3).says("wharf login");
    world.cli_with(&["apps", "list"], &[("WHARF_TOKEN", "wharf_00")], "").ends_with(3);
    world.cli_with(&["apps", "list"], &[("WHARF_URL", "http://127.0.0.1:9")], "").ends_with(6).says("127.0.0.1:9");
    world.cli(&["run", "--app", "twice", "--", "env"]).fails_saying("deploy");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let world = World::shared();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = world.cli_command(&["validate", "--schema"], &[]);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn json_is_printed_for_all_that_is_shown() {
    let world = World::shared();
    world.app("in-json", &apps::page("json")).push().ok();
    let json = |words: &[&str]| world.cli(&[words, &["--json", "--app", "in-json"]].concat()).ok().json();
    assert_eq!(json(&["status"])["state"], "running");
    assert_eq!(json(&["releases"])[0]["serving"], true);
    assert_eq!(json(&["ps", "list"])[0]["healthy"], 1);
    assert_eq!(json(&["domains", "list"])[0]["host"], "in-json.localhost");
    assert_eq!(json(&["ops", "list"])[0]["state"], "succeeded");
    assert_eq!(json(&["config", "list"])["values"], serde_json::json!({}));
    assert_eq!(json(&["ps", "restart"])["state"], "succeeded");
    assert_eq!(json(&["whoami"])["user"]["email"], "ann@example.com");
    let apps = json(&["apps", "list"]);
    assert!(apps.as_array().unwrap().iter().any(|a| a["project"] == "in-json"), "{apps}");
}

/// The spellings of Heroku and Dokku.
#[test]
fn colons_work_too() {
    let world = World::shared();
    world.cli(&["apps:create", "colons", "--no-remote"]).ok();
    world.cli(&["config:set", "A=b", "--app", "colons", "--no-restart"]).ok();
    assert_eq!(world.cli(&["config:get", "A", "--app", "colons"]).ok().out, "b\n");
}
