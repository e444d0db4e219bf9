//! How an image is built from source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_default;

/// The build section of a service. Paths are relative to the root of the source, with forward slashes, and never
/// lead out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder that is sent to the builder; empty for the root of the source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// The Dockerfile, relative to the context. Absent: `Dockerfile` if there is one, else the language is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile, when it stands in the manifest itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The stage to build. Absent: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether to build without the cache.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_cache: bool,
    /// Whether to ask the registry for newer base images.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull: bool,
    /// Secrets of the stack that `RUN --mount=type=secret` may read, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, super::ResourceName>,
    /// Hosts the build may reach by a name of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<super::ExtraHost>,
}
