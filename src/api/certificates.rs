//! Certificates of an app's domains, and of the platform itself.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::ApiState;
use super::access::{App, In, Me, State};
use super::extract::{Item, Json, Query};
use super::problem::Problem;
use super::reply::{Page, Paging, created};
use super::routes::{APP, BASE};
use crate::apps::{CertificateUpload, CertificateUploaded, CertificateView, HttpsChange};
use crate::kernel::name::HostName;

/// The host of a path that goes on behind it.
pub(super) struct OfHost(HostName);

impl<S: Send + Sync> FromRequestParts<S> for OfHost {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params = axum::extract::RawPathParams::from_request_parts(parts, &()).await;
        let params = params.map_err(|e| Problem::malformed(e.to_string()))?;
        let name = params.iter().find(|(n, _)| *n == "host").map_or("", |(_, value)| value);
        name.parse().map(Self).map_err(|e| Problem::not_found(format!("there is no such domain: {e}")))
    }
}

/// List the certificates of an app's domains.
#[utoipa::path(get, context_path = APP, path = "/certificates", tag = "certificates", params(Paging),
    responses((status = 200, description = "How each domain stands with HTTPS", body = Page<CertificateView>)))]
pub(super) async fn list(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<CertificateView>>, Problem> {
    Page::of(api.apps.certificates(&caller, &app).await?, &paging, |c| c.host.clone())
}

/// Look at the certificate of a domain.
#[utoipa::path(get, context_path = APP, path = "/certificates/{host}", tag = "certificates",
    responses((status = 200, description = "How it stands, with the chain", body = CertificateView)))]
pub(super) async fn detail(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(host): Item<HostName>,
) -> Result<Json<CertificateView>, Problem> {
    Ok(Json(api.apps.certificate(&caller, &app, &host).await?))
}

/// Upload a certificate for a domain.
///
/// Chain and key are checked first. It serves at once and replaces one that was uploaded before.
#[utoipa::path(put, context_path = APP, path = "/certificates/{host}", tag = "certificates",
    request_body = CertificateUpload,
    responses((status = 201, description = "It is in use", body = CertificateUploaded)))]
pub(super) async fn upload(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(host): Item<HostName>,
    Json(upload): Json<CertificateUpload>,
) -> Result<(StatusCode, Json<CertificateUploaded>), Problem> {
    Ok(created(api.apps.add_certificate(&caller, &app, &host, upload).await?))
}

/// Remove an uploaded certificate.
#[utoipa::path(delete, context_path = APP, path = "/certificates/{host}", tag = "certificates",
    responses((status = 204, description = "It is not used any more")))]
pub(super) async fn remove(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    Item(host): Item<HostName>,
) -> Result<StatusCode, Problem> {
    api.apps.remove_certificate(&caller, &app, &host).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a new certificate for a domain now.
///
/// The old one serves until the new one is there.
#[utoipa::path(post, context_path = APP, path = "/certificates/{host}/renew", tag = "certificates",
    responses((status = 200, description = "It is being got", body = CertificateView)))]
pub(super) async fn renew(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    OfHost(host): OfHost,
) -> Result<Json<CertificateView>, Problem> {
    Ok(Json(api.apps.renew_certificate(&caller, &app, &host).await?))
}

/// Set what is wanted of HTTPS on a domain.
#[utoipa::path(put, context_path = APP, path = "/certificates/{host}/https", tag = "certificates",
    request_body = HttpsChange,
    responses((status = 200, description = "As it is now", body = CertificateView)))]
pub(super) async fn change_https(
    State(api): State<ApiState>,
    In(caller): In,
    App(app): App,
    OfHost(host): OfHost,
    Json(change): Json<HttpsChange>,
) -> Result<Json<CertificateView>, Problem> {
    Ok(Json(api.apps.change_https(&caller, &app, &host, change).await?))
}

/// List the certificates of the whole installation.
#[utoipa::path(get, context_path = BASE, path = "/certificates", tag = "platform", params(Paging),
    operation_id = "list_certificates",
    responses((status = 200, description = "How every host stands with HTTPS", body = Page<CertificateView>)))]
pub(super) async fn every(
    State(api): State<ApiState>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<CertificateView>>, Problem> {
    Page::of(api.apps.every_certificate(), &paging, |c| c.host.clone())
}

/// Upload a certificate for the platform itself.
///
/// For the portal's host, or `*.DOMAIN` for all apps below the platform's domain.
#[utoipa::path(put, context_path = BASE, path = "/certificates/{host}", tag = "platform",
    operation_id = "upload_certificate", request_body = CertificateUpload,
    responses((status = 201, description = "It is in use", body = CertificateUploaded)))]
pub(super) async fn upload_platform(
    State(api): State<ApiState>,
    Me(who): Me,
    Item(host): Item<HostName>,
    Json(upload): Json<CertificateUpload>,
) -> Result<(StatusCode, Json<CertificateUploaded>), Problem> {
    Ok(created(api.apps.add_platform_certificate(&who, &host, upload).await?))
}

/// Remove an uploaded certificate of the platform itself.
#[utoipa::path(delete, context_path = BASE, path = "/certificates/{host}", tag = "platform",
    operation_id = "remove_certificate",
    responses((status = 204, description = "It is not used any more")))]
pub(super) async fn remove_platform(
    State(api): State<ApiState>,
    Item(host): Item<HostName>,
) -> Result<StatusCode, Problem> {
    api.apps.remove_platform_certificate(&host).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a new certificate for any host of the installation now.
#[utoipa::path(post, context_path = BASE, path = "/certificates/{host}/renew", tag = "platform",
    operation_id = "renew_certificate",
    responses((status = 200, description = "It is being got", body = CertificateView)))]
pub(super) async fn renew_platform(
    State(api): State<ApiState>,
    OfHost(host): OfHost,
) -> Result<Json<CertificateView>, Problem> {
    Ok(Json(api.apps.renew_any_certificate(&host).await?))
}

/// The certificate of the local authority.
///
/// Whoever trusts it sees no warning on `localhost` names of this installation.
#[utoipa::path(get, context_path = BASE, path = "/local-ca.pem", tag = "platform",
    responses((status = 200, description = "In PEM", body = String, content_type = "application/x-pem-file")))]
pub(super) async fn local_ca(State(api): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, "application/x-pem-file")], api.apps.local_ca_pem().to_owned()).into_response()
}
