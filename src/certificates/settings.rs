//! What the operator may set about HTTPS in `wharf.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Let's Encrypt, the authority that is asked unless another is named.
pub const DEFAULT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The section `[https]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpsSettings {
    /// Domains beside `localhost` whose names get certificates of the local authority (`["corp.example"]`).
    pub local_domains: Vec<String>,
    /// Age for `Strict-Transport-Security` on hosts that are served by HTTPS only; 0 (the default): the header is not sent.
    pub hsts_seconds: u32,
}

/// The section `[acme]`: certificates from an authority, got and renewed without anybody's doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeSettings {
    /// Where the authority writes to when something is wrong. Without it (or `external_account`) nothing is asked for.
    pub email: Option<String>,
    /// You have read the authority's terms of service and agree to them. Without this nothing is asked for.
    pub agree_to_terms: bool,
    /// The authority's directory.
    pub directory: String,
    /// How control over a name is shown, in order of preference. A wildcard can be had with `dns-01` only.
    pub challenges: Vec<ChallengeKind>,
    /// A program and its first arguments; called with `present NAME VALUE` and `cleanup NAME VALUE`, it makes and removes
    /// the TXT record NAME with the text VALUE, and returns when the authority can see it.
    pub dns_hook: Vec<String>,
    /// Seconds the hook may take.
    pub dns_hook_seconds: u32,
    /// One certificate for `*.DOMAIN` in place of one for each app below the platform's domain; needs `dns_hook`.
    pub wildcard: bool,
    /// CA certificates (PEM) beside the system's that the authority's own HTTPS is checked with.
    pub extra_ca_file: Option<PathBuf>,
    /// What an authority gives those who have a contract with it.
    pub external_account: Option<ExternalAccount>,
    /// Certificates that may be ordered for one registered domain in a week. Let's Encrypt allows 50.
    pub orders_per_week: u32,
    /// Certificates that may be ordered for one and the same name in a week. Let's Encrypt allows 5.
    pub orders_per_week_and_name: u32,
}

impl Default for AcmeSettings {
    fn default() -> Self {
        Self {
            email: None,
            agree_to_terms: false,
            directory: DEFAULT_DIRECTORY.to_owned(),
            challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01],
            dns_hook: Vec::new(),
            dns_hook_seconds: 300,
            wildcard: false,
            extra_ca_file: None,
            external_account: None,
            orders_per_week: 45,
            orders_per_week_and_name: 5,
        }
    }
}

/// External account binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// The key's id.
    pub kid: String,
    /// A file with the key in base64url, readable by root only.
    pub hmac_key_file: PathBuf,
}

/// How control over a name is shown to the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A text at a known address, over plain HTTP on port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate in the TLS handshake, on port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record in the DNS.
    #[serde(rename = "dns-01")]
    Dns01,
}

impl AcmeSettings {
    /// Why no certificate can be got for this host; `None` when it can be tried.
    #[must_use]
    pub fn obstacle(&self, host: &str) -> Option<String> {
        if !self.agree_to_terms && self.email.is_none() && self.external_account.is_none() {
            return Some(
                "certificates are not got by themselves here: set acme.email and acme.agree_to_terms in wharf.toml, or upload a certificate".to_owned(),
            );
        }
        if !self.agree_to_terms {
            return Some(
                "set acme.agree_to_terms = true in wharf.toml if you agree to the authority's terms".to_owned(),
            );
        }
        if self.usable_challenges(host).next().is_none() {
            return Some(match host.starts_with("*.") {
                true => {
                    "a wildcard needs the challenge dns-01: set acme.dns_hook in wharf.toml, or upload a certificate"
                        .to_owned()
                }
                false => "acme.challenges in wharf.toml names no challenge that can be used".to_owned(),
            });
        }
        None
    }

    /// The challenges that can be used for a host, best first.
    pub fn usable_challenges(&self, host: &str) -> impl Iterator<Item = ChallengeKind> {
        let is_wildcard = host.starts_with("*.");
        self.challenges.iter().copied().filter(move |kind| match kind {
            ChallengeKind::Dns01 => !self.dns_hook.is_empty(),
            ChallengeKind::Http01 | ChallengeKind::TlsAlpn01 => !is_wildcard,
        })
    }
}
