//! A version that does not work is refused with the true reason, and the old one goes on answering.

use crate::apps::{self, Files};
use crate::harness::World;
use crate::repo::Repo;

/// Pushes a good version, then the bad one under load; gives what the second push said.
fn refuse(world: &World, app: &str, bad: &Files, reason: &str) {
    let repo = world.app(app, &apps::server("good"));
    repo.push().ok().says("v1 is live");
    refuse_next(world, &repo, bad, reason);
}

fn refuse_next(world: &World, repo: &Repo<'_>, bad: &Files, reason: &str) {
    let before = repo.remote_main();
    let load = world.load(&repo.app, 40);
    let pushed = repo.push_files(bad).fails_saying(reason).says("what served before goes on").says("rejected");
    load.none_failed();
    eprintln!("{}: refused after {:.1?}", repo.app, pushed.took);
    assert!(world.get(&repo.app, "/").body.contains("good"), "the old version answers");
    assert_eq!(repo.remote_main(), before, "the branch did not move");
}

#[test]
fn an_app_that_exits_at_once_is_refused() {
    let world = World::shared();
    let bad = apps::program("import sys\nsys.exit('no licence file')\n");
    refuse(&world, "exits", &bad, "web.1 exited with code 1 twice in a row");
    let operation = world.newest_operation("exits");
    assert_eq!(operation["state"], "failed");
    assert!(operation["summary"].as_str().unwrap().contains("its last line: no licence file"), "{operation}");
    // The release is in the list, with the reason; it can't be gone back to by accident.
    world.cli(&["releases", "--app", "exits"]).ok().says("no licence file");
    world.cli(&["status", "--app", "exits"]).ok().says("running");
}

#[test]
fn an_app_on_the_wrong_port_is_told_so() {
    let world = World::shared();
    let bad = apps::server_on("bad", r#"("0.0.0.0", 3999)"#);
    refuse(&world, "wrong-port", &bad, "web.1 listens on 0.0.0.0:3999, expected 0.0.0.0:8080");
}

#[test]
fn an_app_that_only_hears_itself_is_told_so() {
    let world = World::shared();
    let bad = apps::server_on("bad", r#"("127.0.0.1", int(os.environ["PORT"]))"#);
    refuse(&world, "loopback", &bad, "web.1 listens on 127.0.0.1:8080, expected 0.0.0.0:8080");
}

#[test]
fn builds_and_release_commands_that_fail_are_refused() {
    let world = World::shared();
    let repo = world.app("no-build", &apps::server("good"));
    repo.push().ok();

    let broken = vec![("Dockerfile", "FROM python:3.13-slim\nRUN python -c 'import nosuchmodule'\n".to_owned())];
    refuse_next(&world, &repo, &broken, "No module named 'nosuchmodule'");
    let foreign = vec![("Dockerfile", "FROM wharf.invalid/no/such:image\n".to_owned())];
    refuse_next(&world, &repo, &foreign, "wharf.invalid/no/such:image");

    let mut files = apps::server("not released");
    files.push((
        "Procfile",
        "web: python -u main.py\nrelease: python -c \"import sys; sys.exit('schema is locked')\"\n".to_owned(),
    ));
    refuse_next(&world, &repo, &files, "schema is locked");
    assert_eq!(world.in_docker("container", Some("label=wharf.role=release")), Vec::<String>::new());
}

#[test]
fn an_image_that_is_not_there_is_refused() {
    let world = World::shared();
    let repo = world.app("no-image", &apps::page("good"));
    repo.push().ok();
    let load = world.load("no-image", 40);
    let deploy = ["deploy", "--image", "wharf.invalid/no/such:image", "--app", "no-image"];
    world.cli(&deploy).ends_with(1).says("wharf.invalid/no/such:image");
    load.none_failed();
    assert!(world.get("no-image", "/").body.contains("good"));
}
