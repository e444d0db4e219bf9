//! Certificates on their way into the ingress's table: the other half of it beside the routes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::handle::{Scheduler, lock};
use crate::certificates::Publish;
use crate::certificates::model::{Material, Serving};
use crate::ingress::snapshot::{Certificate, HttpChallenge, Snapshot};

/// How long the ingress may take to use a table with new certificates.
const PATIENCE: Duration = Duration::from_secs(30);

impl Publish for Scheduler {
    fn publish(&self, serving: Arc<Serving>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let generation = {
                let mut content = lock(&self.inner.publication.content);
                content.https = Some(serving);
                self.make_table(&content)
            };
            let mut used = self.inner.publication.used.subscribe();
            match tokio::time::timeout(PATIENCE, used.wait_for(|used| *used >= generation)).await {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("it does not use the newest table within {} s", PATIENCE.as_secs())),
            }
        })
    }
}

/// Adds certificates, answers to authorities, and what applies on hosts with a certificate. Pure. Without a port for
/// HTTPS nobody is sent there.
pub fn apply(table: &mut Snapshot, serving: &Serving, https_port: Option<u16>) {
    let plain = |names: Vec<String>, material: &Material| Certificate {
        names,
        chain_pem: material.chain_pem.clone(),
        key_pem: material.key_pem.expose().clone(),
    };
    table.certificates = serving.certificates.iter().map(|(hosts, m)| plain(hosts.clone(), m)).collect();
    table.http_challenges = serving
        .http_answers
        .iter()
        .map(|a| HttpChallenge { host: a.host.clone(), token: a.token.clone(), answer: a.answer.clone() })
        .collect();
    table.tls_challenges = serving.tls_answers.iter().map(|(host, m)| plain(vec![host.clone()], m)).collect();
    let Some(port) = https_port else { return };
    table.settings.https_port = port;
    for route in &mut table.routes {
        let all = || route.hosts.iter().map(|host| serving.hosts.get(host));
        // A route of several hosts is sent to HTTPS only when all of them have it.
        route.policy.https_redirect |= all().all(|rules| rules.is_some_and(|rules| rules.redirect));
        if let Some(seconds) = all().map(|rules| rules.map_or(0, |rules| rules.hsts_secs)).min() {
            route.policy.hsts_secs = route.policy.hsts_secs.max(u64::from(seconds));
        }
    }
}
