//! Every example deploys by a real push and answers.

use std::path::Path;
use std::process::Command;

use crate::command::done;
use crate::harness::{World, until};
use crate::{apps, http};

/// The examples with something that only a working one says on its first page.
const EXAMPLES: [(&str, &str); 7] = [
    ("static-site", "Kelp Bay Harbour"),
    ("flask-guestbook", "Guestbook"),
    ("express-chat", "Chat"),
    ("dockerfile-hello", "Hello from a Dockerfile"),
    ("procfile-queue", "Word count while you wait"),
    ("go-hello", "Hello from Go"),
    ("php-hello", "Hello, you"),
];

#[test]
fn every_example_deploys_by_a_push_and_answers() {
    let world = World::shared();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let there: Vec<_> = std::fs::read_dir(&source).unwrap().flatten().filter(|e| e.path().is_dir()).collect();
    // The microshop has a story of its own.
    assert_eq!(there.len(), EXAMPLES.len() + 1, "an example is not in this story");
    for (name, text) in EXAMPLES {
        let repo = world.app(name, &Vec::new());
        let mut copy = Command::new("cp");
        copy.args(["--recursive", "--no-target-directory"]).arg(source.join(name)).arg(&repo.dir);
        done(copy, "").ok();
        let pushed = repo.push_files(&Vec::new()).ok().says("v1 is live");
        eprintln!("{name}: live {:.1?} after the push began", pushed.took);
        let reply = world.get(name, "/");
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        assert!(reply.body.contains(text), "{name}: {}", reply.body);
        assert_eq!(repo.remote_main(), repo.git(&["rev-parse", "main"]).ok().out.trim());
    }
    guestbook_keeps_an_entry(&world);
    queue_works_through_a_job(&world);
}

fn guestbook_keeps_an_entry(world: &World) {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut connection = http::Connection::open(world.http).unwrap();
    let reply = connection.send("POST", "flask-guestbook.localhost", "/", form, "name=Ada&text=first+here").unwrap();
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert!(world.get("flask-guestbook", "/").body.contains("first here"));
}

/// Web and worker talk over the app's private network.
fn queue_works_through_a_job(world: &World) {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut connection = http::Connection::open(world.http).unwrap();
    let reply = connection.send("POST", "procfile-queue.localhost", "/jobs", form, "text=one+two+three").unwrap();
    assert!(reply.status < 400, "{} {}", reply.status, reply.body);
    until("the worker has done the job", || {
        world.get("procfile-queue", "/jobs").body.contains("\"done\"").then_some(())
    });
}

#[test]
fn a_push_over_ssh_deploys() {
    let world = World::shared();
    let repo = world.app("by-ssh", &apps::page("came by ssh"));
    let key = world.directory("key").join("id");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
    done(keygen, "").ok();
    let url = format!("ssh://git@127.0.0.1:{}/acme/by-ssh.git", world.ssh);
    let ssh = format!(
        "ssh -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={}",
        key.display(),
        key.with_file_name("known_hosts").display()
    );
    let push = || {
        let mut command = repo.git_command(&["push", &url, "main"]);
        command.env("GIT_SSH_COMMAND", &ssh);
        done(command, "")
    };

    push().fails_saying("ermission denied");
    world.cli(&["keys", "add", &key.with_extension("pub").display().to_string(), "--name", "laptop"]).ok();
    let pushed = push().ok().says("v1 is live");
    eprintln!("by ssh: live {:.1?} after the push began", pushed.took);
    assert!(world.get("by-ssh", "/").body.contains("came by ssh"));
}
