//! A Docker engine of one's own, to be stopped and started at will.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::done;
use crate::harness::{docker, until};

/// Tells a story in a network of its own, where a second engine's bridges and firewall rules meet nobody else's.
pub(crate) fn in_own_network(story: impl FnOnce() + Send) {
    let name = format!("wharf-it-{}", std::process::id());
    ip(&["netns", "add", &name]);
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let network = File::open(format!("/run/netns/{name}")).unwrap();
            // Of this thread, and of all it starts.
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            ip(&["link", "set", "lo", "up"]);
            story();
        });
        thread.join()
    });
    ip(&["netns", "delete", &name]);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    done(command, "").ok();
}

/// An engine with its own state.
pub(crate) struct Dockerd {
    dir: PathBuf,
    process: Option<Child>,
}

impl Dockerd {
    /// Starts one that lets containers live on without it, or not.
    pub(crate) fn start(live_restore: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("wharf-dockerd-").tempdir().unwrap().keep();
        let mut dockerd = Self { dir, process: None };
        dockerd.start_again(live_restore);
        dockerd
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// Starts it again and gives the moment at which it answered.
    pub(crate) fn start_again(&mut self, live_restore: bool) -> Instant {
        let log = File::options().create(true).append(true).open(self.dir.join("dockerd.log")).unwrap();
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(self.dir.join("data")).arg("--exec-root").arg(self.dir.join("exec"));
        command.arg("--pidfile").arg(self.dir.join("pid"));
        // Of its own, since this machine's configuration would be taken otherwise.
        let config = self.dir.join("daemon.json");
        std::fs::write(&config, format!(r#"{{"live-restore": {live_restore}}}"#)).unwrap();
        command.arg("--config-file").arg(config);
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(["--log-level", "warn"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("dockerd starts"));
        until("the engine answers", || {
            let ended = self.process.as_mut().and_then(|p| p.try_wait().unwrap());
            assert!(ended.is_none(), "dockerd ended: {ended:?}");
            self.answers().then(Instant::now)
        })
    }

    /// Ends it, as a service manager does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
            until("the engine has ended", || process.try_wait().unwrap());
        }
    }

    fn answers(&self) -> bool {
        let mut command = docker(&self.socket());
        command.args(["version", "--format", "{{.Server.Version}}"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("dockerd.log")).unwrap_or_default();
            eprintln!("--- dockerd said\n{log}");
        }
        if let Some(process) = &mut self.process {
            let _ = kill_process(Pid::from_child(process), Signal::TERM);
            let _ = process.wait();
        }
        unmount_below(&self.dir);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The engine leaves a mount behind when it ends with containers alive.
fn unmount_below(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let dir = dir.display().to_string();
    for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|t| t.starts_with(&dir)) {
        let _ = Command::new("umount").args(["--lazy", target]).output();
    }
}

/// The time the promises give after a restart of Docker.
pub(crate) const RIGHT_AGAIN: Duration = Duration::from_secs(5);
