//! The loop over a real database, a clock that is moved by hand, and an ingress that only remembers what it was given.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rcgen::{CertificateParams, KeyPair};
use tokio_util::sync::CancellationToken;

use crate::certificates::model::{Serving, Source, State};
use crate::certificates::{AcmeSettings, CertificateError, Certificates, HttpsSettings, Parts, Publish};
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::name::HostName;
use crate::kernel::random::Random;
use crate::kernel::secret::Secret;
use crate::store::Store;
use crate::tenancy::vault::Vault;

const DAY: i64 = 24 * 3600 * 1000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[derive(Default)]
pub(super) struct Ingress(Mutex<Arc<Serving>>);

impl Ingress {
    pub(super) fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.0.lock().unwrap())
    }

    fn chain_of(&self, host: &str) -> Option<String> {
        let serving = self.serving();
        let found = serving.certificates.iter().find(|(hosts, _)| hosts.iter().any(|h| h == host));
        found.map(|(_, material)| material.chain_pem.clone())
    }
}

impl Publish for Ingress {
    fn publish(&self, serving: Arc<Serving>) -> BoxFuture<'_, Result<(), String>> {
        *self.0.lock().unwrap() = serving;
        Box::pin(async { Ok(()) })
    }
}

pub(super) async fn open(folder: &Path, domain: &str, clock: &Clock, acme: AcmeSettings) -> Certificates {
    let random = Random::seeded(3);
    let vault = Vault::open(&folder.join("master.key"), true, &random).unwrap();
    let store = Store::open(&folder.join("wharf.db")).await.unwrap();
    let (clock, data, domain) = (clock.clone(), folder.to_owned(), domain.to_owned());
    let https = HttpsSettings::default();
    Certificates::open(Parts { store, vault, clock, random, data, domain, https, acme }).unwrap()
}

/// Waits for passes until this is so.
pub(super) async fn until(certificates: &Certificates, what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        loop {
            let changed = certificates.changed();
            if is_so() {
                return;
            }
            certificates.nudge();
            changed.await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(120), waiting).await.is_err() {
        let stands: Vec<_> = certificates.every().into_iter().map(|view| (view.host, view.status)).collect();
        panic!("never: {what}; it stands like this: {stands:#?}");
    }
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn upload(name: &str) -> (String, Secret<String>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2027, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 4, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), Secret::new(key.serialize_pem()))
}

#[tokio::test]
async fn the_local_authority_serves_localhost_and_renews_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fake(NOW);
    let certificates = open(dir.path(), "localhost", &clock, AcmeSettings::default()).await;
    let (ingress, stop) = (Arc::new(Ingress::default()), CancellationToken::new());
    let running = tokio::spawn(certificates.clone().run(ingress.clone(), stop.clone()));
    until(&certificates, "the portal's certificate", || ingress.chain_of("wharf.localhost").is_some()).await;
    assert!(ingress.chain_of("*.localhost").is_some());
    assert!(!certificates.secure_hosts().contains("wharf.localhost"), "nobody is sent to what browsers do not trust");
    let view = certificates.view(&host("wharf.localhost")).unwrap();
    assert_eq!((view.status.state, view.certificate.unwrap().source), (State::Valid, Source::Local));
    assert_eq!(certificates.summary().warnings, Vec::<String>::new());

    let first = ingress.chain_of("wharf.localhost");
    clock.advance_ms(300 * DAY);
    until(&certificates, "a new one", || ingress.chain_of("wharf.localhost") != first).await;
    stop.cancel();
    running.await.unwrap();

    // The same authority after a restart; its key lies sealed.
    let pem = certificates.local_ca_pem().to_owned();
    let again = open(dir.path(), "localhost", &clock, AcmeSettings::default()).await;
    assert_eq!(again.local_ca_pem(), pem);
    let key = std::fs::read(dir.path().join("certs/local-ca.key")).unwrap();
    assert!(!String::from_utf8_lossy(&key).contains("PRIVATE KEY"));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(dir.path().join("certs/local-ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn an_uploaded_certificate_serves_at_once_and_makes_the_host_secure() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fake(NOW);
    let certificates = open(dir.path(), "example.com", &clock, AcmeSettings::default()).await;
    let (ingress, stop) = (Arc::new(Ingress::default()), CancellationToken::new());
    let running = tokio::spawn(certificates.clone().run(ingress.clone(), stop.clone()));
    let portal = host("wharf.example.com");
    until(&certificates, "a status", || certificates.view(&portal).is_some()).await;
    let view = certificates.view(&portal).unwrap();
    assert_eq!(view.status.state, State::Missing);
    assert!(view.status.detail.unwrap().contains("acme.email"));

    let (chain, key) = upload("wharf.example.com");
    let wrong = certificates.add(None, &host("www.example.com"), &chain, &key, "ops@example.com").await;
    assert!(matches!(wrong, Err(CertificateError::Refused { field: "certificate", .. })), "{wrong:?}");
    certificates.add(None, &portal, &chain, &key, "ops@example.com").await.unwrap();
    until(&certificates, "it serves", || ingress.chain_of("wharf.example.com").as_ref() == Some(&chain)).await;
    until(&certificates, "people are sent there", || certificates.secure_hosts().contains("wharf.example.com")).await;

    // It ends soon: somebody is told. It has ended: it serves on, and nobody is sent there any more.
    clock.advance_ms(65 * DAY);
    until(&certificates, "a warning", || !certificates.summary().warnings.is_empty()).await;
    assert_eq!(certificates.view(&portal).unwrap().status.state, State::Expiring);
    clock.advance_ms(30 * DAY);
    until(&certificates, "no redirect", || !certificates.secure_hosts().contains("wharf.example.com")).await;
    assert_eq!(certificates.view(&portal).unwrap().status.state, State::Expired);
    assert_eq!(ingress.chain_of("wharf.example.com"), Some(chain));

    certificates.remove(None, &portal).await.unwrap();
    until(&certificates, "it is gone", || ingress.chain_of("wharf.example.com").is_none()).await;
    assert!(matches!(certificates.remove(None, &portal).await, Err(CertificateError::NotFound(_))));
    stop.cancel();
    running.await.unwrap();
}
