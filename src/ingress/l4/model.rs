//! What the control plane says about ports beside HTTP.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ingress::snapshot::{Owner, Upstream};

/// A port that is exposed as it is. Times are in milliseconds and kept with a resolution of about 100 ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Unique and stable: statistics follow it from one snapshot to the next.
    pub id: String,
    /// Where to listen. Port 0 takes any free port; the status says which.
    pub address: SocketAddr,
    #[serde(default)]
    pub protocol: Transport,
    /// Who gets the connections. Several rules are told apart by server name (TCP with TLS).
    pub rules: Vec<Rule>,
    /// Every connection begins with a PROXY header (TCP).
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Most connections or sessions at a time, all threads together.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// Most connections or sessions of one client address.
    #[serde(default = "max_per_address")]
    pub max_connections_per_address: u32,
    /// Longest silence: TCP both ways, and a UDP session.
    #[serde(default)]
    pub idle_timeout_ms: Option<u64>,
    /// One attempt to connect to an upstream.
    #[serde(default = "connect_timeout")]
    pub connect_timeout_ms: u64,
    /// How long open connections may go on after the listener was removed.
    #[serde(default = "drain")]
    pub drain_ms: u64,
    /// Whose port this is, for logs and metrics.
    #[serde(default)]
    pub owner: Owner,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
}

/// Connections that go to the same upstreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Server names of TLS: exact, `*.name` (one label) or `*`. Empty: everything no other rule takes.
    pub names: Vec<String>,
    pub tls: Tls,
    pub upstreams: Vec<Upstream>,
}

/// What is done about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Nothing is looked at: bytes are bytes.
    #[default]
    Ignore,
    /// The server name is read, and the connection is passed on still encrypted.
    Pass,
    /// TLS ends here, with a certificate of the snapshot; upstreams get what was inside.
    End,
}

fn max_connections() -> u32 {
    10_000
}
fn max_per_address() -> u32 {
    1_000
}
fn connect_timeout() -> u64 {
    5_000
}
fn drain() -> u64 {
    30_000
}

/// Databases keep connections open through quiet nights: an hour, as tunnels have.
const TCP_IDLE_MS: u64 = 3_600_000;
/// As long as routers remember an exchange of datagrams.
const UDP_IDLE_MS: u64 = 60_000;

impl Listener {
    pub(crate) fn idle_ms(&self) -> u64 {
        let usual = if self.protocol == Transport::Tcp { TCP_IDLE_MS } else { UDP_IDLE_MS };
        match self.idle_timeout_ms {
            Some(0) if self.protocol == Transport::Tcp => u64::MAX,
            Some(0) | None => usual,
            Some(limit) => limit,
        }
    }

    pub(crate) fn key(&self) -> Key {
        let name = match self.address.port() {
            0 => std::hash::BuildHasher::hash_one(
                &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
                &self.id,
            ),
            _ => 0,
        };
        Key { address: self.address, protocol: self.protocol, name }
    }

    /// TLS has to be read to know where a connection goes.
    pub(crate) fn reads_tls(&self) -> bool {
        self.rules.iter().any(|rule| rule.tls != Tls::Ignore)
    }
}

/// What a listening socket is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub address: SocketAddr,
    pub protocol: Transport,
    /// Tells ports apart that the system chooses.
    pub name: u64,
}
