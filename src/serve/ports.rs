//! Which ports are used: those asked for, or free ones nearby, and then it is said.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use super::options::ServeOptions;
use crate::ingress;

/// Tried in turn when the port asked for cannot be had.
const HTTP_FALLBACKS: [u16; 6] = [8080, 8081, 8082, 8083, 8084, 8085];
/// The same for HTTPS.
const HTTPS_FALLBACKS: [u16; 6] = [8443, 8444, 8445, 8446, 8447, 8448];
/// How long an ingress that has taken its ports may need to answer.
const STARTING_INGRESS: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// So many ports after the one asked for are tried for SSH.
const SSH_TRIES: u16 = 10;

/// The ports in use.
pub(super) struct Ports {
    pub(super) http: u16,
    /// None when no port could be had; everything works over HTTP then.
    pub(super) https: Option<u16>,
    pub(super) ssh: u16,
    /// None when no port could be had; pushing over HTTP works all the same.
    pub(super) ssh_listener: Option<std::net::TcpListener>,
}

/// Finds the ports; an ingress that runs already keeps its own.
pub(super) async fn choose(options: &ServeOptions) -> anyhow::Result<Ports> {
    let running = running_ingress(options).await;
    let adopted = running.as_ref().and_then(|s| s.listening.first().map(SocketAddr::port));
    let http = match adopted {
        Some(port) => port,
        None => free_http_port(options.http_port).await?,
    };
    let https = match running.as_ref().map(|s| s.listening_tls.first()) {
        Some(Some(address)) => Some(address.port()),
        // One that was started without HTTPS by hand stays so; one of another version is about to be replaced.
        Some(None) if running.as_ref().is_some_and(|s| s.version == env!("CARGO_PKG_VERSION")) => None,
        Some(None) | None => free_https_port(options.https_port).await,
    };
    let (ssh, ssh_listener) = ssh_listener(options.ssh_port).await;
    Ok(Ports { http, https, ssh, ssh_listener })
}

/// The ingress that runs already. One that starts at this very moment, by the service manager, has its ports before it
/// answers: where the port is taken, it gets a little time.
async fn running_ingress(options: &ServeOptions) -> Option<ingress::status::Status> {
    let client = ingress::Client::new(options.run.join("ingress.sock"));
    let end = tokio::time::Instant::now() + STARTING_INGRESS;
    loop {
        if let Ok(status) = client.status().await {
            return Some(status);
        }
        let bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, options.http_port)).await;
        let is_taken = bound.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse);
        if !is_taken || tokio::time::Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// All addresses of this machine: IPv4, and IPv6 where there is any.
#[must_use]
pub fn everywhere(port: u16) -> Vec<SocketAddr> {
    let has_v6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let v6 = has_v6.then(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    std::iter::once(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).chain(v6).collect()
}

async fn free_http_port(wanted: u16) -> anyhow::Result<u16> {
    free_port(wanted, &HTTP_FALLBACKS).await.map_err(|reason| {
        anyhow::anyhow!(
            "no port for HTTP can be had: {wanted} ({reason}) nor {HTTP_FALLBACKS:?}; free one, or name another with --http-port"
        )
    })
}

async fn free_https_port(wanted: u16) -> Option<u16> {
    let found = free_port(wanted, &HTTPS_FALLBACKS).await;
    found
        .inspect_err(|reason| {
            tracing::warn!(
                "no port for HTTPS can be had: {wanted} ({reason}) nor {HTTPS_FALLBACKS:?}; there is HTTP only"
            );
        })
        .ok()
}

/// The wanted port or one of the others; else why the wanted one cannot be used.
async fn free_port(wanted: u16, fallbacks: &[u16]) -> Result<u16, String> {
    let mut reason = String::new();
    for port in std::iter::once(wanted).chain(fallbacks.iter().copied().filter(|p| *p != wanted)) {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
            Ok(_) => {
                if port != wanted {
                    tracing::warn!("port {wanted} cannot be used ({reason}); using {port} instead");
                }
                return Ok(port);
            }
            Err(error) if reason.is_empty() => reason = error.to_string(),
            Err(_) => {}
        }
    }
    Err(reason)
}

async fn ssh_listener(wanted: u16) -> (u16, Option<std::net::TcpListener>) {
    for port in wanted..=wanted.saturating_add(SSH_TRIES) {
        if let Ok(listener) = std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
            && listener.set_nonblocking(true).is_ok()
        {
            if port != wanted {
                tracing::warn!("port {wanted} cannot be used for git over SSH; using {port} instead");
            }
            return (port, Some(listener));
        }
    }
    tracing::warn!("no port near {wanted} can be used; git works over HTTP only");
    (wanted, None)
}
