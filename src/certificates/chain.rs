//! Looks at a certificate chain and its key before they are kept. Pure; each fault is one sentence that says what to do.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::error::CertificateError;
use super::names::covers;
use crate::kernel::clock::Timestamp;

/// Certificates one chain may hold; real ones have two or three.
const MOST_CERTIFICATES: usize = 10;
/// Shorter RSA keys are refused by browsers.
const LEAST_RSA_BITS: usize = 2048;

/// What a chain says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub names: Vec<String>,
    pub issuer: String,
    pub fingerprint: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Good to know, but no reason to refuse.
    pub note: Option<String>,
}

type Refusal = CertificateError;

fn chain_fault(sentence: impl Into<String>) -> Refusal {
    CertificateError::refused("certificate", sentence)
}

fn key_fault(sentence: impl Into<String>) -> Refusal {
    CertificateError::refused("key", sentence)
}

/// Checks that chain and key belong together, stand for the host, hold now and are in order.
///
/// # Errors
/// The first fault found.
pub fn check(chain_pem: &str, key_pem: &str, host: &str, now: Timestamp) -> Result<Facts, Refusal> {
    let chain = read_chain(chain_pem)?;
    let certificates = parse(&chain)?;
    let key = read_key(key_pem)?;
    match_key(&chain, &certificates, &key)?;
    let facts = facts_of(&chain[0], &certificates)?;
    if !facts.names.iter().any(|name| covers(name, host)) {
        let names = if facts.names.is_empty() { "no host name at all".to_owned() } else { facts.names.join(", ") };
        return Err(chain_fault(format!("the certificate stands for {names}, but not for {host}")));
    }
    in_force(&facts, now)?;
    in_order(&certificates)?;
    Ok(facts)
}

/// Reads what a chain says about itself, without judging it.
///
/// # Errors
/// When it is no chain of certificates.
pub fn describe(chain_pem: &str) -> Result<Facts, Refusal> {
    let chain = read_chain(chain_pem)?;
    facts_of(&chain[0], &parse(&chain)?)
}

/// Whether the ingress will take it: it takes a table whole or not at all, so one bad certificate would stop all.
///
/// # Errors
/// When chain and key are not readable or do not belong together.
pub fn is_servable(chain_pem: &str, key_pem: &str) -> Result<(), Refusal> {
    let servable = CertifiedKey::from_der(read_chain(chain_pem)?, read_key(key_pem)?, &aws_lc_rs::default_provider());
    servable.map(drop).map_err(|error| chain_fault(format!("it cannot be served: {error}")))
}

fn read_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|e| chain_fault(format!("the certificate file is damaged: {e}")))?;
    if chain.is_empty() {
        return Err(chain_fault(
            "there is no certificate in it; a PEM file has lines that say -----BEGIN CERTIFICATE-----",
        ));
    }
    if chain.len() > MOST_CERTIFICATES {
        return Err(chain_fault(format!(
            "it holds {} certificates; a chain has at most {MOST_CERTIFICATES}",
            chain.len()
        )));
    }
    Ok(chain)
}

fn parse<'a>(chain: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, Refusal> {
    let one = |(index, der): (usize, &'a CertificateDer<'static>)| {
        let parsed = X509Certificate::from_der(der);
        let damaged = |_| chain_fault(format!("certificate {} of the file cannot be read; it is damaged", index + 1));
        parsed.map(|(_, certificate)| certificate).map_err(damaged)
    };
    chain.iter().enumerate().map(one).collect()
}

fn read_key(pem: &str) -> Result<PrivateKeyDer<'static>, Refusal> {
    if pem.contains("ENCRYPTED") {
        return Err(key_fault(
            "the key is protected by a passphrase; write it without one (openssl pkey -in KEY -out NEW) and hand that in",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        key_fault("there is no private key in it; a PEM file has a line that says -----BEGIN PRIVATE KEY-----")
    })
}

/// The key must fit the first certificate; when it fits another one, the order is wrong.
fn match_key(
    chain: &[CertificateDer<'static>],
    certificates: &[X509Certificate<'_>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), Refusal> {
    let fits =
        |from: usize| CertifiedKey::from_der(chain[from..].to_vec(), key.clone_key(), &aws_lc_rs::default_provider());
    match fits(0) {
        Ok(_) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(match (1..chain.len()).find(|index| fits(*index).is_ok()) {
                Some(index) => chain_fault(format!(
                    "the key belongs to certificate {} of the file; the host's own certificate must come first, then the ones that signed it",
                    index + 1
                )),
                None => key_fault("the key does not belong to this certificate; hand in the key it was requested with"),
            });
        }
        Err(error) => return Err(key_fault(format!("the key cannot be used: {error}"))),
    }
    match certificates[0].public_key().parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() < LEAST_RSA_BITS => {
            Err(key_fault(format!("the RSA key has {} bits; browsers want at least {LEAST_RSA_BITS}", rsa.key_size())))
        }
        _ => Ok(()),
    }
}

fn facts_of(der: &CertificateDer<'_>, certificates: &[X509Certificate<'_>]) -> Result<Facts, Refusal> {
    let own = &certificates[0];
    let alternative = own.subject_alternative_name();
    let alternative = alternative.map_err(|_| chain_fault("the names in the certificate cannot be read"))?;
    let mut names = Vec::new();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            names.push(name.to_ascii_lowercase());
        }
    }
    let is_alone = certificates.len() == 1 && own.issuer() != own.subject();
    let note = is_alone.then(|| {
        "the file holds only the host's own certificate; most clients also need the ones between it and the authority's root".to_owned()
    });
    let seconds = |at: x509_parser::time::ASN1Time| Timestamp(at.timestamp().saturating_mul(1000));
    Ok(Facts {
        names,
        issuer: issuer_name(own),
        fingerprint: hex::encode(Sha256::digest(der)),
        not_before: seconds(own.validity().not_before),
        not_after: seconds(own.validity().not_after),
        note,
    })
}

/// The authority's name as people know it.
fn issuer_name(certificate: &X509Certificate<'_>) -> String {
    let issuer = certificate.issuer();
    let common = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
    let organisation = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
    match (organisation, common) {
        (Some(organisation), Some(common)) => format!("{organisation} {common}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => issuer.to_string(),
    }
}

fn in_force(facts: &Facts, now: Timestamp) -> Result<(), Refusal> {
    if now >= facts.not_after {
        return Err(chain_fault(format!("the certificate ended on {}; get a new one", facts.not_after.rfc3339())));
    }
    if now < facts.not_before {
        return Err(chain_fault(format!(
            "the certificate holds only from {} on; check this machine's clock, or wait",
            facts.not_before.rfc3339()
        )));
    }
    Ok(())
}

/// Each certificate is signed by the next one.
fn in_order(certificates: &[X509Certificate<'_>]) -> Result<(), Refusal> {
    for (index, pair) in certificates.windows(2).enumerate() {
        let (number, next) = (index + 1, index + 2);
        let is_signed =
            pair[0].issuer() == pair[1].subject() && pair[0].verify_signature(Some(pair[1].public_key())).is_ok();
        if !is_signed {
            return Err(chain_fault(format!(
                "certificate {next} of the file did not sign certificate {number}; the order is: the host's own, then the one that signed it, and so on"
            )));
        }
    }
    Ok(())
}
