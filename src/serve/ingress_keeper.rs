//! Keeps an ingress running: adopts the one that runs, starts one when none does, and replaces one of another version.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::options::ServeOptions;
use super::ports;
use crate::ingress;
use crate::kernel::error::chain;
use crate::kernel::process::Command;
use crate::scheduler::Scheduler;

/// Pause before an ingress that could not be started is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// How long a service manager's own ingress is waited for before one is started here.
const SERVICE_MANAGER_PATIENCE: Duration = Duration::from_millis(200);
/// How long a started one may take until its control socket answers.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Runs until told to stop; the ingress itself goes on. `ports` are those for HTTP and HTTPS.
pub(super) async fn keep(
    options: ServeOptions,
    ports: (u16, Option<u16>),
    scheduler: Scheduler,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_for_ever(&options, ports, &scheduler) => {}
    }
}

async fn keep_for_ever(options: &ServeOptions, ports: (u16, Option<u16>), scheduler: &Scheduler) {
    let socket = options.run.join("ingress.sock");
    let client = ingress::Client::new(&socket);
    loop {
        match client.status().await {
            Ok(status) if status.version == env!("CARGO_PKG_VERSION") => {
                tracing::info!(ingress.pid = status.pid, "the ingress answers");
                scheduler.nudge();
                wait_until_gone(&socket).await;
                tracing::warn!("the ingress is gone");
                // A service manager that owns it is quicker than we need to be.
                tokio::time::sleep(SERVICE_MANAGER_PATIENCE).await;
            }
            // Started while another one runs, it takes the sockets over and lets the old one drain.
            Ok(status) => {
                tracing::info!(
                    from = status.version,
                    to = env!("CARGO_PKG_VERSION"),
                    "replacing the ingress without a gap"
                );
                start(options, ports, &client, Some(status.pid)).await;
            }
            Err(_) => start(options, ports, &client, None).await,
        }
    }
}

/// A connection to its control socket ends when the process does, however it ends.
async fn wait_until_gone(socket: &std::path::Path) {
    loop {
        let Ok(mut stream) = UnixStream::connect(socket).await else { return };
        let mut byte = [0];
        let _ = stream.read(&mut byte).await;
    }
}

/// `--http ADDRESS` for all addresses of this machine.
fn listen(option: &str, port: Option<u16>) -> Vec<String> {
    let addresses = port.into_iter().flat_map(ports::everywhere);
    addresses.flat_map(|address| [option.to_owned(), address.to_string()]).collect()
}

async fn start(
    options: &ServeOptions,
    (http, https): (u16, Option<u16>),
    client: &ingress::Client,
    replaces: Option<u32>,
) {
    let log = options.data.join("ingress.log");
    let program = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => {
            tracing::error!(error = chain(&error), "this program's own file cannot be found");
            tokio::time::sleep(TRY_AGAIN).await;
            return;
        }
    };
    let command = Command::new(program)
        .arg("ingress")
        .args(["--run".into(), options.run.as_os_str().to_owned()])
        .args(["--data".into(), options.data.as_os_str().to_owned()])
        .args(listen("--http", Some(http)))
        .args(listen("--https", https));
    let command = match std::env::var_os("WHARF_LOG") {
        Some(level) => command.env("WHARF_LOG", level),
        None => command,
    };
    match command.spawn_detached(&log) {
        Ok(pid) => tracing::info!(ingress.pid = pid, "the ingress was started"),
        Err(error) => tracing::error!(error = chain(&error), "the ingress could not be started"),
    }
    let end = tokio::time::Instant::now() + START_PATIENCE;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if client.status().await.is_ok_and(|s| Some(s.pid) != replaces) {
            return;
        }
    }
    tracing::error!(log = %log.display(), "the ingress does not answer; its log says why");
    tokio::time::sleep(TRY_AGAIN).await;
}
