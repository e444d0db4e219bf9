//! Nothing is lost while an app changes.

use crate::apps;
use crate::harness::World;

#[test]
fn deploys_rollbacks_restarts_and_scaling_lose_no_request() {
    let world = World::shared();
    let repo = world.app("busy", &apps::page("version 1"));
    repo.push().ok();
    let load = world.load("busy", 100);
    for version in 2..=6 {
        repo.push_files(&apps::page(&format!("version {version}"))).ok().says(&format!("v{version} is live"));
        assert!(world.get("busy", "/").body.contains(&format!("version {version}<")));
    }
    world.cli(&["rollback", "--app", "busy"]).ok();
    assert!(world.get("busy", "/").body.contains("version 5<"));
    world.cli(&["rollback", "2", "--app", "busy"]).ok();
    assert!(world.get("busy", "/").body.contains("version 2<"));
    world.cli(&["ps", "restart", "--app", "busy"]).ok();
    world.cli(&["ps", "scale", "web=3", "--app", "busy"]).ok();
    world.cli(&["ps", "scale", "web=1", "--app", "busy"]).ok();
    eprintln!("5 deploys, 2 rollbacks, restart, scale 1-3-1: 0 of {} requests failed", load.none_failed());
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
