//! What other rooms hold: look, upload, remove, renew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::chain;
use super::error::CertificateError;
use super::local_ca::LocalCa;
use super::model::{Certificate, HttpsPolicy, Serving, Source, State, Status};
use super::serving::{Answers, SecureHosts};
use super::settings::{AcmeSettings, HttpsSettings};
use super::{names, rules, store};
use crate::kernel::clock::Clock;
use crate::kernel::id::{CertificateId, TenantId};
use crate::kernel::name::HostName;
use crate::kernel::random::Random;
use crate::kernel::secret::Secret;
use crate::store::{Store, StoreError};
use crate::tenancy::access::Tenant;
use crate::tenancy::vault::Vault;

/// What this room works with.
#[derive(Debug, Clone)]
pub struct Parts {
    pub store: Store,
    pub vault: Vault,
    pub clock: Clock,
    pub random: Random,
    /// The data directory, where the local authority lies.
    pub data: PathBuf,
    /// The platform's domain.
    pub domain: String,
    pub https: HttpsSettings,
    pub acme: AcmeSettings,
}

/// The certificates of this installation. Clones share everything; [`Certificates::run`] must be running for anything to
/// be got or served.
#[derive(Clone)]
pub struct Certificates {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub parts: Parts,
    pub ca: LocalCa,
    pub answers: Mutex<Answers>,
    /// What the last pass found.
    pub picture: Mutex<Arc<Picture>>,
    pub secure: SecureHosts,
    pub wake: Notify,
    /// Counts passes.
    pub passed: watch::Sender<u64>,
    /// One table at a time.
    pub publishing: tokio::sync::Mutex<Option<Arc<Serving>>>,
}

/// What one pass found.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub wanted: Vec<super::model::Wanted>,
    pub certificates: Vec<Certificate>,
    pub statuses: BTreeMap<HostName, Status>,
}

/// One host and its certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    pub host: HostName,
    /// Whose; none: the platform's own.
    pub tenant: Option<TenantId>,
    pub status: Status,
    pub policy: HttpsPolicy,
    /// Plain HTTP is sent on to HTTPS.
    pub redirects: bool,
    /// The certificate that serves it.
    pub certificate: Option<Certificate>,
}

/// What operators need to know at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Hosts with a valid certificate, and all.
    pub valid: u32,
    pub hosts: u32,
    /// One sentence for each host somebody should look at.
    pub warnings: Vec<String>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Certificates {
    /// Over these parts; makes the local authority when there is none.
    ///
    /// # Errors
    /// When the local authority's files cannot be used.
    pub fn open(parts: Parts) -> Result<Self, CertificateError> {
        let ca = LocalCa::open(&parts.data, &parts.vault, &parts.random.token()[..8], parts.clock.now())?;
        let inner = Inner {
            parts,
            ca,
            answers: Mutex::default(),
            picture: Mutex::default(),
            secure: SecureHosts::default(),
            wake: Notify::new(),
            passed: watch::Sender::new(0),
            publishing: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Something may have changed: look soon.
    pub fn nudge(&self) {
        self.inner.wake.notify_one();
    }

    /// Hosts people reach over HTTPS.
    #[must_use]
    pub fn secure_hosts(&self) -> SecureHosts {
        self.inner.secure.clone()
    }

    /// The certificate of the local authority, for whoever wants to trust it.
    #[must_use]
    pub fn local_ca_pem(&self) -> &str {
        self.inner.ca.pem()
    }

    /// Ready when a pass ends after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut passed = self.inner.passed.subscribe();
        async move {
            if passed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How a host stands, as of the last pass; `None` while it is not known.
    #[must_use]
    pub fn view(&self, host: &HostName) -> Option<HostView> {
        let picture = Arc::clone(&lock(&self.inner.picture));
        let wanted = picture.wanted.iter().find(|w| w.host == *host)?;
        let status = picture.statuses.get(host)?.clone();
        let certificate = picture.certificates.iter().find(|c| Some(&c.id) == status.serving.as_ref()).cloned();
        Some(HostView {
            host: host.clone(),
            tenant: wanted.tenant.clone(),
            policy: wanted.policy,
            redirects: self.inner.secure.contains(host.as_str()),
            status,
            certificate,
        })
    }

    /// All hosts of the installation, the platform's own first.
    #[must_use]
    pub fn every(&self) -> Vec<HostView> {
        let picture = Arc::clone(&lock(&self.inner.picture));
        let mut all: Vec<HostView> = picture.wanted.iter().filter_map(|w| self.view(&w.host)).collect();
        all.sort_by(|a, b| (a.tenant.is_some(), &a.host).cmp(&(b.tenant.is_some(), &b.host)));
        all
    }

    /// Whether somebody has to do something.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for (host, status) in &lock(&self.inner.picture).statuses {
            summary.hosts += 1;
            summary.valid += u32::from(matches!(status.state, State::Valid | State::Expiring));
            if status.state.is_alarm() {
                let detail = status.detail.as_deref().unwrap_or("the certificate has ended");
                summary.warnings.push(format!("{host}: {detail}"));
            }
        }
        summary
    }

    /// Takes a certificate for a host of this tenant (none: of the platform) after checking it; it serves at once.
    /// Gives the certificate and, when there is one, a note for whoever uploaded it.
    ///
    /// # Errors
    /// When chain and key cannot be used for this host; the sentence says why.
    pub async fn add(
        &self,
        tenant: Option<&Tenant>,
        host: &HostName,
        chain_pem: &str,
        key_pem: &Secret<String>,
        actor: &str,
    ) -> Result<(Certificate, Option<String>), CertificateError> {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        let facts = chain::check(chain_pem, key_pem.expose(), host.as_str(), now)?;
        let note = facts.note.clone();
        let tenant = tenant.map(|t| t.id().clone());
        let certificate = self.keep(tenant, host, Source::Uploaded, facts, chain_pem, key_pem, actor).await?;
        self.nudge();
        Ok((certificate, note))
    }

    /// Stores a certificate and forgets earlier failures of its host.
    #[expect(clippy::too_many_arguments, reason = "each is one column of the row")]
    pub(super) async fn keep(
        &self,
        tenant: Option<TenantId>,
        host: &HostName,
        source: Source,
        facts: chain::Facts,
        chain_pem: &str,
        key_pem: &Secret<String>,
        actor: &str,
    ) -> Result<Certificate, CertificateError> {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        let id = CertificateId::new(now, &parts.random);
        let sealed_key = parts.vault.seal(&Certificate::place(&id), key_pem.expose().as_bytes());
        let certificate = Certificate {
            id,
            tenant,
            host: host.clone(),
            source,
            names: facts.names,
            issuer: facts.issuer,
            fingerprint: facts.fingerprint,
            chain_pem: chain_pem.to_owned(),
            sealed_key,
            not_before: facts.not_before,
            not_after: facts.not_after,
            added_by: actor.to_owned(),
            created_at: now,
        };
        let mut tx = parts.store.write().await?;
        store::insert(&mut tx, &certificate).await?;
        store::clear_renewal(&mut tx, host).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(certificate)
    }

    /// Removes what was uploaded for a host of this tenant (none: of the platform).
    ///
    /// # Errors
    /// When nothing was uploaded for it.
    pub async fn remove(&self, tenant: Option<&Tenant>, host: &HostName) -> Result<(), CertificateError> {
        let mut tx = self.inner.parts.store.write().await?;
        let removed = match tenant {
            Some(tenant) => store::remove_uploaded(&mut tx, tenant, host).await?,
            None => store::remove_uploaded_platform(&mut tx, host).await?,
        };
        if removed == 0 {
            return Err(CertificateError::NotFound(format!(
                "no certificate was uploaded for {host}; those Wharf got itself are replaced when they are due"
            )));
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.nudge();
        Ok(())
    }

    /// Asks for a new certificate now, whatever is left of the old one; the old one serves until it is there.
    ///
    /// # Errors
    /// When none can be got by itself, or the authority said when to come back.
    pub async fn renew(&self, host: &HostName) -> Result<(), CertificateError> {
        let parts = &self.inner.parts;
        let view = self.view(host).ok_or_else(|| CertificateError::NotFound(format!("{host} leads nowhere here")))?;
        if view.certificate.as_ref().is_some_and(|c| c.source == Source::Uploaded && c.is_valid(parts.clock.now())) {
            return Err(CertificateError::Conflict(format!(
                "the certificate of {host} was uploaded; upload the next one, or remove it to let Wharf get one itself"
            )));
        }
        if !names::is_local(host.as_str(), &parts.https.local_domains)
            && let Some(obstacle) = parts.acme.obstacle(host.as_str())
        {
            return Err(CertificateError::Conflict(obstacle));
        }
        let mut tx = parts.store.write().await?;
        store::ask(&mut tx, host).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.nudge();
        Ok(())
    }

    /// Sets what is wanted of HTTPS on a domain of an app.
    ///
    /// # Errors
    /// When the database cannot be written, or there is no such domain.
    pub async fn set_policy(&self, host: &HostName, policy: HttpsPolicy) -> Result<(), CertificateError> {
        let mut tx = self.inner.parts.store.write().await?;
        store::put_policy(&mut tx, host, policy).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.nudge();
        Ok(())
    }

    /// When the certificate that serves a host is to be replaced, for those Wharf gets itself.
    #[must_use]
    pub fn renew_at(certificate: &Certificate) -> Option<crate::kernel::clock::Timestamp> {
        (certificate.source != Source::Uploaded).then(|| rules::renew_at(certificate))
    }
}
