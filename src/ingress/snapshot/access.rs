//! Who may use a route.

use serde::{Deserialize, Serialize};

use super::UpstreamAddress;

/// Conditions on the client, checked in this order: addresses, basic auth, forward auth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Addresses and networks let in; empty = all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Addresses and networks kept out, also where `allow` names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardAuth>,
}

impl Access {
    /// Everybody may.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// Name and password by RFC 7617.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    /// Shown by browsers; empty takes `restricted`.
    pub realm: String,
    pub users: Vec<BasicUser>,
    /// The upstream gets the `Authorization` header too.
    pub pass_on: bool,
}

/// One user.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicUser {
    pub name: String,
    /// Argon2 hash in PHC form (`$argon2id$...`). Never shown: the control socket leaves it out of what it answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

impl std::fmt::Debug for BasicUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A service that is asked about every request. It gets a GET with the client's headers, `X-Forwarded-Method`,
/// `-Proto`, `-Host`, `-Uri` and `-For`. A 2xx lets the request pass; any other answer goes to the client as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardAuth {
    pub address: UpstreamAddress,
    /// Path asked for.
    #[serde(default = "root")]
    pub path: String,
    /// `Host` sent; empty takes the address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Headers of its answer that the request carries on to the upstream; the client's own are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_headers: Vec<String>,
    #[serde(default = "five_seconds")]
    pub timeout_ms: u64,
}

fn root() -> String {
    "/".into()
}

fn five_seconds() -> u64 {
    5_000
}
