//! What a container is told beside its image and command. Every field can only hold what is safe for neighbours.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::is_default;

/// Settings of a service's containers. Absent means: what the image says, or the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// User, and group after a colon, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Further groups of that user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The directory commands start in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The tenant's own labels; none begins with `wharf.`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Host name inside the container. Absent: service and instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Domain name inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Whether it gets a terminal.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Whether its standard input stays open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stdin_open: bool,
    /// Whether a small init process reaps its orphans and passes signals on. Absent: yes. Images with an init of their own
    /// that must be process 1 (s6) say no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Whether its root file system cannot be written to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// File systems in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<super::Tmpfs>,
    /// MiB of `/dev/shm`. Absent: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_mib: Option<u32>,
    /// Limits of the process, by name (`nofile`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Capabilities taken away beyond the platform's default, without `CAP_`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cap_drop: BTreeSet<String>,
    /// Capabilities given beyond the platform's default, without `CAP_`; only those of the short list in
    /// [`crate::stack::compose`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cap_add: BTreeSet<String>,
    /// Names resolved to fixed addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// Name servers asked for names the platform does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<std::net::IpAddr>,
    /// Domains tried for short names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// Kernel settings of the container's own namespaces; only those of the short list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// The signal of the polite stop (`SIGTERM`, …). Absent: the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// The platform the image must be for (`linux/amd64`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Preference to be killed when the node is out of memory: 0 (as others) to 1000 (first).
    #[serde(default, skip_serializing_if = "is_default")]
    pub oom_score_adj: u16,
}

/// A soft and a hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What holds unless the process raises it; -1 for none.
    pub soft: i64,
    /// As far as it may raise it; -1 for none.
    pub hard: i64,
}

/// A name and the address it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// The address.
    pub address: std::net::IpAddr,
}
