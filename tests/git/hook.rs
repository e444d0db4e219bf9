//! The hook by itself: the real binary under the name git starts it by, with servers that do not play along.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::process::Command;

use crate::world::{Done, PATIENCE, World};

const UPDATE: &str =
    "0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 refs/heads/main\n";

/// Runs the hook as git would.
async fn run(link: &Path, environment: &[(&str, &str)]) -> Done {
    let mut command = Command::new(link);
    command.env_clear().envs(environment.iter().copied()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(UPDATE.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("it ends");
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_rejects_and_says_why() {
    let world = World::new().await;
    let link = world.dir.path().join("data/git-hooks/pre-receive");
    run(&link, &[]).await.refused(&["WHARF_GIT_HOOK_SOCKET is not set", "not by hand"]);
    let nowhere = world.dir.path().join("nowhere.sock").display().to_string();
    run(&link, &[("WHARF_GIT_HOOK_SOCKET", &nowhere)]).await.refused(&["the server does not answer", "push again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_breaks_off_is_a_rejection() {
    let world = World::new().await;
    let link = world.dir.path().join("data/git-hooks/pre-receive");
    let path = world.dir.path().join("broken.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a hook");
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await.expect("a request");
        stream.write_all(b"{\"say\":\"half of it\"}\n").await.expect("a reply");
    });
    let done = run(&link, &[("WHARF_GIT_HOOK_SOCKET", &path.display().to_string())]).await;
    assert_eq!(done.out, "half of it\n");
    done.refused(&["the server broke off"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_of_a_push_gets_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let link = world.dir.path().join("data/git-hooks/pre-receive");
    let socket = world.dir.path().join("run/git-hook.sock");
    assert_eq!(std::fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o600);
    let socket = socket.display().to_string();
    for token in ["", "0123"] {
        let environment = [("WHARF_GIT_HOOK_SOCKET", socket.as_str()), ("WHARF_GIT_PUSH_TOKEN", token)];
        run(&link, &environment).await.refused(&[]);
    }
    assert!(world.backend.deployed().is_empty());
}
