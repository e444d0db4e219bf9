//! Data and files inside containers: volumes, memory, configs, secrets; and how data is saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ResourceName, Schedule, is_default};

/// A volume of the environment. It is made when first needed and outlives revisions; only a destroy that says so removes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// MiB it may hold. Absent: the tenant's quota decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<u32>,
    /// The tenant's own labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A volume inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Which of the stack's volumes.
    pub volume: ResourceName,
    /// Where: an absolute path without `..`.
    pub target: String,
    /// Whether it cannot be written to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Only this folder of the volume: a relative path without `..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
    /// Whether an empty volume is left empty, instead of filled with what the image has there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_copy: bool,
}

/// A file system in memory; it counts towards the memory limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// Where: an absolute path without `..`.
    pub target: String,
    /// MiB it may hold. Absent: the memory limit decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<u32>,
    /// Its permissions. Absent: 1777.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// Permission bits, written as four octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileMode(u16);

impl FileMode {
    /// These bits, when there are no others.
    #[must_use]
    pub fn new(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|b| *b <= 0o7777).map(Self)
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl TryFrom<String> for FileMode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bits = u32::from_str_radix(&text, 8).ok().and_then(Self::new);
        bits.ok_or_else(|| format!("`{text}` is not a file mode: use octal digits up to 7777"))
    }
}

impl From<FileMode> for String {
    fn from(mode: FileMode) -> String {
        format!("{:04o}", mode.0)
    }
}

/// A file with plain content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Its text. It is part of the revision, which pins it.
    pub content: String,
}

/// A secret of the environment, by name. The platform keeps its values, encrypted and by version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Its name in the environment: a variable of its configuration, or a secret.
    pub name: ResourceName,
    /// Which version. Absent until the revision is made, which pins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// What a file inside a container consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSource {
    /// A config of the stack.
    Config(ResourceName),
    /// A secret of the stack.
    Secret(ResourceName),
}

/// A config or a secret as a file inside a container. Files are read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMount {
    /// What is in it.
    pub source: FileSource,
    /// Where: an absolute path without `..`.
    pub target: String,
    /// Its owner, by number. Absent: root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its group, by number. Absent: root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Its permissions. Absent: 0444.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// How the data of a service is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// When.
    pub schedule: Schedule,
    /// How many of the newest are kept.
    pub keep: u32,
    /// A command inside the service that writes a dump to its standard output. Absent: the files of its volumes are saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Which of its volumes; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<ResourceName>,
}
