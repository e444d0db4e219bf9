//! The same over SSH, with OpenSSH's client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use wharf::git::{Limits, parse_public_key, ssh};

use crate::backend::Script;
use crate::world::{Clone, Done, PATIENCE, World, eventually, finish, noise, processes_in};

/// A world with an SSH server.
struct Ssh {
    world: World,
    address: SocketAddr,
}

impl Ssh {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let world = World::with(limits).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let key = ssh::serve(&world.git, listener).expect("it serves");
        let known = format!("[127.0.0.1]:{} {}\n", address.port(), key.line);
        std::fs::write(world.dir.path().join("known_hosts"), known).expect("a file");
        Self { world, address }
    }

    /// A new key pair of this kind, let in as this person (nobody when `None`).
    async fn key(&self, person: Option<&str>, kind: &[&str]) -> PathBuf {
        let name = format!("key-{}-{}", person.unwrap_or("nobody"), kind.join(""));
        let path = self.world.dir.path().join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", "ann@laptop", "-f"]).arg(&path).arg("-t").args(kind);
        finish(command).await.ok();
        if let Some(person) = person {
            let line = std::fs::read_to_string(path.with_extension("pub")).expect("a key");
            let fingerprint = parse_public_key(&line).map_or_else(|_| "none".to_owned(), |key| key.fingerprint);
            self.world.backend.register_key(&fingerprint, person);
        }
        path
    }

    fn options(&self, key: &Path) -> Vec<String> {
        let known = self.world.dir.path().join("known_hosts");
        let options = [
            "-F/dev/null".to_owned(),
            "-oBatchMode=yes".to_owned(),
            "-oIdentitiesOnly=yes".to_owned(),
            "-oStrictHostKeyChecking=yes".to_owned(),
            format!("-oUserKnownHostsFile={}", known.display()),
            format!("-i{}", key.display()),
        ];
        options.to_vec()
    }

    /// A git command that uses this key.
    fn git(&self, clone: &Clone, key: &Path, arguments: &[&str]) -> Command {
        let mut command = clone.command(arguments);
        command.env("GIT_SSH_COMMAND", format!("ssh {}", self.options(key).join(" ")));
        command
    }

    /// Plain `ssh` with these arguments after the host.
    async fn ssh(&self, key: &Path, before: &[&str], after: &[&str]) -> Done {
        let mut command = Command::new("ssh");
        command.args(self.options(key)).args(before).arg(format!("-p{}", self.address.port())).arg("git@127.0.0.1");
        command.args(after).stdin(std::process::Stdio::null()).kill_on_drop(true);
        finish(command).await
    }

    fn url(&self, repository: &str) -> String {
        format!("ssh://git@{}/{repository}", self.address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_ssh_deploys_and_comes_back_in_a_clone() {
    let ssh = Ssh::new().await;
    let key = ssh.key(Some("ann"), &["ed25519"]).await;
    let (done, _) = {
        let parent = ssh.world.at(ssh.world.dir.path().to_path_buf());
        let url = ssh.url("acme/shop.git");
        (finish(ssh.git(&parent, &key, &["clone", &url, "empty"])).await, ())
    };
    done.ok();
    let shop = ssh.world.shop().await;
    let url = ssh.url("git/acme/shop.git");
    let done = finish(ssh.git(&shop, &key, &["push", "-o", "no-cache", &url, "main"])).await.ok();
    done.says(&["remote: Building…", "remote: Live at http://shop.localhost"]);
    let deployed = &ssh.world.backend.deployed()[0];
    assert_eq!((deployed.by.as_str(), deployed.commit.no_cache), ("ann", true));
    assert_eq!(deployed.files.get("index.html"), Some(&13));
    let parent = ssh.world.at(ssh.world.dir.path().to_path_buf());
    for version in ["protocol.version=0", "protocol.version=2"] {
        let name = format!("back-{}", &version[17..]);
        let url = ssh.url("acme/shop.git");
        let done = finish(ssh.git(&parent, &key, &["-c", version, "clone", &url, &name])).await;
        done.ok();
        assert!(ssh.world.dir.path().join(name).join("index.html").is_file());
    }
    finish(ssh.git(&shop, &key, &["push", &url, "main"])).await.ok().says(&["Everything up-to-date"]);
    assert_eq!(ssh.world.backend.held(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_pack_goes_both_ways_over_ssh() {
    let ssh = Ssh::new().await;
    let key = ssh.key(Some("ann"), &["ed25519"]).await;
    let shop = ssh.world.shop().await;
    shop.commit("big.bin", noise(30 * 1024 * 1024)).await;
    let url = ssh.url("acme/shop.git");
    finish(ssh.git(&shop, &key, &["push", &url, "main"])).await.ok();
    assert_eq!(ssh.world.backend.deployed()[0].files.get("big.bin"), Some(&(30 * 1024 * 1024)));
    let parent = ssh.world.at(ssh.world.dir.path().to_path_buf());
    finish(ssh.git(&parent, &key, &["clone", &url, "back"])).await.ok();
    assert_eq!(std::fs::metadata(ssh.world.dir.path().join("back/big.bin")).unwrap().len(), 30 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_several_kinds_let_people_in_and_others_do_not() {
    let ssh = Ssh::new().await;
    for kind in [&["ed25519"][..], &["ecdsa"], &["rsa", "-b", "2048"]] {
        let key = ssh.key(Some("ann"), kind).await;
        let done = ssh.ssh(&key, &["-T"], &[]).await.ok();
        done.says(&["Hello ann! Wharf speaks git here; there is no shell."]);
    }
    let weak = ssh.key(Some("ann"), &["rsa", "-b", "1024"]).await;
    ssh.ssh(&weak, &["-T"], &[]).await.refused(&["Permission denied (publickey)"]);
    let stranger = ssh.key(None, &["ed25519"]).await;
    ssh.ssh(&stranger, &["-T"], &[]).await.refused(&["Permission denied (publickey)"]);
    let key = ssh.key(Some("ann"), &["ed25519", "-b", "256"]).await;
    let sha1 = ["-T", "-oPubkeyAcceptedAlgorithms=ssh-rsa"];
    let rsa = ssh.key(Some("ann"), &["rsa", "-b", "3072"]).await;
    ssh.ssh(&rsa, &sha1, &[]).await.refused(&[]);
    // With a terminal the greeting is the same.
    ssh.ssh(&key, &["-tt"], &[]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_git_is_to_be_had() {
    let ssh = Ssh::new().await;
    let key = ssh.key(Some("ann"), &["ed25519"]).await;
    ssh.ssh(&key, &[], &["ls", "-la"])
        .await
        .refused(&["Wharf speaks git here and nothing else; it does not run `ls -la`"]);
    let lfs = ssh.ssh(&key, &[], &["git-lfs-authenticate", "acme/shop.git", "upload"]).await;
    lfs.refused(&["Wharf does not store Git LFS files"]);
    ssh.ssh(&key, &["-s"], &["sftp"]).await.refused(&[]);
    let forward = format!("-W{}", ssh.world.http);
    ssh.ssh(&key, &[&forward], &[]).await.refused(&["prohibited"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_missing_look_alike_and_a_viewer_may_only_read() {
    let ssh = Ssh::new().await;
    let (ann, vic) = (ssh.key(Some("ann"), &["ed25519"]).await, ssh.key(Some("vic"), &["ed25519"]).await);
    let shop = ssh.world.shop().await;
    let push = async |key: &Path, path: &str| finish(ssh.git(&shop, key, &["push", &ssh.url(path), "main"])).await;
    let foreign = push(&ann, "other/secret.git").await.refused(&["fatal: remote error: there is no such app"]);
    let missing = push(&ann, "other/nothing.git").await.refused(&["there is no such app"]);
    assert_eq!(foreign.err, missing.err);
    push(&ann, "../../etc/passwd").await.refused(&["there is no such app"]);
    push(&vic, "acme/shop.git").await.refused(&["fatal: remote error: vic may read acme but not deploy to it"]);
    finish(ssh.git(&shop, &vic, &["ls-remote", &ssh.url("acme/shop.git")])).await.ok();
    assert_eq!(ssh.world.backend.begun(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_over_ssh_is_told_before_it_uploads() {
    let ssh = Ssh::new().await;
    let key = ssh.key(Some("ann"), &["ed25519"]).await;
    let shop = ssh.world.shop().await;
    ssh.world.backend.script(Script::StepByStep(1));
    let url = ssh.url("acme/shop.git");
    let mut first = ssh.git(&shop, &key, &["push", &url, "main"]).spawn().expect("git runs");
    eventually("the first deploy runs", || ssh.world.backend.deployed().len() == 1).await;
    let second = finish(ssh.git(&shop, &key, &["push", &url, "main"])).await;
    second.refused(&["fatal: remote error: another deploy of shop is running: deploy by ann, since 12 s"]);
    ssh.world.backend.go_on();
    assert!(first.wait().await.expect("ends").success());
    eventually("the right is given back", || ssh.world.backend.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_over_ssh_cancels_its_deploy() {
    let ssh = Ssh::new().await;
    let key = ssh.key(Some("ann"), &["ed25519"]).await;
    let shop = ssh.world.shop().await;
    ssh.world.backend.script(Script::StepByStep(1));
    let mut client =
        ssh.git(&shop, &key, &["push", &ssh.url("acme/shop.git"), "main"]).process_group(0).spawn().expect("git runs");
    eventually("the deploy runs", || ssh.world.backend.deployed().len() == 1).await;
    crate::interruptions::kill(&client);
    let _ = client.wait().await;
    eventually("the deploy is cancelled", || ssh.world.backend.cancelled() == 1).await;
    eventually("the right is given back", || ssh.world.backend.held() == 0).await;
    let bare = ssh.world.bare();
    eventually("git has gone", || processes_in(&bare) == 0).await;
}

/// Reads until the server hangs up.
async fn hung_up(mut connection: tokio::net::TcpStream) {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut all)).await;
    // A reset is as good as an end.
    let _ = read.expect("the server hangs up");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_log_in_are_hung_up_on() {
    use tokio::io::AsyncWriteExt;
    let ssh = Ssh::with(Limits { ssh_login: Duration::from_millis(300), ..Limits::default() }).await;
    hung_up(tokio::net::TcpStream::connect(ssh.address).await.unwrap()).await;
    let mut polite = tokio::net::TcpStream::connect(ssh.address).await.unwrap();
    polite.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    hung_up(polite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_are_refused_and_a_stop_ends_all() {
    let ssh = Ssh::with(Limits { ssh_connections: 1, ..Limits::default() }).await;
    let mut first = tokio::net::TcpStream::connect(ssh.address).await.unwrap();
    let mut greeting = [0; 8];
    first.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    let mut second = tokio::net::TcpStream::connect(ssh.address).await.unwrap();
    let mut nothing = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, second.read_to_end(&mut nothing)).await.expect("the server hangs up");
    assert!(nothing.is_empty());
    ssh.world.git.stop().await;
    hung_up(first).await;
}
