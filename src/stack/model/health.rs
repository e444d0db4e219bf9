//! How the health of an instance is judged.

use serde::{Deserialize, Serialize};

use super::ServiceKind;

/// How the platform asks a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// An HTTP request must be answered with 2xx or 3xx.
    Http,
    /// A connection must be accepted.
    Tcp,
    /// The process must stay up.
    Process,
}

/// How the health of an instance is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// How it is asked from outside.
    pub protocol: Protocol,
    /// The path asked for, with [`Protocol::Http`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The port asked, when it is not the service's main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A command that must end with 0 inside the instance, beside what [`HealthCheck::protocol`] asks from outside:
    /// an argument vector, never a shell's line (Compose's `CMD-SHELL` arrives as `/bin/sh -c …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Milliseconds between two checks of a healthy instance; a starting one is asked more often.
    pub interval_ms: u32,
    /// Milliseconds one check may take.
    pub timeout_ms: u32,
    /// Failures in a row after which a healthy instance counts as unhealthy.
    pub failures: u32,
    /// Milliseconds an instance has from its start to its first success.
    pub start_deadline_ms: u32,
    /// Milliseconds it must stay up after its first success, without a check of its own saying otherwise.
    pub settle_ms: u32,
    /// Milliseconds between two checks of a starting instance. Absent: the platform's own pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval_ms: Option<u32>,
}

impl HealthCheck {
    /// The check a service gets when it names none: TCP (or mere life, without a port) plus a short stabilisation.
    #[must_use]
    pub fn default_for(kind: ServiceKind) -> Self {
        let (protocol, settle_ms) = match kind {
            ServiceKind::Web | ServiceKind::Database => (Protocol::Tcp, 500),
            ServiceKind::Worker => (Protocol::Process, 2_000),
            ServiceKind::Job | ServiceKind::Cron => (Protocol::Process, 0),
        };
        Self {
            protocol,
            path: None,
            port: None,
            command: None,
            interval_ms: 5_000,
            timeout_ms: 2_000,
            failures: 3,
            start_deadline_ms: 60_000,
            settle_ms,
            start_interval_ms: None,
        }
    }

    /// The check of a web service that names a path.
    #[must_use]
    pub fn http(path: &str) -> Self {
        Self {
            protocol: Protocol::Http,
            path: Some(path.to_owned()),
            settle_ms: 0,
            ..Self::default_for(ServiceKind::Web)
        }
    }
}
