//! Certificates over ACME (RFC 8555): one order from beginning to end. When it fails, one sentence says why.

mod account;
mod answer;
mod http;

use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

pub(super) use answer::take_answers_back;

use super::chain;
use super::handle::Certificates;
use super::model::{Source, Wanted};
use super::names::registered_domain;
use super::settings::ChallengeKind;
use super::store::{self, Ordered};
use super::task::Publish;
use crate::kernel::clock::Timestamp;
use crate::kernel::secret::Secret;
use crate::store::StoreError;
use http::Pace;

/// The authority's checks may take so long.
const CHECK_PATIENCE: Duration = Duration::from_secs(90);
/// Making the certificate may take so long.
const ISSUE_PATIENCE: Duration = Duration::from_secs(60);

/// So many orders are made in a row when nothing but the authority's one-time numbers is wrong.
const ORDERS_FOR_NONCES: u32 = 3;

/// Why an order failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderFailure {
    /// For people.
    pub sentence: String,
    /// The authority asked not to come back before this.
    pub not_before: Option<Timestamp>,
    /// Only a one-time number was refused, again and again: another order may well pass at once.
    pub by_stale_nonce: bool,
}

impl OrderFailure {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), not_before: None, by_stale_nonce: false }
    }
}

impl From<StoreError> for OrderFailure {
    fn from(error: StoreError) -> Self {
        Self::new(crate::kernel::error::chain(&error))
    }
}

/// Gets a certificate for the host and keeps it.
pub(super) async fn obtain(
    certificates: &Certificates,
    wanted: &Wanted,
    publisher: &dyn Publish,
) -> Result<(), OrderFailure> {
    let pace = Pace::default();
    let mut outcome = Box::pin(order(certificates, wanted, publisher, &pace)).await;
    // RFC 8555 section 6.5: the client should try again; each request has done so by itself before.
    for _ in 1..ORDERS_FOR_NONCES {
        if !outcome.as_ref().is_err_and(|failure| failure.by_stale_nonce) {
            break;
        }
        outcome = Box::pin(order(certificates, wanted, publisher, &pace)).await;
    }
    outcome.map_err(|failure| OrderFailure { not_before: pace.held_until(), ..failure })
}

async fn order(
    certificates: &Certificates,
    wanted: &Wanted,
    publisher: &dyn Publish,
    pace: &Pace,
) -> Result<(), OrderFailure> {
    let parts = &certificates.inner.parts;
    let account = account::open(parts, pace).await?;
    let identifiers = [Identifier::Dns(wanted.host.to_string())];
    let said = |what: &'static str| move |error| failed(what, &error);
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(said("the order was refused"))?;
    show_control(certificates, wanted, publisher, &mut order).await?;
    let policy = RetryPolicy::new().initial_delay(Duration::from_millis(300)).backoff(1.6).timeout(CHECK_PATIENCE);
    match order.poll_ready(&policy).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(why_invalid(&mut order, "it does not say why").await),
        Err(error) if is_stale_nonce(&error) => return Err(failed("the authority did not finish its checks", &error)),
        Err(instant_acme::Error::Api(problem)) => {
            let detail = problem.detail.unwrap_or_default();
            return Err(why_invalid(&mut order, &detail).await);
        }
        Err(error) => return Err(failed("the authority did not finish its checks", &error)),
    }
    let made_wrong = |error: rcgen::Error| OrderFailure::new(format!("the request could not be made: {error}"));
    let key = KeyPair::generate().map_err(made_wrong)?;
    let mut params = CertificateParams::new(vec![wanted.host.to_string()]).map_err(made_wrong)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(made_wrong)?;
    order.finalize_csr(request.der()).await.map_err(said("the request was refused"))?;
    let policy = RetryPolicy::new().initial_delay(Duration::from_millis(300)).backoff(1.6).timeout(ISSUE_PATIENCE);
    let chain_pem = order.poll_certificate(&policy).await.map_err(said("the certificate was not made"))?;
    keep(certificates, wanted, &chain_pem, &Secret::new(key.serialize_pem())).await
}

async fn keep(
    certificates: &Certificates,
    wanted: &Wanted,
    chain_pem: &str,
    key_pem: &Secret<String>,
) -> Result<(), OrderFailure> {
    let parts = &certificates.inner.parts;
    let now = parts.clock.now();
    let (host, directory) = (&wanted.host, &parts.acme.directory);
    let mut tx = parts.store.write().await?;
    let ordered = Ordered { host: host.clone(), domain: registered_domain(host.as_str()), at: now };
    store::note_order(&mut tx, directory, &ordered).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let unusable = |error: super::CertificateError| {
        OrderFailure::new(format!(
            "the authority's certificate cannot be used: {}",
            crate::kernel::error::chain(&error)
        ))
    };
    let facts = chain::check(chain_pem, key_pem.expose(), host.as_str(), now).map_err(unusable)?;
    let kept = certificates.keep(wanted.tenant.clone(), host, Source::Acme, facts, chain_pem, key_pem, "wharf");
    kept.await.map_err(unusable)?;
    Ok(())
}

/// Shows control over each name of the order that was not shown before.
async fn show_control(
    certificates: &Certificates,
    wanted: &Wanted,
    publisher: &dyn Publish,
    order: &mut Order,
) -> Result<(), OrderFailure> {
    let said = |what: &'static str| move |error| failed(what, &error);
    let turn = turn(certificates, wanted).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(said("the authority's checks could not be read"))?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(OrderFailure::new("the authority's checks have ended already; it is tried anew")),
        }
        let offered: Vec<ChallengeType> = authorization.challenges.iter().map(|c| c.r#type.clone()).collect();
        let parts = &certificates.inner.parts;
        let usable: Vec<ChallengeKind> = parts
            .acme
            .usable_challenges(wanted.host.as_str())
            .filter(|kind| offered.contains(&type_of(*kind)))
            .collect();
        let Some(kind) = usable.get(turn % usable.len().max(1)).copied() else {
            return Err(OrderFailure::new("the authority offers none of the challenges that can be answered here"));
        };
        let mut challenge = authorization.challenge(type_of(kind)).ok_or_else(|| {
            OrderFailure::new("the authority offers none of the challenges that can be answered here")
        })?;
        let proof = challenge.key_authorization();
        answer::prepare(certificates, wanted, publisher, kind, &challenge.token, &proof).await?;
        challenge.set_ready().await.map_err(said("the authority did not begin its checks"))?;
    }
    Ok(())
}

/// After a failure another kind of challenge gets its turn.
async fn turn(certificates: &Certificates, wanted: &Wanted) -> Result<usize, OrderFailure> {
    let renewals = store::renewals(&certificates.inner.parts.store).await?;
    Ok(renewals.get(&wanted.host).map_or(0, |renewal| renewal.failures as usize))
}

fn type_of(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
    }
}

/// As RFC 8555 and our settings write it.
fn name_of(kind: &ChallengeType) -> &str {
    match kind {
        ChallengeType::Http01 => "http-01",
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        ChallengeType::Dns01 => "dns-01",
        ChallengeType::Unknown(name) => name,
        _ => "another check",
    }
}

/// Asks what each check came to, and puts it in one sentence; without an answer, what was said of the order.
async fn why_invalid(order: &mut Order, said: &str) -> OrderFailure {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        for challenge in state.challenges.iter().filter(|c| c.status == ChallengeStatus::Invalid) {
            let detail = challenge.error.as_ref().and_then(|error| error.detail.clone()).unwrap_or_default();
            reasons.push(format!("{} for {name}: {detail}", name_of(&challenge.r#type)));
        }
    }
    if reasons.is_empty() {
        reasons.push(said.to_owned());
    }
    OrderFailure::new(format!("the authority's check failed: {}", reasons.join("; ")))
}

/// One sentence from what the authority said.
fn failed(what: &str, error: &instant_acme::Error) -> OrderFailure {
    let text = match error {
        instant_acme::Error::Api(problem) => {
            let mut details: Vec<String> = problem.detail.clone().into_iter().collect();
            details.extend(problem.subproblems.iter().filter_map(|sub| sub.detail.clone()));
            let kind = problem.r#type.as_deref().unwrap_or_default().rsplit(':').next().unwrap_or_default();
            if details.is_empty() { kind.to_owned() } else { format!("{} ({kind})", details.join("; ")) }
        }
        other => crate::kernel::error::chain(other),
    };
    OrderFailure { by_stale_nonce: is_stale_nonce(error), ..OrderFailure::new(format!("{what}: {text}")) }
}

fn is_stale_nonce(error: &instant_acme::Error) -> bool {
    let kind = match error {
        instant_acme::Error::Api(problem) => problem.r#type.as_deref(),
        _ => None,
    };
    kind == Some("urn:ietf:params:acme:error:badNonce")
}
