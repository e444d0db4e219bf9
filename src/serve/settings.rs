//! `wharf.toml` in the data directory: what the operator may set. Everything has a default; unknown keys are errors.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::pipelines::BuildSettings;

/// The operator's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformSettings {
    /// How apps are built.
    pub builds: BuildSettings,
}

/// Reads the file, if there is one.
pub(super) fn load(data: &Path) -> anyhow::Result<PlatformSettings> {
    let path = data.join("wharf.toml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(PlatformSettings::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let settings: PlatformSettings =
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
    if let Some(file) = &settings.builds.extra_ca_file
        && !file.is_file()
    {
        anyhow::bail!("{}: builds.extra_ca_file names {}, which is not a file", path.display(), file.display());
    }
    Ok(settings)
}
