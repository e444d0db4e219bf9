//! The words of this room.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::clock::Timestamp;
use crate::kernel::id::{CertificateId, TenantId};
use crate::kernel::name::HostName;
use crate::kernel::secret::Secret;

/// Where a certificate comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
#[schema(as = CertificateSource)]
pub enum Source {
    /// This installation's own authority, for names that lead to this machine only.
    Local,
    /// A certificate authority that speaks ACME.
    Acme,
    /// Somebody handed it in.
    Uploaded,
}

/// A certificate as it is kept. Its key is opened only where it is handed to the ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub id: CertificateId,
    /// Whose host it was got for; none: the platform's own.
    pub tenant: Option<TenantId>,
    /// What it was got for. Its names may cover more.
    pub host: HostName,
    pub source: Source,
    /// The names in it, some perhaps `*.name`.
    pub names: Vec<String>,
    pub issuer: String,
    /// SHA-256 of the certificate itself, hexadecimal.
    pub fingerprint: String,
    /// The chain in PEM, own certificate first.
    pub chain_pem: String,
    pub sealed_key: Vec<u8>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// E-mail address of who uploaded it; `wharf` for those got by itself.
    pub added_by: String,
    pub created_at: Timestamp,
}

impl Certificate {
    /// Whether it holds at this moment.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Where its key is sealed for.
    #[must_use]
    pub fn place(id: &CertificateId) -> String {
        format!("certificate/{id}")
    }
}

/// A host that shall answer over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub host: HostName,
    /// Whose; none: the platform's own.
    pub tenant: Option<TenantId>,
    pub policy: HttpsPolicy,
}

/// What is wanted of HTTPS on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpsPolicy {
    pub redirect: Redirect,
    /// Age for `Strict-Transport-Security` in seconds; none: as the platform does, 0: never.
    pub hsts_secs: Option<u32>,
}

/// Whether plain HTTP is sent on to HTTPS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
#[schema(as = HttpsRedirect)]
pub enum Redirect {
    /// When a certificate that everybody trusts is there; not for names of the local authority.
    #[default]
    Auto,
    /// Whenever any valid certificate is there.
    On,
    Off,
}

/// How getting a certificate for a host goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewal {
    /// Failures in a row.
    pub failures: u32,
    /// Why the last attempt failed, one sentence.
    pub last_error: Option<String>,
    pub tried_at: Option<Timestamp>,
    /// Not before this.
    pub try_at: Option<Timestamp>,
    /// The authority itself said when to try again.
    pub held: bool,
    /// Somebody asked for a new one, however fresh the old one is.
    pub asked: bool,
}

/// How a host stands with HTTPS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = CertificateState)]
pub enum State {
    /// A valid certificate serves it.
    Valid,
    /// A valid certificate serves it, but it ends soon and there is no new one.
    Expiring,
    /// The certificate has ended and is served for want of a better one.
    Expired,
    /// The first one is being got.
    #[default]
    Pending,
    /// None could be got; it is tried on.
    Failed,
    /// There is none, and nothing is set up that could get one.
    Missing,
}

impl State {
    /// Whether a person should look.
    #[must_use]
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Expiring | Self::Expired | Self::Failed)
    }
}

/// What is said about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// What stands behind the state and what to do, one sentence; none when all is well.
    pub detail: Option<String>,
    /// The certificate that serves it.
    pub serving: Option<CertificateId>,
    /// When a new one is to be got.
    pub renew_at: Option<Timestamp>,
    /// When getting one is tried again after a failure.
    pub try_at: Option<Timestamp>,
}

/// A certificate with its key, ready for the ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    pub chain_pem: String,
    pub key_pem: Secret<String>,
}

/// Everything the ingress shall know about HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    /// The hosts (`*.name` among them) each certificate answers for, and no others.
    pub certificates: Vec<(Vec<String>, Material)>,
    /// What applies on hosts that have a valid certificate.
    pub hosts: BTreeMap<String, HostRules>,
    /// Answers to a certificate authority over HTTP.
    pub http_answers: Vec<HttpAnswer>,
    /// Certificates that answer a certificate authority in the TLS handshake, by host.
    pub tls_answers: BTreeMap<String, Material>,
}

/// What applies on a host with a valid certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostRules {
    pub redirect: bool,
    pub hsts_secs: u32,
}

/// An answer at `/.well-known/acme-challenge/TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    pub host: String,
    pub token: String,
    pub answer: String,
}
