//! Nothing is lost while an app changes.

use crate::apps;
use crate::harness::World;

/// Versions that are deployed, after the first.
const LAST: u32 = 21;

#[test]
fn deploys_rollbacks_restarts_and_scaling_lose_no_request() {
    let world = World::shared();
    let repo = world.app("busy", &apps::page("version 1"));
    repo.push().ok();
    let load = world.load("busy", 200);
    let answers = |version: u32| {
        let body = world.get("busy", "/").body;
        assert!(body.contains(&format!("version {version}<")), "version {version} was said to be live: {body}");
    };
    let mut took = Vec::new();
    for version in 2..=LAST {
        let pushed = repo.push_files(&apps::page(&format!("version {version}"))).ok();
        took.push(pushed.says(&format!("v{version} is live")).took);
        answers(version);
    }
    eprintln!("{} pushes of a static site: {:.1?} to {:.1?}", took.len(), took.iter().min(), took.iter().max());
    took.clear();
    world.cli(&["rollback", "--app", "busy"]).ok();
    answers(LAST - 1);
    for version in [LAST, LAST - 6, LAST - 2, LAST] {
        took.push(world.cli(&["rollback", &version.to_string(), "--app", "busy"]).ok().took);
        answers(version);
    }
    eprintln!("rollbacks: {:.1?} to {:.1?}", took.iter().min(), took.iter().max());
    world.cli(&["ps", "restart", "--app", "busy"]).ok();
    world.cli(&["ps", "scale", "web=3", "--app", "busy"]).ok();
    world.cli(&["ps", "scale", "web=1", "--app", "busy"]).ok();
    eprintln!("20 deploys, 5 rollbacks, restart, scale 1-3-1: 0 of {} requests failed", load.none_failed());
}

/// An app with its own server, which stops at once when it is told to.
#[test]
fn an_apps_own_server_loses_no_request_either() {
    let world = World::shared();
    let repo = world.app("own-server", &apps::server("one"));
    repo.push().ok();
    let load = world.load("own-server", 60);
    repo.push_files(&apps::server("two")).ok();
    assert!(world.get("own-server", "/").body.contains("two"));
    world.cli(&["rollback", "--app", "own-server"]).ok();
    assert!(world.get("own-server", "/").body.contains("one"));
    eprintln!("deploy and rollback of a server: 0 of {} requests failed", load.none_failed());
}

/// A rolling change replaces one instance after the other, and every one of them is asked all the while.
#[test]
fn a_rolling_change_of_three_instances_loses_no_request() {
    let world = World::shared();
    let repo = world.app("rolling", &apps::server("one"));
    repo.push().ok();
    world.cli(&["ps", "scale", "web=3", "--app", "rolling"]).ok();
    let load = world.load("rolling", 200);
    for version in ["two", "three"] {
        repo.push_files(&apps::server(version)).ok();
        assert!(world.get("rolling", "/").body.contains(version));
    }
    world.cli(&["rollback", "--app", "rolling"]).ok();
    assert!(world.get("rolling", "/").body.contains("two"));
    let status = world.cli(&["status", "--app", "rolling"]).ok();
    status.says("3 of 3 healthy");
    let nothing = world.cli(&["rollout", "pause", "--app", "rolling"]);
    assert!(nothing.code != 0 && nothing.err.contains("nothing is being rolled out"), "{}", nothing.err);
    eprintln!("two rolling changes and a rollback of 3 instances: 0 of {} requests failed", load.none_failed());
}
