//! The control plane and the ingress may die at any moment.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::apps;
use crate::harness::{World, until, within};
use crate::http;

/// Waits until the app's newest operation is in a phase.
fn until_phase(world: &World, app: &str, phase: &str) -> String {
    until(&format!("the operation of {app} is in phase {phase}"), || {
        let newest = world.newest_operation(app);
        assert!(newest["finished_at"].is_null() || newest["kind"] != "deploy" || newest["phase"] != phase, "{newest}");
        (newest["phase"] == phase && newest["finished_at"].is_null()).then(|| newest["id"].as_str().unwrap().to_owned())
    })
}

/// Waits until an operation has ended; gives its state and reason.
fn until_ended(world: &World, app: &str, id: &str) -> (String, String) {
    until(&format!("operation {id} has ended"), || {
        let all = world.cli(&["ops", "list", "--app", app, "--json"]).ok().json();
        let found = all.as_array().unwrap().iter().find(|o| o["id"] == id)?.clone();
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        found["finished_at"].is_string().then(|| (text("state"), text("summary")))
    })
}

/// What is left in Docker when all is quiet: one container and one network of the one app.
fn until_tidy(world: &World) {
    until("one container and one network are left", || {
        (world.in_docker("container", None).len() == 1 && world.in_docker("network", None).len() == 1).then_some(())
    });
}

#[test]
fn a_killed_control_plane_ends_what_it_began_and_no_request_is_lost() {
    let world = World::start();
    let repo = world.app("steady", &apps::server("one"));
    repo.push().ok();
    let before = repo.remote_main();
    let load = world.load("steady", 60);

    // In the middle of a build that a person waits for in front of `git push`.
    let mut slow = apps::server("never");
    slow[0].1.push_str("RUN sleep 20\n");
    repo.commit(&slow);
    let url = repo.url(&world.token);
    std::thread::scope(|scope| {
        let push = scope.spawn(|| repo.git(&["push", &url, "main"]));
        let id = until_phase(&world, "steady", "build");
        world.kill_serve();
        let pushed = push.join().unwrap();
        assert_ne!(pushed.code, 0, "the push cannot have gone well: {pushed:?}");
        let began = Instant::now();
        world.start_serve();
        eprintln!("the control plane is ready {:.1?} after its start", began.elapsed());
        let (state, reason) = until_ended(&world, "steady", &id);
        assert_eq!(state, "failed");
        assert!(reason.contains("the control plane was restarted while the push was being built"), "{reason}");
    });
    assert_eq!(repo.remote_main(), before, "the branch did not move");
    assert!(world.get("steady", "/").body.contains("one"));
    until_tidy(&world);

    // In the middle of a rollout: it is carried on.
    let next = world.directory("next");
    for (path, text) in apps::slow_server("two", 4) {
        std::fs::write(next.join(path), text).unwrap();
    }
    std::thread::scope(|scope| {
        let up = scope.spawn(|| world.cli(&["up", next.to_str().unwrap(), "--app", "steady"]));
        let id = until_phase(&world, "steady", "rollout");
        world.kill_serve();
        world.start_serve();
        let (state, reason) = until_ended(&world, "steady", &id);
        assert_eq!((state.as_str(), reason.contains("is live")), ("succeeded", true), "{reason}");
        // The command that watched it has come back to it.
        up.join().unwrap().ok();
    });
    assert!(world.get("steady", "/").body.contains("two"));
    until_tidy(&world);

    // A push after all this works as ever.
    repo.push_files(&apps::server("three")).ok();
    assert!(world.get("steady", "/").body.contains("three"));
    until_tidy(&world);
    eprintln!("control plane killed twice: 0 of {} requests failed", load.none_failed());
}

#[test]
fn a_killed_ingress_is_back_within_a_second_with_the_right_routes() {
    let world = World::start();
    let repo = world.app("left", &apps::page("left"));
    repo.push().ok();
    let pids = world.ingress_pids();
    assert_eq!(pids.len(), 1, "one ingress runs");
    let began = Instant::now();
    assert!(std::process::Command::new("kill").args(["-9", &pids[0]]).status().unwrap().success());
    within(Duration::from_secs(5), "the app answers again", || {
        let reply = http::get(world.http, "left.localhost", "/").ok()?;
        assert_eq!((reply.status, reply.body.contains("left")), (200, true), "{}", reply.body);
        Some(())
    });
    let took = began.elapsed();
    eprintln!("the ingress answers {took:.1?} after it was killed");
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    assert_ne!(world.ingress_pids(), pids);
    assert_eq!(world.get("no-such-app", "/").status, 404);
}

/// Without a control plane, the ingress goes on by itself, also after its own end and a new start of everything.
#[test]
fn apps_answer_while_the_control_plane_is_away() {
    let world = World::start();
    world.app("alone", &apps::page("alone")).push().ok();
    world.kill_serve();
    assert!(world.get("alone", "/").body.contains("alone"));
    let ingress = world.ingress_pids();
    world.start_serve();
    assert!(world.get("alone", "/").body.contains("alone"));
    assert_eq!(world.ingress_pids(), ingress, "the running ingress was adopted");
}

/// Moments after the begin of a deploy at which the control plane is killed, in milliseconds.
const MOMENTS: [u64; 5] = [60, 250, 600, 1_100, 1_700];

#[test]
fn a_deploy_that_was_cut_off_at_any_moment_ends_and_leaves_nothing_behind() {
    let world = World::start();
    let repo = world.app("cut-off", &apps::page("version 0"));
    repo.push().ok();
    let load = world.load("cut-off", 60);
    for (n, moment) in MOMENTS.into_iter().enumerate() {
        let version = world.directory("version");
        std::fs::write(version.join("index.html"), format!("version {}", n + 1)).unwrap();
        let mut up = world.cli_command(&["up", version.to_str().unwrap(), "--app", "cut-off"], &[]);
        let mut up = up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something: the moment itself is what is tried.
        std::thread::sleep(Duration::from_millis(moment));
        world.kill_serve();
        world.start_serve();
        let code = up.wait().unwrap().code();
        until("no operation is under way", || {
            let all = world.cli(&["ops", "list", "--app", "cut-off", "--json"]).ok().json();
            all.as_array().unwrap().iter().all(|o| o["finished_at"].is_string()).then_some(())
        });
        let newest = world.newest_operation("cut-off");
        eprintln!("killed after {moment} ms: `wharf up` ends with {code:?}; {} {}", newest["state"], newest["summary"]);
        // What was received whole is carried on; what was not is told so.
        let summary = newest["summary"].as_str().unwrap();
        assert!(newest["state"] == "succeeded" || summary.contains("the control plane was restarted"), "{newest}");
        until("the app is known to run", || {
            (world.cli(&["status", "--app", "cut-off", "--json"]).ok().json()["state"] == "running").then_some(())
        });
    }
    until_tidy(&world);
    repo.push_files(&apps::page("at last")).ok();
    assert!(world.get("cut-off", "/").body.contains("at last"));
    until_tidy(&world);
    eprintln!("control plane killed {} times: 0 of {} requests failed", MOMENTS.len(), load.none_failed());
    world.cli(&["apps", "destroy", "cut-off", "--confirm", "cut-off"]).ok();
    world.until_nothing_is_left();
    assert_eq!(std::fs::read_dir(world.data().join("sources")).unwrap().count(), 0, "no source is left");
}
