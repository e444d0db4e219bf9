//! Where a service can be reached: its ports, and which of the outside's traffic comes to them.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::kernel::name::HostName;

/// What carries the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port a service listens on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// The port inside the container.
    pub port: u16,
    /// What carries the bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: Transport,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// HTTP requests of the outside that come to a service. Of several routes that fit a request, the one with the
/// longest path wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// For which hosts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: RouteHost,
    /// For paths that begin with this, by whole segments: `/api` fits `/api` and `/api/x`, not `/apis`.
    pub path: String,
    /// Whether the path's prefix is taken off before the service sees the request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strip_path: bool,
    /// To this port of the service.
    pub port: u16,
    /// What the service speaks there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: RouteProtocol,
}

/// The hosts of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteHost {
    /// All hosts of the environment: the one the platform gives it, and every domain added to it.
    #[default]
    Environment,
    /// A host the platform gives to this service alone, beside the environment's.
    Service,
    /// This domain; it must belong to the tenant when the revision is applied.
    Domain(HostName),
}

/// What a service speaks on a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteProtocol {
    /// HTTP/1.1, WebSocket and server-sent events included.
    #[default]
    Http,
    /// HTTP/2 without TLS.
    H2c,
    /// gRPC, which is HTTP/2 without TLS here.
    Grpc,
    /// HTTP over TLS with a certificate of its own, which is not checked.
    Https,
}

/// A TCP or UDP port of the outside that leads to a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// The port inside the container.
    pub port: u16,
    /// What carries the bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: Transport,
    /// The port wished for outside. Two tenants may wish for the same one, so it is a wish: the platform gives it when it is
    /// free and allowed, and refuses the revision with the reason otherwise. Absent: any free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<u16>,
}
