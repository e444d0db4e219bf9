//! Clients that go away, limits that are reached, and servers that stop.

use std::time::Duration;

use wharf::git::Limits;

use crate::backend::Script;
use crate::world::{World, eventually, noise, processes_in};

/// Kills a client with its helpers, as a closed terminal does.
pub(crate) fn kill(client: &tokio::process::Child) {
    let id = i32::try_from(client.id().expect("it runs")).expect("a pid");
    let group = rustix::process::Pid::from_raw(id).expect("a pid");
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("it is killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_during_the_deploy_cancels_it_and_frees_the_app() {
    let world = World::new().await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(1));
    let mut client = shop.command(&["push", "wharf", "main"]).process_group(0).spawn().expect("git runs");
    eventually("the deploy runs", || world.backend.deployed().len() == 1).await;
    kill(&client);
    let _ = client.wait().await;
    eventually("the deploy is cancelled", || world.backend.cancelled() == 1).await;
    eventually("the right is given back", || world.backend.held() == 0).await;
    let bare = world.bare();
    eventually("git has gone", || processes_in(&bare) == 0).await;
    assert_eq!(world.server_ref("refs/heads/main").await, None);
    eventually("nothing is left in quarantine", || {
        !std::fs::read_dir(bare.join("objects"))
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().contains("incoming"))
    })
    .await;
    world.backend.script(Script::Succeed);
    shop.push(&["main"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_during_the_upload_frees_the_app() {
    use tokio::io::AsyncWriteExt;
    let world = World::new().await;
    let mut connection = tokio::net::TcpStream::connect(world.http).await.unwrap();
    let head = "POST /git/acme/shop.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann-token\r\n\
                content-type: application/x-git-receive-pack-request\r\ntransfer-encoding: chunked\r\n\r\n4\r\n00b1\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    eventually("the push began", || world.backend.held() == 1).await;
    drop(connection);
    eventually("the right is given back", || world.backend.held() == 0).await;
    let bare = world.bare();
    eventually("git has gone", || processes_in(&bare) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_silent_during_the_upload_is_cut_off() {
    use tokio::io::AsyncWriteExt;
    let world = World::with(Limits { input_idle: Duration::from_millis(200), ..Limits::default() }).await;
    let mut connection = tokio::net::TcpStream::connect(world.http).await.unwrap();
    let head = "POST /git/acme/shop.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann-token\r\n\
                content-type: application/x-git-receive-pack-request\r\ntransfer-encoding: chunked\r\n\r\n4\r\n00b1\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    eventually("the push began", || world.backend.begun() == 1).await;
    eventually("the right is given back", || world.backend.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_beyond_the_limit_is_refused_and_the_client_reads_why() {
    let world = World::with(Limits { max_pack_bytes: 1024 * 1024, ..Limits::default() }).await;
    let shop = world.shop().await;
    shop.commit("big.bin", noise(12 * 1024 * 1024)).await;
    shop.push(&["main"]).await.refused(&["pack exceeds maximum allowed size"]);
    assert!(world.backend.deployed().is_empty());
    assert_eq!(world.backend.held(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_beyond_its_deadline_ends() {
    let world = World::with(Limits { push_deadline: Duration::from_millis(1500), ..Limits::default() }).await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(1));
    shop.push(&["main"]).await.refused(&["remote: The push took longer than 0 minutes and was stopped."]);
    eventually("the right is given back", || world.backend.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_clients_than_allowed_are_asked_to_come_back() {
    let limits = Limits { pushes: 1, turn: Duration::from_millis(50), ..Limits::default() };
    let world = World::with(limits).await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(1));
    let mut first = shop.command(&["push", "wharf", "main"]).spawn().expect("git runs");
    eventually("the first deploy runs", || world.backend.deployed().len() == 1).await;
    let second = shop.git(&["push", &world.url("ann", "acme/blog.git"), "main"]).await;
    second.refused(&["503"]);
    world.backend.go_on();
    assert!(first.wait().await.expect("ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_ends_what_runs() {
    let world = World::new().await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(1));
    let client = shop.command(&["push", "wharf", "main"]).spawn().expect("git runs");
    eventually("the deploy runs", || world.backend.deployed().len() == 1).await;
    world.git.stop().await;
    let done = client.wait_with_output().await.expect("ends");
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("remote: Wharf is being restarted; push again"), "{said}");
    assert_eq!(world.backend.held(), 0);
    assert_eq!(processes_in(&world.bare()), 0);
    assert!(!world.dir.path().join("run/git-hook.sock").exists());
}
