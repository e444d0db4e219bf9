//! `wharf.toml` in the data directory: what the operator may set. Everything has a default; unknown keys are errors.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::certificates::{AcmeSettings, HttpsSettings};
use crate::pipelines::BuildSettings;

/// The operator's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformSettings {
    /// How apps are built.
    pub builds: BuildSettings,
    /// HTTPS in general.
    pub https: HttpsSettings,
    /// Certificates from an authority.
    pub acme: AcmeSettings,
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
    let hook = settings.acme.dns_hook.first().map(PathBuf::from);
    let files = [
        ("builds.extra_ca_file", settings.builds.extra_ca_file.as_ref()),
        ("acme.extra_ca_file", settings.acme.extra_ca_file.as_ref()),
        ("acme.external_account.hmac_key_file", settings.acme.external_account.as_ref().map(|a| &a.hmac_key_file)),
        ("acme.dns_hook", hook.as_ref()),
    ];
    for (name, file) in files {
        if let Some(file) = file.filter(|file| !file.is_file()) {
            anyhow::bail!("{}: {name} names {}, which is not a file", path.display(), file.display());
        }
    }
    if settings.acme.wildcard && settings.acme.dns_hook.is_empty() {
        anyhow::bail!("{}: acme.wildcard needs acme.dns_hook, the program that makes DNS records", path.display());
    }
    Ok(settings)
}
