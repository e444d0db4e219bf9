//! Saying that it works: on the terminal, and in a file for programs.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::options::ServeOptions;
use crate::apps::Addresses;
use crate::certificates::Certificates;

/// How long the portal may take to answer through the ingress.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two tasks change the file.
static REWRITING: Mutex<()> = Mutex::new(());

/// What `RUN/ready.json` holds while the control plane is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub portal_url: String,
    /// The one-time link, until somebody has set it up.
    pub setup_url: Option<String>,
    pub domain: String,
    pub http_port: u16,
    /// None when HTTPS is not spoken.
    #[serde(default)]
    pub https_port: Option<u16>,
    pub ssh_port: u16,
    pub version: String,
    /// What the containers, networks and images of this installation are labelled with.
    pub installation: String,
    pub pid: u32,
}

impl Ready {
    /// What a control plane with this run directory said.
    ///
    /// # Errors
    /// When none is ready there, or the file may not be read.
    pub fn read(run: &Path) -> anyhow::Result<Self> {
        let path = run.join("ready.json");
        let text = std::fs::read(&path)
            .with_context(|| format!("cannot read {}; is `wharf serve` running, and are you root?", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not valid", path.display()))
    }
}

/// Waits until the portal answers through the ingress, then says so.
pub(super) async fn announce(
    options: &ServeOptions,
    addresses: &Addresses,
    installation: &str,
    setup_token: Option<String>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let portal_url = addresses.url(&addresses.portal_host());
    let end = Instant::now() + PATIENCE;
    while !answers(addresses).await {
        if Instant::now() > end {
            bail!(
                "the portal does not answer on port {} within {} s; see {}/ingress.log",
                addresses.http_port,
                PATIENCE.as_secs(),
                options.data.display()
            );
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let setup_url = setup_token.map(|token| format!("{portal_url}/setup?token={token}"));
    let ready = Ready {
        portal_url: portal_url.clone(),
        setup_url: setup_url.clone(),
        domain: addresses.domain.clone(),
        http_port: addresses.http_port,
        https_port: addresses.https_port,
        ssh_port: addresses.ssh_port,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        installation: installation.to_owned(),
        pid: std::process::id(),
    };
    write(&options.run.join("ready.json"), &serde_json::to_vec_pretty(&ready)?)?;
    tracing::info!(portal = portal_url, "ready");
    match setup_url {
        Some(url) => println!("Wharf is ready. Set it up here (the link works once): {url}"),
        None => println!("Wharf is ready: {portal_url}"),
    }
    Ok(())
}

/// Takes the set-up link out of the file once it was used.
pub(super) async fn forget_setup_link(run: std::path::PathBuf, apps: crate::apps::Apps, stop: CancellationToken) {
    tokio::select! {
        () = apps.set_up() => {}
        () = stop.cancelled() => return,
    }
    if let Err(error) = rewrite(&run, |ready| Ready { setup_url: None, ..ready }) {
        tracing::warn!("the spent set-up link stays in ready.json: {error:#}");
    }
}

/// Keeps the portal's address in the file right: `https://` as soon as it has a certificate that everybody trusts.
pub(super) async fn keep_address(
    run: std::path::PathBuf,
    addresses: Addresses,
    certificates: Certificates,
    stop: CancellationToken,
) {
    let mut written = addresses.url(&addresses.portal_host());
    loop {
        let changed = certificates.changed();
        let url = addresses.url(&addresses.portal_host());
        if url != written {
            let setup = |old: String| old.replacen(&written, &url, 1);
            let with = |ready: Ready| Ready { portal_url: url.clone(), setup_url: ready.setup_url.map(setup), ..ready };
            match rewrite(&run, with) {
                Ok(()) => tracing::info!(portal = url, "the portal's address has changed"),
                Err(error) => tracing::warn!("ready.json names an old address: {error:#}"),
            }
            written = url;
        }
        tokio::select! {
            () = changed => {}
            () = stop.cancelled() => return,
        }
    }
}

fn rewrite(run: &Path, change: impl FnOnce(Ready) -> Ready) -> anyhow::Result<()> {
    let _one_at_a_time = REWRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = change(Ready::read(run)?);
    write(&run.join("ready.json"), &serde_json::to_vec_pretty(&ready)?)
}

/// For its owner only, since the set-up link is a secret.
fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("json.new");
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text)?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// One request as a visitor would make it.
async fn answers(addresses: &Addresses) -> bool {
    use http_body_util::Empty;
    use hyper_util::rt::TokioIo;
    let attempt = async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", addresses.http_port)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get("/api/v1/health")
            .header(hyper::header::HOST, addresses.portal_host())
            .body(Empty::<bytes::Bytes>::new())
            .ok()?;
        let answer = sender.send_request(request).await.ok();
        driver.abort();
        answer.map(|a| a.status().is_success())
    };
    tokio::time::timeout(Duration::from_secs(5), attempt).await.ok().flatten().unwrap_or(false)
}
