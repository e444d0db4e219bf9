//! What people do with an app from day to day, all by the command line.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::apps;
use crate::harness::{World, until};
use crate::http;
use crate::terminal::Terminal;

#[test]
fn variables_reach_the_app_and_go_back_with_a_rollback() {
    let world = World::shared();
    let app = ["--app", "variables"];
    let cli = |words: &[&str]| world.cli(&[words, &app[..]].concat());
    world.app("variables", &apps::server("shown")).push().ok();
    let shown = || world.get("variables", "/").body;

    cli(&["config", "set", "SHOW_MODE=live", "SHOW_WORDS=good morning"]).ok();
    assert_eq!(shown(), "shown\nSHOW_MODE=live\nSHOW_WORDS=good morning\n");
    cli(&["config", "unset", "SHOW_WORDS"]).ok();
    assert_eq!(shown(), "shown\nSHOW_MODE=live\n");
    assert_eq!(cli(&["config", "get", "SHOW_MODE"]).ok().out, "live\n");
    cli(&["config", "get", "SHOW_WORDS"]).ends_with(4);
    cli(&["config", "set", "SHOW_MODE=later", "--no-restart"]).ok().says("the next deploy takes it");
    assert_eq!(shown(), "shown\nSHOW_MODE=live\n");

    let releases = cli(&["releases", "--json"]).ok().json();
    let numbers: Vec<i64> = releases.as_array().unwrap().iter().filter_map(|r| r["number"].as_i64()).collect();
    assert_eq!(numbers, [3, 2, 1], "{releases}");
    cli(&["rollback", "2"]).ok();
    assert_eq!(shown(), "shown\nSHOW_MODE=live\nSHOW_WORDS=good morning\n", "a rollback restores the configuration");
    cli(&["rollback", "77"]).ends_with(4);
    cli(&["config", "set", "lower case=x"]).fails_saying("lower case");
}

#[test]
fn processes_scale_stop_and_start() {
    let world = World::shared();
    let cli = |words: &[&str]| world.cli(&[words, &["--app", "processes"]].concat());
    let mut files = apps::server("up");
    files
        .push(("Procfile", "web: python -u main.py\nworker: python -c \"import time; time.sleep(3600)\"\n".to_owned()));
    world.app("processes", &files).push().ok();
    let running = |service: &str| {
        let all = cli(&["ps", "list", "--json"]).ok().json();
        let found = all.as_array().unwrap().iter().find(|s| s["name"] == service).cloned().unwrap_or_default();
        found["instances"].as_array().map_or(0, |i| i.iter().filter(|i| i["state"] == "run").count())
    };
    assert_eq!((running("web"), running("worker")), (1, 1));
    cli(&["ps", "scale", "web=2", "worker=0"]).ok();
    assert_eq!((running("web"), running("worker")), (2, 0));
    cli(&["ps", "stop"]).ok();
    assert_eq!(running("web"), 0);
    assert_eq!(world.get("processes", "/").status, 503);
    cli(&["status"]).ok().says("stopped");
    cli(&["ps", "start"]).ok();
    assert_eq!((running("web"), running("worker"), world.get("processes", "/").status), (2, 0, 200));
    cli(&["ps", "scale", "nothing=1"]).fails_saying("nothing");
    cli(&["ps", "scale", "web=many"]).ends_with(2);
}

#[test]
fn domains_route_at_once() {
    let world = World::shared();
    let cli = |words: &[&str]| world.cli(&[words, &["--app", "domains"]].concat());
    world.app("domains", &apps::page("by name")).push().ok();
    let status = || http::get(world.http, "www.example.org", "/").unwrap().status;
    assert_eq!(status(), 404);
    cli(&["domains", "add", "www.example.org"]).ok();
    until("the domain leads to the app", || (status() == 200).then_some(()));
    cli(&["domains", "list"]).ok().says("www.example.org").says("domains.localhost");
    world.app("envious", &apps::page("x"));
    world.cli(&["domains", "add", "www.example.org", "--app", "envious"]).ends_with(5);
    cli(&["domains", "add", "not a name"]).fails_saying("host");
    cli(&["domains", "remove", "www.example.org"]).ok();
    until("the domain leads nowhere", || (status() == 404).then_some(()));
}

#[test]
fn logs_are_shown_and_followed() {
    let world = World::shared();
    world.app("talks", &apps::server("talking")).push().ok();
    world.get("talks", "/first");
    until("the line of a request is in the log", || {
        let log = world.cli(&["logs", "--app", "talks"]).ok().out;
        (log.contains("talking is up") && log.contains("served /first")).then_some(())
    });
    let mut command = world.cli_command(&["logs", "--follow", "--json", "--app", "talks"], &[]);
    let mut follow = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap());
    let (send, arrived) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let wait = |text: &str| {
        while !arrived.recv_timeout(Duration::from_secs(20)).expect("a line").contains(text) {}
    };
    wait("served /first");
    world.get("talks", "/second");
    wait("served /second");
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert_eq!(world.cli(&["logs", "--app", "talks", "-p", "worker"]).out, "");
}

#[test]
fn a_one_off_command_gives_its_output_and_exit_code() {
    let world = World::shared();
    world.app("one-off", &apps::server("x")).push().ok();
    world.cli(&["config", "set", "SHOW_ME=here", "--app", "one-off"]).ok();
    world.cli(&["run", "--app", "one-off", "--", "env"]).ok().says("SHOW_ME=here");
    let program = "import sys; print(sys.stdin.read().upper()); sys.stderr.write('aside'); sys.exit(7)";
    let ran = world.cli_with(&["run", "--app", "one-off", "--", "python", "-c", program], &[], "loud").ends_with(7);
    assert_eq!((ran.out.trim(), ran.err.contains("aside")), ("LOUD", true), "{ran:?}");
    world.cli(&["run", "--app", "one-off", "--", "no-such-program"]).fails_saying("no-such-program");
    until("its container is gone", || {
        world.in_docker("container", Some("label=wharf.role=run")).is_empty().then_some(())
    });
}

#[test]
fn a_shell_in_the_app_behaves_like_one() {
    let world = World::shared();
    world.app("shelly", &apps::server("x")).push().ok();
    let shell = world.cli_command(&["run", "--app", "shelly", "--", "sh"], &[("TERM", "xterm")]);
    let mut terminal = Terminal::start(shell, 101, 31);
    let before = terminal.mode();
    terminal.shows("# ");
    assert_ne!(terminal.mode().local_modes, before.local_modes, "keys are to reach the shell one by one");
    terminal.types("stty size; test -t 0 && echo a-$((1 + 1))-tty\r");
    terminal.shows("31 101");
    terminal.shows("a-2-tty");
    terminal.resize(77, 22);
    terminal.types("while [ \"$(stty size)\" != '22 77' ]; do sleep 0.1; done; echo re'sized'\r");
    terminal.shows("resized");
    // Ctrl-C ends what runs in the shell, and neither the shell nor the command line.
    terminal.types("echo be'gun'; sleep 600\r");
    terminal.shows("begun");
    terminal.types("\x03");
    terminal.types("echo still-$((40 + 2))\r");
    terminal.shows("still-42");
    terminal.types("exit 7\r");
    assert_eq!(terminal.code(), 7);
    assert_eq!(terminal.mode().local_modes, before.local_modes, "the terminal is as it was");
}

#[test]
fn a_directory_without_git_goes_up_without_what_is_ignored() {
    let world = World::shared();
    world.cli(&["apps", "create", "by-up", "--no-remote"]).ok();
    let dir = world.directory("up");
    for (name, text) in [
        ("index.html", "hello from up"),
        ("secret.txt", "hush"),
        ("open.txt", "all may know"),
        (".gitignore", "secret.*\n"),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let up = world.cli(&["up", dir.to_str().unwrap(), "--app", "by-up", "-m", "by hand"]).ok();
    eprintln!("wharf up of a static site: live after {:.1?}", up.took);
    assert!(world.get("by-up", "/").body.contains("hello from up"));
    assert_eq!(world.get("by-up", "/open.txt").body, "all may know");
    assert_eq!(world.get("by-up", "/secret.txt").status, 404);
    world.cli(&["releases", "--app", "by-up"]).ok().says("by hand");
    world.cli(&["up", "/no/such/dir", "--app", "by-up"]).ends_with(2);
}

#[test]
fn an_image_deploys_and_a_destroyed_app_leaves_nothing() {
    let world = World::start();
    let repo = world.app("source", &apps::server("from an image"));
    repo.push().ok();
    let image = world.in_docker("image", Some("label=wharf.environment"))[0].clone();
    // Under a name of its own, as if it had come from elsewhere.
    let name = format!("wharf-it/{}:1", std::process::id());
    let docker = |words: &[&str]| {
        let mut command = std::process::Command::new("docker");
        command.args(words);
        crate::command::done(command, "")
    };
    docker(&["tag", &image, &name]).ok();
    world.cli(&["apps", "create", "by-image", "--no-remote"]).ok();
    let deployed = world.cli(&["deploy", "--image", &name, "--app", "by-image"]);
    let untagged = docker(&["rmi", &name]);
    deployed.ok();
    untagged.ok();
    assert!(world.get("by-image", "/").body.contains("from an image"));

    world.cli(&["apps", "destroy", "by-image", "--confirm", "other"]).fails_saying("by-image");
    assert_eq!(world.get("by-image", "/").status, 200);
    world.cli(&["apps", "destroy", "by-image", "--confirm", "by-image"]).ok();
    until("the route is gone", || (world.get("by-image", "/").status == 404).then_some(()));
    assert!(world.get("source", "/").body.contains("from an image"), "the other app goes on");
    world.cli(&["apps", "destroy", "source", "--confirm", "source"]).ok();
    world.until_nothing_is_left();
    world.cli(&["status", "--app", "source"]).ends_with(4);
    assert_eq!(world.cli(&["apps", "list", "--json"]).ok().out.trim(), "[]");
}
