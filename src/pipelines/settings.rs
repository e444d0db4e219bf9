//! What the operator may say about builds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The operator's part of every build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildSettings {
    /// Builds at the same time; more wait in a visible queue, so that builds never freeze the apps.
    pub concurrent: usize,
    /// Memory of one build, in MiB.
    pub memory_mib: u32,
    /// Thousandths of a processor core of one build.
    pub cpu_millis: u32,
    /// What the steps of one build may write to the disk, in MiB.
    pub disk_mib: u32,
    /// Seconds one build may take.
    pub deadline_seconds: u32,
    /// Bytes of source one upload or push may have, unpacked.
    pub source_bytes: u64,
    /// Base images by language, in place of the built-in table (`python = "python:{v}-slim"`).
    pub base_images: BTreeMap<String, String>,
    /// Build arguments that point package managers to another index (`PIP_INDEX_URL`, …); they never end in an image.
    pub build_args: BTreeMap<String, String>,
    /// A bundle of all CA certificates that builds and apps shall trust (the usual ones and a company's own): tools read it
    /// in place of theirs.
    pub extra_ca_file: Option<PathBuf>,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            concurrent: 1,
            memory_mib: 2048,
            cpu_millis: 1000,
            disk_mib: 10 * 1024,
            deadline_seconds: 1200,
            source_bytes: 2 * 1024 * 1024 * 1024,
            base_images: BTreeMap::new(),
            build_args: BTreeMap::new(),
            extra_ca_file: None,
        }
    }
}
