//! The loop: look → judge → make or order → publish. Level-triggered: a pass takes no arguments and looks at everything;
//! a nudge only makes it come sooner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::acme::{self, OrderFailure};
use super::chain;
use super::error::CertificateError;
use super::handle::{Certificates, Picture, lock};
use super::model::{Certificate, Renewal, Serving, Source, Status, Wanted};
use super::names::{is_local, registered_domain};
use super::rules::{self, Budget, Facts, Step, Supply};
use super::serving;
use super::store::{self, Ordered};
use crate::kernel::clock::Timestamp;
use crate::kernel::error::chain as error_chain;
use crate::kernel::name::HostName;
use crate::store::StoreError;
use crate::tenancy::store::domains;

/// Pause between passes when nobody nudges.
const PACE: Duration = Duration::from_secs(30);
/// Nudges within this time make one pass.
const GATHER: Duration = Duration::from_millis(20);
/// Pause before a table that was not taken is offered again.
const OFFER_AGAIN: Duration = Duration::from_secs(2);
/// Orders under way at the same time.
const ORDERS_AT_ONCE: usize = 4;
/// One order may take so long, the DNS hook's own time aside.
const ORDER_DEADLINE: Duration = Duration::from_secs(180);

/// The way to the ingress.
pub trait Publish: Send + Sync {
    /// Has this served from now on; returns when it is. The error is for people.
    fn publish(&self, serving: Arc<Serving>) -> BoxFuture<'_, Result<(), String>>;
}

/// How an order ended.
type Ended = (HostName, Result<(), OrderFailure>);

impl Certificates {
    /// Runs until told to stop. What is served is served on.
    pub async fn run(self, publisher: Arc<dyn Publish>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.run_for_ever(publisher) => {}
        }
    }

    async fn run_for_ever(&self, publisher: Arc<dyn Publish>) {
        let mut orders: JoinSet<Ended> = JoinSet::new();
        let mut under_way: BTreeSet<HostName> = BTreeSet::new();
        let mut alarmed: BTreeSet<HostName> = BTreeSet::new();
        let mut has_looked = false;
        loop {
            match self.pass(&under_way).await {
                Ok(due) => {
                    has_looked = true;
                    for wanted in due.into_iter().take(ORDERS_AT_ONCE.saturating_sub(under_way.len())) {
                        under_way.insert(wanted.host.clone());
                        let (this, publisher) = (self.clone(), Arc::clone(&publisher));
                        orders.spawn(async move { this.order(wanted, publisher.as_ref()).await });
                    }
                }
                Err(error) => tracing::error!(error = error_chain(&error), "certificates could not be looked at"),
            }
            self.sound_alarms(&mut alarmed);
            // Before the first look nothing is known, and nothing is not what is to be served.
            let offered = if has_looked { self.offer(publisher.as_ref()).await } else { Ok(()) };
            if let Err(reason) = &offered {
                tracing::warn!(reason, "the ingress does not take the certificates; trying on");
            }
            self.inner.passed.send_modify(|n| *n += 1);
            let pause = if has_looked && offered.is_ok() { PACE } else { OFFER_AGAIN };
            tokio::select! {
                () = self.inner.wake.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(pause) => {}
                Some(ended) = orders.join_next() => {
                    if let Ok((host, result)) = ended {
                        under_way.remove(&host);
                        self.note_end(&host, result).await;
                    } else {
                        // An order that panicked has said so; all others are in the set still, so none is lost.
                        under_way.clear();
                    }
                }
            }
        }
    }

    /// One look at everything; gives the hosts a certificate is to be ordered for.
    async fn pass(&self, under_way: &BTreeSet<HostName>) -> Result<Vec<Wanted>, CertificateError> {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        let (mut picture, steps) = self.look(now).await?;
        let mut made = false;
        for (wanted, _) in steps.iter().filter(|(_, step)| *step == Step::MakeLocal) {
            self.make_local(wanted, now).await?;
            made = true;
        }
        self.tidy(&picture, now).await?;
        if made {
            picture = self.look(now).await?.0;
        }
        *lock(&self.inner.picture) = Arc::new(picture);
        let due = steps.into_iter().filter(|(wanted, step)| *step == Step::Order && !under_way.contains(&wanted.host));
        Ok(due.map(|(wanted, _)| wanted).collect())
    }

    async fn look(&self, now: Timestamp) -> Result<(Picture, Vec<(Wanted, Step)>), CertificateError> {
        let parts = &self.inner.parts;
        let wanted = self.wanted().await?;
        let certificates = store::every(&parts.store).await?;
        let renewals = store::renewals(&parts.store).await?;
        let orders = store::orders(&parts.store, &parts.acme.directory, now.plus_ms(-rules::WEEK)).await?;
        let hosts: BTreeSet<HostName> = wanted.iter().map(|w| w.host.clone()).collect();
        let (mut statuses, mut steps) = (BTreeMap::new(), Vec::new());
        for one in &wanted {
            let facts = Facts {
                wanted: one,
                certificates: &certificates,
                hosts: &hosts,
                renewal: renewals.get(&one.host),
                supply: self.supply(&one.host),
                budget: self.budget(&one.host, &orders),
                now,
            };
            let (step, status) = self.judge(&facts);
            statuses.insert(one.host.clone(), status);
            steps.push((one.clone(), step));
        }
        Ok((Picture { wanted, certificates, statuses }, steps))
    }

    /// What the rules say; but names the platform's wildcard stands for wait for that.
    fn judge(&self, facts: &Facts<'_>) -> (Step, Status) {
        let (step, mut status) = rules::judge(facts);
        let wildcard = self.platform_wildcard();
        let host = &facts.wanted.host;
        let is_below = wildcard.as_ref().is_some_and(|w| w != host && super::names::covers(w.as_str(), host.as_str()));
        if step == Step::Order && is_below {
            status.detail = wildcard.map(|w| format!("it waits for the certificate for {w}"));
            return (Step::Nothing, status);
        }
        (step, status)
    }

    /// Every host that shall answer over HTTPS.
    async fn wanted(&self) -> Result<Vec<Wanted>, CertificateError> {
        let parts = &self.inner.parts;
        let mut policies = store::policies(&parts.store).await?;
        let mut own = vec![format!("wharf.{}", parts.domain)];
        if is_local(&parts.domain, &parts.https.local_domains) {
            own.extend([parts.domain.clone(), format!("*.{}", parts.domain)]);
        }
        let mut own: Vec<HostName> = own.iter().filter_map(|name| name.parse().ok()).collect();
        own.extend(self.platform_wildcard());
        let mut wanted: Vec<Wanted> =
            own.into_iter().map(|host| Wanted { host, tenant: None, policy: Default::default() }).collect();
        for (host, tenant) in domains::owners(&parts.store).await? {
            let policy = policies.remove(&host).unwrap_or_default();
            wanted.push(Wanted { host, tenant: Some(tenant), policy });
        }
        Ok(wanted)
    }

    /// `*.DOMAIN`, when the operator wants one certificate for all apps below the platform's domain.
    fn platform_wildcard(&self) -> Option<HostName> {
        let parts = &self.inner.parts;
        let is_possible = parts.acme.wildcard && !is_local(&parts.domain, &parts.https.local_domains);
        is_possible.then(|| format!("*.{}", parts.domain).parse().ok()).flatten()
    }

    fn supply(&self, host: &HostName) -> Supply {
        let parts = &self.inner.parts;
        if is_local(host.as_str(), &parts.https.local_domains) {
            return Supply::Local;
        }
        parts.acme.obstacle(host.as_str()).map_or(Supply::Acme, Supply::None)
    }

    fn budget(&self, host: &HostName, orders: &[Ordered]) -> Budget {
        let acme = &self.inner.parts.acme;
        let domain = registered_domain(host.as_str());
        Budget {
            domain: orders.iter().filter(|o| o.domain == domain).map(|o| o.at).collect(),
            name: orders.iter().filter(|o| o.host == *host).map(|o| o.at).collect(),
            most_domain: acme.orders_per_week,
            most_name: acme.orders_per_week_and_name,
        }
    }

    async fn make_local(&self, wanted: &Wanted, now: Timestamp) -> Result<(), CertificateError> {
        let material = self.inner.ca.issue(&[wanted.host.to_string()], now)?;
        let facts = chain::describe(&material.chain_pem)?;
        let tenant = wanted.tenant.clone();
        let kept =
            self.keep(tenant, &wanted.host, Source::Local, facts, &material.chain_pem, &material.key_pem, "wharf");
        kept.await?;
        tracing::info!(certificate.host = %wanted.host, "the local authority made a certificate");
        Ok(())
    }

    /// Forgets certificates and orders that nothing needs any more.
    async fn tidy(&self, picture: &Picture, now: Timestamp) -> Result<(), CertificateError> {
        let hosts: BTreeSet<HostName> = picture.wanted.iter().map(|w| w.host.clone()).collect();
        let superseded = rules::superseded(&picture.certificates, &hosts, now);
        if superseded.is_empty() {
            return Ok(());
        }
        let mut tx = self.inner.parts.store.write().await?;
        for certificate in superseded {
            store::forget(&mut tx, &certificate.id).await?;
        }
        store::forget_orders(&mut tx, now.plus_ms(-2 * rules::WEEK)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn order(&self, wanted: Wanted, publisher: &dyn Publish) -> Ended {
        let parts = &self.inner.parts;
        let hook = Duration::from_secs(u64::from(parts.acme.dns_hook_seconds)) * 2;
        let deadline = if parts.acme.dns_hook.is_empty() { ORDER_DEADLINE } else { ORDER_DEADLINE + hook };
        tracing::info!(certificate.host = %wanted.host, directory = parts.acme.directory, "ordering a certificate");
        let result = match tokio::time::timeout(deadline, acme::obtain(self, &wanted, publisher)).await {
            Ok(result) => result,
            Err(_) => Err(OrderFailure::new(format!(
                "the authority at {} did not finish within {} s",
                parts.acme.directory,
                deadline.as_secs()
            ))),
        };
        acme::take_answers_back(self, &wanted.host);
        (wanted.host, result)
    }

    /// Remembers how an order ended, so that the next pass knows when to try again.
    async fn note_end(&self, host: &HostName, result: Result<(), OrderFailure>) {
        let failure = match result {
            Ok(()) => {
                tracing::info!(certificate.host = %host, "a new certificate is there");
                return;
            }
            Err(failure) => failure,
        };
        tracing::warn!(certificate.host = %host, reason = failure.sentence, "no certificate could be got");
        if let Err(error) = self.note_failure(host, failure).await {
            tracing::error!(error = error_chain(&error), "a failed order could not be noted");
        }
    }

    async fn note_failure(&self, host: &HostName, failure: OrderFailure) -> Result<(), CertificateError> {
        let parts = &self.inner.parts;
        let now = parts.clock.now();
        let before = store::renewals(&parts.store).await?.remove(host).unwrap_or_default();
        let failures = before.failures.saturating_add(1);
        let luck = f64::from(parts.random.bytes::<1>()[0]) / 255.0;
        let own = now.plus_ms(rules::pause_after(failures, luck));
        let renewal = Renewal {
            failures,
            last_error: Some(failure.sentence),
            tried_at: Some(now),
            try_at: Some(failure.not_before.map_or(own, |at| at.max(own))),
            held: failure.not_before.is_some(),
            // Who asked for a new one wants it still.
            asked: before.asked,
        };
        let mut tx = parts.store.write().await?;
        store::put_renewal(&mut tx, host, &renewal).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Says once what needs a person, and once when it is over.
    fn sound_alarms(&self, alarmed: &mut BTreeSet<HostName>) {
        let picture = Arc::clone(&lock(&self.inner.picture));
        for (host, status) in &picture.statuses {
            if !status.state.is_alarm() {
                if alarmed.remove(host) {
                    tracing::info!(certificate.host = %host, "the certificate is in order again");
                }
            } else if alarmed.insert(host.clone()) {
                let detail = status.detail.as_deref().unwrap_or_default();
                tracing::warn!(certificate.host = %host, state = ?status.state, detail, "a certificate needs attention");
            }
        }
        alarmed.retain(|host| picture.statuses.contains_key(host));
    }

    /// Has the ingress serve what there is now, unless it does already.
    pub(super) async fn offer(&self, publisher: &dyn Publish) -> Result<(), String> {
        let mut published = self.inner.publishing.lock().await;
        let parts = &self.inner.parts;
        let picture = Arc::clone(&lock(&self.inner.picture));
        let answers = lock(&self.inner.answers).clone();
        let certificates: &[Certificate] = &picture.certificates;
        let now = parts.clock.now();
        let hsts = parts.https.hsts_seconds;
        let serving = serving::assemble(&parts.vault, &picture.wanted, certificates, &answers, hsts, now);
        if published.as_deref() == Some(&serving) {
            return Ok(());
        }
        let serving = Arc::new(serving);
        publisher.publish(Arc::clone(&serving)).await?;
        self.inner.secure.replace(&serving);
        *published = Some(serving);
        Ok(())
    }
}
