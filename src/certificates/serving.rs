//! From what is kept to what the ingress shall serve. Pure but for opening keys.

use std::collections::{BTreeMap, BTreeSet};

use arc_swap::ArcSwap;
use std::sync::Arc;

use super::chain;
use super::error::CertificateError;
use super::model::{Certificate, HttpAnswer, Material, Serving, Wanted};
use super::rules;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::CertificateId;
use crate::kernel::secret::Secret;
use crate::tenancy::vault::Vault;

/// Answers to authorities that are checking who controls a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub http: Vec<HttpAnswer>,
    pub tls: BTreeMap<String, Material>,
    /// DNS records (name and text) the operator's hook has made, by host.
    pub dns: BTreeMap<String, Vec<(String, String)>>,
}

/// Puts together what is served. A certificate whose key cannot be opened is left out and said.
pub(super) fn assemble(
    vault: &Vault,
    wanted: &[Wanted],
    certificates: &[Certificate],
    answers: &Answers,
    default_hsts: u32,
    now: Timestamp,
) -> Serving {
    let mut hosts_of: BTreeMap<&CertificateId, (&Certificate, Vec<String>)> = BTreeMap::new();
    let mut serving =
        Serving { http_answers: answers.http.clone(), tls_answers: answers.tls.clone(), ..Serving::default() };
    for one in wanted {
        let Some(chosen) = rules::choose(&one.host, one.tenant.as_ref(), certificates, now) else { continue };
        hosts_of.entry(&chosen.id).or_insert_with(|| (chosen, Vec::new())).1.push(one.host.to_string());
        if chosen.is_valid(now) {
            let rules = rules::host_rules(one.policy, chosen, default_hsts);
            serving.hosts.insert(one.host.to_string(), rules);
        }
    }
    for (id, (certificate, hosts)) in hosts_of {
        match material(vault, certificate) {
            Ok(material) => serving.certificates.push((hosts, material)),
            Err(error) => {
                tracing::error!(certificate.id = %id, certificate.host = %certificate.host, %error, "a certificate is left out");
                for host in &hosts {
                    serving.hosts.remove(host);
                }
            }
        }
    }
    serving
}

fn material(vault: &Vault, certificate: &Certificate) -> Result<Material, CertificateError> {
    let key = vault.open_value(&Certificate::place(&certificate.id), &certificate.sealed_key)?;
    let key_pem = Secret::new(String::from_utf8_lossy(key.expose()).into_owned());
    chain::is_servable(&certificate.chain_pem, key_pem.expose())?;
    Ok(Material { chain_pem: certificate.chain_pem.clone(), key_pem })
}

/// Hosts whose address begins with `https://`: plain HTTP is sent on to HTTPS there. Clones share the same set.
#[derive(Debug, Clone, Default)]
pub struct SecureHosts(Arc<ArcSwap<BTreeSet<String>>>);

impl SecureHosts {
    /// Whether people are to reach this host over HTTPS.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        self.0.load().contains(host)
    }

    pub(super) fn replace(&self, serving: &Serving) {
        let hosts = serving.hosts.iter().filter(|(_, rules)| rules.redirect).map(|(host, _)| host.clone()).collect();
        self.0.store(Arc::new(hosts));
    }
}
