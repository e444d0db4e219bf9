//! Certificates of an app's domains, and of the platform itself.

use super::{AppError, AppPath, Apps, Caller, CertificateUpload, CertificateUploaded, CertificateView, HttpsChange};
use crate::certificates::model::{Certificate, HttpsPolicy, Source, State, Status};
use crate::certificates::{CertificateError, Certificates, HostView};
use crate::kernel::name::HostName;
use crate::kernel::secret::Secret;
use crate::tenancy::access::Principal;
use crate::tenancy::store::domains;

/// What is said of a host the loop has not looked at yet.
const NOT_YET: &str = "it is looked at in a moment";

impl From<CertificateError> for AppError {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Refused { field, sentence } => Self::invalid(field, sentence),
            CertificateError::NotFound(text) => Self::NotFound(text),
            CertificateError::Conflict(text) => Self::Conflict(text),
            other => Self::internal("the certificates could not be used", other),
        }
    }
}

impl Apps {
    pub(super) fn certificates_handle(&self) -> &Certificates {
        &self.inner.live.certificates
    }

    /// How each domain of an app stands with HTTPS.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn certificates(&self, who: &Caller, app: &AppPath) -> Result<Vec<CertificateView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let hosts = domains::list(self.store(), &who.tenant, &environment.id).await?;
        Ok(hosts.iter().map(|domain| self.certificate_view(&domain.host)).collect())
    }

    /// How one domain of an app stands, with the chain that serves it.
    ///
    /// # Errors
    /// When there is no such app, or it has no such domain.
    pub async fn certificate(&self, who: &Caller, app: &AppPath, host: &HostName) -> Result<CertificateView, AppError> {
        self.own_domain(who, app, host).await?;
        let chain = self.certificates_handle().view(host).and_then(|view| view.certificate).map(|c| c.chain_pem);
        Ok(CertificateView { chain, ..self.certificate_view(host) })
    }

    /// Takes a certificate for a domain of an app; it serves at once.
    ///
    /// # Errors
    /// When there is no such domain, or chain and key cannot be used; the sentence says why.
    pub async fn add_certificate(
        &self,
        who: &Caller,
        app: &AppPath,
        host: &HostName,
        upload: CertificateUpload,
    ) -> Result<CertificateUploaded, AppError> {
        self.own_domain(who, app, host).await?;
        let key = Secret::new(upload.key);
        let handle = self.certificates_handle();
        let added = handle.add(Some(&who.tenant), host, &upload.certificate, &key, &who.actor).await?;
        Ok(uploaded(host, added))
    }

    /// Removes what was uploaded for a domain of an app; where it can, Wharf gets one itself.
    ///
    /// # Errors
    /// When nothing was uploaded for it.
    pub async fn remove_certificate(&self, who: &Caller, app: &AppPath, host: &HostName) -> Result<(), AppError> {
        self.own_domain(who, app, host).await?;
        Ok(self.certificates_handle().remove(Some(&who.tenant), host).await?)
    }

    /// Has a new certificate got for a domain of an app now; the old one serves until it is there.
    ///
    /// # Errors
    /// When none can be got by itself.
    pub async fn renew_certificate(
        &self,
        who: &Caller,
        app: &AppPath,
        host: &HostName,
    ) -> Result<CertificateView, AppError> {
        self.own_domain(who, app, host).await?;
        self.certificates_handle().renew(host).await?;
        Ok(self.certificate_view(host))
    }

    /// Sets what is wanted of HTTPS on a domain of an app.
    ///
    /// # Errors
    /// When there is no such domain.
    pub async fn change_https(
        &self,
        who: &Caller,
        app: &AppPath,
        host: &HostName,
        change: HttpsChange,
    ) -> Result<CertificateView, AppError> {
        self.own_domain(who, app, host).await?;
        let policy = HttpsPolicy { redirect: change.redirect, hsts_secs: change.hsts_seconds };
        self.certificates_handle().set_policy(host, policy).await?;
        let view = self.certificate_view(host);
        Ok(CertificateView { redirect: policy.redirect, hsts_seconds: policy.hsts_secs, ..view })
    }

    /// How every host of the installation stands. For operators.
    #[must_use]
    pub fn every_certificate(&self) -> Vec<CertificateView> {
        self.certificates_handle()
            .every()
            .into_iter()
            .map(|view| self.view_of(&view.host.clone(), Some(view)))
            .collect()
    }

    /// Takes a certificate for the platform itself: the portal, or all apps below its domain. For operators.
    ///
    /// # Errors
    /// When the host is not the platform's, or chain and key cannot be used.
    pub async fn add_platform_certificate(
        &self,
        who: &Principal,
        host: &HostName,
        upload: CertificateUpload,
    ) -> Result<CertificateUploaded, AppError> {
        let domain = &self.addresses().domain;
        let is_ours = host.as_str() == domain || host.as_str().ends_with(&format!(".{domain}"));
        if !is_ours {
            return Err(AppError::invalid(
                "host",
                format!(
                    "`{host}` is not below the platform's domain `{domain}`; name its app to upload a certificate for it"
                ),
            ));
        }
        let key = Secret::new(upload.key);
        let added = self.certificates_handle().add(None, host, &upload.certificate, &key, &who.email).await?;
        Ok(uploaded(host, added))
    }

    /// Removes what was uploaded for the platform itself. For operators.
    ///
    /// # Errors
    /// When nothing was uploaded for it.
    pub async fn remove_platform_certificate(&self, host: &HostName) -> Result<(), AppError> {
        Ok(self.certificates_handle().remove(None, host).await?)
    }

    /// Has a new certificate got for any host of the installation now. For operators.
    ///
    /// # Errors
    /// When none can be got by itself.
    pub async fn renew_any_certificate(&self, host: &HostName) -> Result<CertificateView, AppError> {
        self.certificates_handle().renew(host).await?;
        Ok(self.certificate_view(host))
    }

    /// The certificate of the local authority: public, to be trusted by whoever wants to.
    #[must_use]
    pub fn local_ca_pem(&self) -> &str {
        self.certificates_handle().local_ca_pem()
    }

    async fn own_domain(&self, who: &Caller, app: &AppPath, host: &HostName) -> Result<(), AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all = domains::list(self.store(), &who.tenant, &environment.id).await?;
        if all.iter().any(|domain| domain.host == *host) {
            return Ok(());
        }
        Err(AppError::NotFound(format!("this app has no domain `{host}`; add it first: wharf domains add {host}")))
    }

    pub(super) fn certificate_view(&self, host: &HostName) -> CertificateView {
        self.view_of(host, self.certificates_handle().view(host))
    }

    fn view_of(&self, host: &HostName, view: Option<HostView>) -> CertificateView {
        let Some(view) = view else {
            return CertificateView {
                host: host.to_string(),
                detail: Some(NOT_YET.to_owned()),
                ..CertificateView::default()
            };
        };
        let HostView { status: Status { state, detail, renew_at, try_at, .. }, policy, redirects, certificate, .. } =
            view;
        CertificateView {
            state,
            detail,
            renew_at: renew_at.map(|at| at.rfc3339()),
            try_at: try_at.map(|at| at.rfc3339()),
            redirects,
            redirect: policy.redirect,
            hsts_seconds: policy.hsts_secs,
            ..certificate.as_ref().map_or_else(CertificateView::default, of_certificate)
        }
        .at(host)
    }
}

impl CertificateView {
    fn at(self, host: &HostName) -> Self {
        Self { host: host.to_string(), ..self }
    }

    /// Whether the browser of anybody trusts it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.source.is_some_and(|source| source != Source::Local)
    }
}

fn of_certificate(certificate: &Certificate) -> CertificateView {
    CertificateView {
        source: Some(certificate.source),
        issuer: Some(certificate.issuer.clone()),
        names: certificate.names.clone(),
        not_before: Some(certificate.not_before.rfc3339()),
        not_after: Some(certificate.not_after.rfc3339()),
        fingerprint: Some(certificate.fingerprint.clone()),
        added_by: Some(certificate.added_by.clone()),
        ..CertificateView::default()
    }
}

fn uploaded(host: &HostName, (certificate, note): (Certificate, Option<String>)) -> CertificateUploaded {
    let view = CertificateView { state: State::Valid, ..of_certificate(&certificate) };
    CertificateUploaded { certificate: view.at(host), note }
}
