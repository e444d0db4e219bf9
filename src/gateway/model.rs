//! The settings, for an app, for one of its hosts, and for the platform. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What applies to requests for an app or for one of its hosts. What is left out is as on the layer below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewaySettings)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Every request is answered with a page that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Addresses and networks let in (`203.0.113.7`, `10.0.0.0/8`); empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Addresses and networks kept out, also where `allow` names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Visitors have to give a name and a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Every request is sent elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Headers set on requests before the app sees them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<String, String>,
    /// Headers set on answers; an empty value takes the header away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robots: Option<Robots>,
    /// HTML for answers the ingress itself gives, by status (`503`), class (`5xx`), `maintenance` or `*`; `{status}`,
    /// `{title}`, `{detail}` and `{request_id}` are filled in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub error_pages: BTreeMap<String, String>,
    /// Answers that gain by it are compressed, as the visitor's browser likes; on unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<bool>,
    /// Largest request body in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// Seconds from a request to the beginning of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout_seconds: Option<u32>,
    /// A visitor's later requests go to the instance that had the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// Maintenance mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayMaintenance)]
#[serde(default, deny_unknown_fields)]
pub struct Maintenance {
    /// Shown to visitors; empty: a neutral sentence.
    pub message: String,
    /// Sent as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Names and passwords by RFC 7617.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayBasicAuth)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// Shown by browsers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub realm: String,
    /// By name.
    pub users: BTreeMap<String, User>,
}

/// Somebody who is let in. A password is taken, and never told.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayUser)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// Only when it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(write_only)]
    pub password: Option<String>,
    /// What is kept of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub hash: Option<String>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

/// Most requests in a time; what is over is answered with 429.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayRateLimit)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    #[schema(minimum = 1)]
    pub requests: u32,
    /// In so many seconds.
    #[schema(minimum = 1)]
    pub per_seconds: u32,
    /// So many may come at once; left out: as many as `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// `address` (each visitor has a limit), `app` (all together), or `header:NAME` (each value of it).
    #[serde(default = "address")]
    pub by: String,
}

fn address() -> String {
    "address".to_owned()
}

/// Where every request is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayRedirect)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `https://www.example.com`, with a path or without.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "permanent")]
    pub status: u16,
    /// The path and query asked for go behind it.
    #[serde(default = "yes")]
    pub keep_path: bool,
}

fn permanent() -> u16 {
    308
}

fn yes() -> bool {
    true
}

/// What search engines are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Robots {
    /// Production is found; every other environment is not.
    #[default]
    Auto,
    Allow,
    Deny,
}

/// How an instance is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayBalance)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Of two drawn, the one that answers sooner.
    PeakEwma,
    RoundRobin,
    LeastRequests,
    /// Each visitor's address stays with one instance.
    ConsistentHash,
}

/// What the instances speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayProtocol)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http1,
    /// HTTP/2 without TLS, as servers of gRPC do.
    H2c,
}

/// Settings of the whole data plane. What is left out is as the ingress does by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GatewayPlatform)]
#[serde(default, deny_unknown_fields)]
pub struct Platform {
    /// Addresses or networks of proxies in front whose `X-Forwarded-*` is believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Addresses or networks of load balancers whose connections begin with a PROXY header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxy_protocol_from: Vec<String>,
    /// Open connections of all visitors, and of one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_address: Option<u32>,
    /// Seconds an idle connection stays open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive_seconds: Option<u32>,
    /// Seconds a visitor may take to send the head of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_timeout_seconds: Option<u32>,
    /// Requests an HTTP/2 connection may have open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u32>,
    /// Busy share of all CPUs from which less important requests are refused; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed_cpu_percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
    /// What apps have that say nothing else.
    pub defaults: Settings,
}

/// Which requests the access log holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    #[default]
    All,
    /// Those answered with a status from 400 on, and those that were broken off.
    Errors,
    Off,
}

impl Settings {
    /// These settings where they say something, else those of the layer below. Headers and error pages are taken
    /// together by name.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        let list = |own: Vec<String>, other: &[String]| if own.is_empty() { other.to_vec() } else { own };
        let map = |own: BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let mut all = other.clone();
            all.extend(own);
            all
        };
        Self {
            maintenance: self.maintenance.or_else(|| below.maintenance.clone()),
            allow: list(self.allow, &below.allow),
            deny: list(self.deny, &below.deny),
            basic_auth: self.basic_auth.or_else(|| below.basic_auth.clone()),
            rate_limit: self.rate_limit.or_else(|| below.rate_limit.clone()),
            redirect: self.redirect.or_else(|| below.redirect.clone()),
            request_headers: map(self.request_headers, &below.request_headers),
            response_headers: map(self.response_headers, &below.response_headers),
            robots: self.robots.or(below.robots),
            error_pages: map(self.error_pages, &below.error_pages),
            compression: self.compression.or(below.compression),
            max_body_bytes: self.max_body_bytes.or(below.max_body_bytes),
            request_timeout_seconds: self.request_timeout_seconds.or(below.request_timeout_seconds),
            sticky: self.sticky.or(below.sticky),
            balance: self.balance.or(below.balance),
            protocol: self.protocol.or(below.protocol),
        }
    }

    /// Without what says nothing any more: basic auth when its last user was taken away.
    #[must_use]
    pub fn tidy(mut self) -> Self {
        self.basic_auth.take_if(|basic| *basic == BasicAuth::default());
        self
    }

    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As they may be shown: of those who are let in only the names.
    #[must_use]
    pub fn shown(mut self) -> Self {
        for user in self.basic_auth.iter_mut().flat_map(|basic| basic.users.values_mut()) {
            *user = User::default();
        }
        self
    }
}
