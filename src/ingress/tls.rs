//! TLS at the door: certificates by server name, swapped live with the route table.
//!
//! One configuration for the whole process; only the certificates behind its resolver change, so session tickets stay
//! valid over a swap. A name without a certificate of its own gets the wildcard's; a name nobody has a certificate
//! for gets the `*` certificate if there is one, else the handshake is refused.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::crypto;
use super::error::IngressError;
use super::snapshot::{Certificate, Snapshot};

/// What a certificate authority asks for when it checks who controls a name (RFC 8737).
const ACME: &[u8] = b"acme-tls/1";
/// What is spoken behind TLS, best first.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", ACME];

/// The certificates of one table.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Keyed by the part after `*.`; one label deep, as browsers see it.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    any: Option<Arc<CertifiedKey>>,
    /// Answers to a certificate authority (`acme-tls/1`), by name.
    challenges: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the certificates of a snapshot; the error names the first that cannot be used.
    pub(crate) fn load(snapshot: &Snapshot) -> Result<Self, String> {
        let mut all = Self::default();
        let read = |certificate| {
            certified_key(certificate).map_err(|reason| format!("certificate for {:?}: {reason}", certificate.names))
        };
        for certificate in &snapshot.tls_challenges {
            let key = challenge_key(certificate)
                .map_err(|reason| format!("certificate for {:?}: {reason}", certificate.names))?;
            let names = certificate.names.iter().map(|name| (name.to_ascii_lowercase(), Arc::clone(&key)));
            all.challenges.extend(names);
        }
        for certificate in &snapshot.certificates {
            let key = read(certificate)?;
            for name in &certificate.names {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(suffix) => all.wildcard.insert(suffix.to_owned(), Arc::clone(&key)),
                    None if name == "*" => all.any.replace(Arc::clone(&key)),
                    None => all.exact.insert(name, Arc::clone(&key)),
                };
            }
        }
        Ok(all)
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let found = name.and_then(|name| {
            let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
            self.exact.get(name).or_else(parent)
        });
        found.or(self.any.as_ref()).cloned()
    }
}

fn certified_key(certificate: &Certificate) -> Result<Arc<CertifiedKey>, String> {
    let (chain, key) = read_pem(certificate)?;
    let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| error.to_string())?;
    Ok(Arc::new(key))
}

/// The same without a look into the certificate: what answers an authority has an extension no verifier knows.
fn challenge_key(certificate: &Certificate) -> Result<Arc<CertifiedKey>, String> {
    let (chain, key) = read_pem(certificate)?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

type Pem = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read_pem(certificate: &Certificate) -> Result<Pem, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("the chain is not PEM: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())
        .map_err(|error| format!("the key is not PEM: {error}"))?;
    Ok((chain, key))
}

/// Answers handshakes from the certificates in use.
#[derive(Debug, Default)]
pub(crate) struct Resolver(ArcSwap<Certificates>);

impl Resolver {
    /// Uses these certificates from the next handshake on.
    pub(crate) fn replace(&self, certificates: Certificates) {
        self.0.store(Arc::new(certificates));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.load();
        if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME)) {
            return certificates.challenges.get(hello.server_name()?).cloned();
        }
        certificates.find(hello.server_name())
    }
}

/// The configuration of all TLS listeners: TLS 1.2 and 1.3, tickets, HTTP/2 and HTTP/1.1 by ALPN.
pub(crate) fn server_config(resolver: Arc<Resolver>) -> Result<Arc<ServerConfig>, IngressError> {
    let failed = |error: rustls::Error| IngressError::Tls { reason: error.to_string() };
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
    config.send_tls13_tickets = crypto::TICKETS;
    Ok(Arc::new(config))
}

/// The same for connections that carry no HTTP: no protocol is offered.
pub(crate) fn without_protocols(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols.clear();
    Arc::new(config)
}
