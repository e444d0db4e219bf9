//! A version that does not work is refused with the true reason, and the old one goes on answering.

use std::time::Duration;

use crate::apps::{self, Files};
use crate::harness::{TENANT, World};
use crate::http::Connection;
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

/// A service of a manifest beside the files of its image.
fn with_manifest(mut files: Files, more: &str) -> Files {
    let manifest = format!("services:\n  web:\n    build: .\n    x-wharf: {{kind: web, port: 8080}}\n{more}");
    files.push(("compose.yaml", manifest));
    files
}

/// A log-in at the portal; gives the header line with the session's cookie.
fn portal_session(world: &World) -> String {
    let mut connection = Connection::open(world.http).unwrap();
    let host = format!("wharf.localhost:{}", world.http);
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://{host}\r\n");
    let form = "email=ann%40example.com&password=correct+horse+battery";
    let reply = connection.send("POST", &host, "/login", &headers, form).unwrap();
    let cookie = reply.headers.lines().find_map(|l| l.strip_prefix("set-cookie:")).expect("a session");
    format!("Cookie: {}\r\n", cookie.trim().split(';').next().unwrap())
}

/// The newest operation of an app failed with this reason, and everybody is told: by the API, the command line and the
/// portal, in one sentence.
fn everybody_is_told(world: &World, app: &str, reason: &str) {
    let operation = world.newest_operation(app);
    let summary = operation["summary"].as_str().unwrap_or_default();
    assert_eq!((operation["state"].as_str(), summary.contains(reason)), (Some("failed"), true), "{operation}");
    assert!(!summary.contains('\n'), "one sentence: {summary}");
    world.cli(&["ops", "list", "--app", app]).ok().says(reason);
    let page = format!("/t/{TENANT}/{app}/production/deploys/{}", operation["id"].as_str().unwrap());
    let host = format!("wharf.localhost:{}", world.http);
    let reply = Connection::open(world.http).unwrap().send("GET", &host, &page, &portal_session(world), "").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let shown = reply.body.replace("&#39;", "'").replace("&#x27;", "'").replace("&quot;", "\"").replace("&#34;", "\"");
    assert!(shown.contains(reason), "the portal says `{reason}`: {shown}");
}

/// What is deployed, the reason that is expected, and how long it may take.
struct Bad {
    kind: &'static str,
    files: Files,
    reason: &'static str,
    within: Duration,
}

fn bad_versions() -> Vec<Bad> {
    let serve = || apps::server("bad");
    let bad = |kind, files, reason, seconds| Bad { kind, files, reason, within: Duration::from_secs(seconds) };
    let sleeps = apps::program("import time\ntime.sleep(1000)\n");
    let hungry = apps::program("data = []\nwhile True:\n    data.append(bytearray(8 << 20))\n");
    let wrong_port = apps::server_on("bad", r#"("0.0.0.0", 3999)"#);
    let impatient = "services:\n  web:\n    build: .\n    x-wharf: {kind: web, port: 8080, health: {tcp: true, start_period: 5s}}\n";
    let never = [sleeps, vec![("compose.yaml", impatient.to_owned())]].concat();
    let memory = "    mem_limit: 64m\n";
    let nowhere = "    deploy: {placement: {constraints: ['node.labels.disk == ssd']}}\n";
    let too_big = "    deploy: {resources: {reservations: {memory: 900g}, limits: {memory: 901g}}}\n";
    let release = "services:\n  web:\n    build: .\n    x-wharf: {kind: web, port: 8080, release: [python, -c, \"import sys; sys.exit('schema is locked')\"]}\n";
    let image = "services:\n  web:\n    image: wharf.invalid/no/such:image\n    x-wharf: {kind: web, port: 8080}\n";
    let exits = apps::program("import sys\nsys.exit('no licence file')\n");
    vec![
        bad("exits at once", with_manifest(exits, ""), "its last line: no licence file", 60),
        bad("never healthy", never, "web.1 did not become healthy within", 60),
        bad(
            "missing image",
            [serve(), vec![("compose.yaml", image.to_owned())]].concat(),
            "wharf.invalid/no/such:image",
            60,
        ),
        bad("cannot be placed", with_manifest(serve(), nowhere), "it may only run where `node.labels.disk == ssd`", 60),
        bad("too large", with_manifest(serve(), too_big), "MiB of memory would be set aside, and this machine has", 60),
        bad("out of memory", with_manifest(hungry, memory), "was killed for using more than its 64 MiB of memory", 60),
        bad(
            "release command fails",
            [serve(), vec![("compose.yaml", release.to_owned())]].concat(),
            "schema is locked",
            60,
        ),
        bad("wrong port", with_manifest(wrong_port, ""), "web.1 listens on 0.0.0.0:3999, expected 0.0.0.0:8080", 60),
    ]
}

#[test]
fn each_kind_of_bad_version_is_refused_under_load_and_everybody_is_told_why() {
    let world = World::shared();
    let app = "steadfast";
    world.cli(&["apps", "create", app, "--no-remote"]).ok();
    let deploy = |files: &Files| {
        let dir = world.directory(app);
        for (path, text) in files {
            std::fs::write(dir.join(path), text).unwrap();
        }
        world.cli(&["up", dir.to_str().unwrap(), "--app", app])
    };
    deploy(&with_manifest(apps::server("good"), "")).ok();
    let load = world.load(app, 200);
    for bad in bad_versions() {
        let refused = deploy(&bad.files).fails_saying(bad.reason);
        eprintln!("{}: refused after {:.1?}: {}", bad.kind, refused.took, bad.reason);
        assert!(refused.took < bad.within, "{} took {:?}", bad.kind, refused.took);
        everybody_is_told(&world, app, bad.reason);
        assert!(world.get(app, "/").body.contains("good"), "the old version answers");
    }
    eprintln!("{} bad versions: 0 of {} requests failed", bad_versions().len(), load.none_failed());
}
