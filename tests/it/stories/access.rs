//! Who may do what, and one change at a time.

use crate::apps;
use crate::command::done;
use crate::harness::{World, until};

#[test]
fn the_second_of_two_pushes_is_told_at_once_who_and_since_when() {
    let world = World::shared();
    let mut files = apps::server("first");
    files[0].1.push_str("RUN sleep 6\n");
    let first = world.app("crowded", &files);
    let second = world.repository("crowded");
    second.commit(&apps::server("second"));
    std::thread::scope(|scope| {
        let push = scope.spawn(|| first.push());
        until("the first push is under way", || (world.newest_operation("crowded")["phase"] == "build").then_some(()));
        let refused = second.push().fails_saying("deploy by ann@example.com, for ").says(" s (build)");
        assert!(refused.took.as_secs() < 4, "it was told after {:?}", refused.took);
        // The same for every other change.
        world.cli(&["up", second.dir.to_str().unwrap(), "--app", "crowded"]).ends_with(5).says("ann@example.com");
        push.join().unwrap().ok();
    });
    assert!(world.get("crowded", "/").body.contains("first"));
    second.git(&["push", "--force", &second.url(&world.token), "main"]).ok();
    assert!(world.get("crowded", "/").body.contains("second"));
}

#[test]
fn the_caches_of_one_app_are_not_those_of_another() {
    let world = World::shared();
    let app = |check: &str| {
        let mut files = apps::page("cached");
        let run = format!("RUN --mount=type=cache,id=common,target=/c {check}");
        let server = "CMD [\"python\", \"-m\", \"http.server\", \"--bind\", \"0.0.0.0\", \"8080\"]";
        files.push(("Dockerfile", format!("FROM python:3.13-slim\n{run}\nCOPY . .\nEXPOSE 8080\n{server}\n")));
        files
    };
    let first = world.app("planter", &app("touch /c/planted"));
    first.push().ok();
    world.app("other", &app("test ! -e /c/planted")).push().ok();
    first.push_files(&app("test -e /c/planted && echo it is kept")).ok().says("it is kept");
    first
        .push_files(&vec![("Dockerfile", "# syntax=evil/front-end\nFROM scratch\n".to_owned())])
        .fails_saying("only docker/dockerfile may be used");
}

#[test]
fn tokens_do_what_they_are_for() {
    let world = World::shared();
    let repo = world.app("guarded", &apps::page("guarded"));
    let token = |name: &str, scope: &str| {
        let made = world.cli(&["tokens", "create", name, "--scope", scope, "--json"]).ok().json();
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    };
    let (read, _) = token("look", "read");
    let (deploy, deploy_id) = token("ci", "deploy");
    let push = |token: &str| repo.git(&["push", &repo.url(token), "main"]);

    push(&read).fails_saying("403");
    push("wharf_0000").fails_saying("uthentication failed");
    push(&deploy).ok();
    let reader = [("WHARF_TOKEN", read.as_str())];
    world.cli_with(&["status", "--app", "guarded"], &reader, "").ok();
    world.cli_with(&["ps", "restart", "--app", "guarded"], &reader, "").ends_with(3);
    world
        .cli_with(&["apps", "destroy", "guarded", "--confirm", "guarded"], &[("WHARF_TOKEN", &deploy)], "")
        .ends_with(3);
    world.cli(&["tokens", "revoke", &deploy_id]).ok();
    repo.commit(&apps::page("too late"));
    push(&deploy).fails_saying("uthentication failed");
    assert!(world.get("guarded", "/").body.contains(">guarded"));
}

#[test]
fn a_stranger_learns_nothing_of_another_organisation() {
    let world = World::shared();
    let repo = world.app("private", &apps::page("private"));
    repo.push().ok();
    world.cli(&["tenants", "create", "umbrella"]).ok();
    let person = ["people", "create", "eve@example.com", "--name", "Eve", "--password-stdin"];
    world.cli_with(&person, &[], "another horse battery").ok();
    world.cli(&["--tenant", "umbrella", "members", "add", "eve@example.com", "--role", "owner"]).ok();
    let home = world.directory("eve").display().to_string();
    let eve = [("WHARF_TOKEN", ""), ("WHARF_TENANT", ""), ("XDG_CONFIG_HOME", home.as_str())];
    let login = ["login", "--email", "eve@example.com", "--password-stdin"];
    world.cli_with(&login, &eve, "another horse battery").ok();
    let as_eve = |words: &[&str]| world.cli_with(words, &eve, "");
    as_eve(&["whoami"]).ok().says("umbrella (owner)");
    let made = as_eve(&["tokens", "create", "git", "--scope", "full", "--json"]).ok().json();
    let token = made["token"].as_str().unwrap();

    // What is there and not hers, and what is not there at all: the same answer.
    let theirs = repo.url(token);
    let nothing = theirs.replace("/private.git", "/nothing.git");
    let asked = |url: &str, words: &[&str]| {
        let answer = repo.git(&[words, &[url]].concat());
        (answer.code, answer.err.replace(url, "URL").replace("private", "APP").replace("nothing", "APP"))
    };
    for words in [&["ls-remote"][..], &["push"]] {
        let answers = (asked(&theirs, words), asked(&nothing, words));
        assert_ne!(answers.0.0, 0);
        assert_eq!(answers.0, answers.1);
    }
    for (words, code) in [(["status", "--app", "private"], 4), (["status", "--app", "nothing"], 4)] {
        as_eve(&[&["--tenant", "acme"], &words[..]].concat()).ends_with(code);
    }
    assert_eq!(as_eve(&["apps", "list", "--json"]).ok().out.trim(), "[]");

    // As a viewer she sees it, and changes nothing.
    world.cli(&["members", "add", "eve@example.com", "--role", "viewer"]).ok();
    as_eve(&["--tenant", "acme", "status", "--app", "private"]).ok();
    as_eve(&["--tenant", "acme", "ps", "restart", "--app", "private"]).ends_with(3);
    repo.commit(&apps::page("changed by eve"));
    let mut push = repo.git_command(&["push", &theirs, "main"]);
    push.env("LC_ALL", "C");
    done(push, "").fails_saying("403");
    assert!(world.get("private", "/").body.contains(">private"));
}
