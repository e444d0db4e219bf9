//! Answers to challenges: made, put where the authority looks for them, and taken back.

use std::time::Duration;

use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, KeyPair};

use super::OrderFailure;
use crate::certificates::handle::{Certificates, lock};
use crate::certificates::model::{HttpAnswer, Material, Wanted};
use crate::certificates::settings::ChallengeKind;
use crate::certificates::task::Publish;
use crate::kernel::name::HostName;
use crate::kernel::process::Command;
use crate::kernel::secret::Secret;

/// Puts the answer where the authority will look for it; returns when it can be seen there.
pub(super) async fn prepare(
    certificates: &Certificates,
    wanted: &Wanted,
    publisher: &dyn Publish,
    kind: ChallengeKind,
    token: &str,
    proof: &KeyAuthorization,
) -> Result<(), OrderFailure> {
    let host = wanted.host.to_string();
    match kind {
        ChallengeKind::Http01 => {
            let answer = HttpAnswer { host, token: token.to_owned(), answer: proof.as_str().to_owned() };
            lock(&certificates.inner.answers).http.push(answer);
        }
        ChallengeKind::TlsAlpn01 => {
            let material = challenge_certificate(&host, proof)?;
            lock(&certificates.inner.answers).tls.insert(host, material);
        }
        ChallengeKind::Dns01 => return present(certificates, &wanted.host, &proof.dns_value()).await,
    }
    let published = certificates.offer(publisher).await;
    published.map_err(|reason| OrderFailure::new(format!("the ingress does not give the answer: {reason}")))
}

/// Takes the answers for a host back; the next table is without them. DNS records are removed in the background.
pub(in crate::certificates) fn take_answers_back(certificates: &Certificates, host: &HostName) {
    let records = {
        let mut answers = lock(&certificates.inner.answers);
        answers.http.retain(|answer| answer.host != host.as_str());
        answers.tls.remove(host.as_str());
        answers.dns.remove(host.as_str()).unwrap_or_default()
    };
    for (name, value) in records {
        let command = hook(certificates, "cleanup", &name, &value);
        tokio::spawn(async move {
            if let Err(error) = command.run().await {
                tracing::warn!(
                    record = name,
                    error = crate::kernel::error::chain(&error),
                    "a DNS record of a challenge stays"
                );
            }
        });
    }
}

/// The certificate of RFC 8737: self-signed, with the hash of the proof in it.
fn challenge_certificate(host: &str, proof: &KeyAuthorization) -> Result<Material, OrderFailure> {
    let made_wrong = |error: rcgen::Error| OrderFailure::new(format!("the answer could not be made: {error}"));
    let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(made_wrong)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof.digest().as_ref())];
    let key = KeyPair::generate().map_err(made_wrong)?;
    let certificate = params.self_signed(&key).map_err(made_wrong)?;
    Ok(Material { chain_pem: certificate.pem(), key_pem: Secret::new(key.serialize_pem()) })
}

/// Has the operator's hook make the TXT record.
async fn present(certificates: &Certificates, host: &HostName, value: &str) -> Result<(), OrderFailure> {
    let host = host.as_str();
    let name = format!("_acme-challenge.{}", host.strip_prefix("*.").unwrap_or(host));
    let records = (name.clone(), value.to_owned());
    lock(&certificates.inner.answers).dns.entry(host.to_owned()).or_default().push(records);
    let output = hook(certificates, "present", &name, value).run().await;
    output.map(drop).map_err(|error| {
        let reason = crate::kernel::error::chain(&error);
        OrderFailure::new(format!("the DNS hook did not make the record {name}: {reason}"))
    })
}

fn hook(certificates: &Certificates, verb: &str, name: &str, value: &str) -> Command {
    let acme = &certificates.inner.parts.acme;
    let (program, args) = acme.dns_hook.split_first().expect("dns-01 is usable only with a hook");
    Command::new(program)
        .args(args.iter().cloned())
        .args([verb, name, value].map(str::to_owned))
        .deadline(Duration::from_secs(u64::from(acme.dns_hook_seconds)))
}
