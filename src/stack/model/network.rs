//! Networks of a manifest: groups of services inside the environment's own network.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::is_default;

/// A group of services that may talk to each other. It is no bridge of its own: the environment has one network, and
/// who may reach whom inside it follows from these groups ([`super::Stack::may_talk`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Whether services that are in internal networks only are kept from reaching the outside.
    #[serde(default, skip_serializing_if = "is_default")]
    pub internal: bool,
}

/// A service's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Further names it has there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
}
