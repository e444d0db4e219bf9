//! The decisions of this room. Pure: facts and the time come in, a step and a sentence go out.

use std::collections::BTreeSet;

use super::model::{Certificate, HostRules, HttpsPolicy, Redirect, Renewal, Source, State, Status, Wanted};
use super::names::covers;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::TenantId;
use crate::kernel::name::HostName;

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 3600 * SECOND;
/// Orders are counted over so long, as the well-known authorities do.
pub const WEEK: i64 = 7 * DAY;
/// The pause after the first failure, then three times as long each: four attempts in the first hour, where Let's Encrypt
/// allows five failures.
const FIRST_PAUSE: i64 = 120 * SECOND;
/// No pause is longer.
const LONGEST_PAUSE: i64 = 12 * 3600 * SECOND;
/// After so many failed renewals in a row somebody is told, long before the certificate ends.
const FAILURES_THAT_ALARM: u32 = 2;

/// What is to be done for a host now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// The local authority makes one at once.
    MakeLocal,
    /// The ACME authority is asked.
    Order,
}

/// How certificates for a host can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supply {
    Local,
    Acme,
    /// Not at present, and why not.
    None(String),
}

/// Orders of the last week that count against a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// When orders for the registered domain were made.
    pub domain: Vec<Timestamp>,
    /// When orders for this very name were made.
    pub name: Vec<Timestamp>,
    pub most_domain: u32,
    pub most_name: u32,
}

impl Budget {
    /// When the next order may be made, when that is not now.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Timestamp> {
        let over = |orders: &[Timestamp], most: u32| {
            let mut recent: Vec<_> = orders.iter().copied().filter(|at| now.since_ms(*at) < WEEK).collect();
            recent.sort_unstable();
            let excess = recent.len().checked_sub(most as usize)?;
            recent.get(excess).map(|at| at.plus_ms(WEEK))
        };
        over(&self.domain, self.most_domain).max(over(&self.name, self.most_name))
    }
}

/// All that is known when a host is judged.
#[derive(Debug)]
pub struct Facts<'a> {
    pub wanted: &'a Wanted,
    pub certificates: &'a [Certificate],
    /// Every host that shall have a certificate.
    pub hosts: &'a BTreeSet<HostName>,
    pub renewal: Option<&'a Renewal>,
    pub supply: Supply,
    pub budget: Budget,
    pub now: Timestamp,
}

/// When a certificate is to be replaced: when a third of its life is left, a little earlier by its own fingerprint, so that
/// those got on one day are not all renewed in one hour.
#[must_use]
pub fn renew_at(certificate: &Certificate) -> Timestamp {
    let life = certificate.not_after.since_ms(certificate.not_before).max(0);
    let digits = certificate.fingerprint.get(..4).unwrap_or_default();
    let share = i64::from(u16::from_str_radix(digits, 16).unwrap_or_default());
    certificate.not_after.plus_ms(-life / 3).plus_ms(-(life / 30 * share / i64::from(u16::MAX)))
}

/// How long nothing is tried after so many failures in a row; `luck` (0..1) spreads hosts that failed together.
#[must_use]
pub fn pause_after(failures: u32, luck: f64) -> i64 {
    let pause = FIRST_PAUSE.saturating_mul(3_i64.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE);
    #[expect(clippy::cast_possible_truncation, reason = "at most a day in milliseconds")]
    let spread = (pause as f64 * 0.2 * luck.clamp(0.0, 1.0)) as i64;
    pause + spread
}

/// The certificate that serves a host: a valid one before one that is not, uploaded before ACME before local, then the
/// newest. One that has ended still serves when there is no better one. Certificates of other tenants
/// are not looked at.
#[must_use]
pub fn choose<'a>(
    host: &HostName,
    tenant: Option<&TenantId>,
    all: &'a [Certificate],
    now: Timestamp,
) -> Option<&'a Certificate> {
    all.iter()
        .filter(|c| c.tenant.is_none() || c.tenant.as_ref() == tenant)
        .filter(|c| c.names.iter().any(|name| covers(name, host.as_str())))
        .max_by_key(|c| {
            let valid = c.is_valid(now).then_some((c.source, c.created_at));
            (valid, c.not_after, &c.id)
        })
}

/// What is to be done for a host, and how it stands.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> (Step, Status) {
    let Facts { wanted, now, renewal, .. } = facts;
    let serving = choose(&wanted.host, wanted.tenant.as_ref(), facts.certificates, *now);
    let status = |state, detail: Option<String>| Status {
        state,
        detail,
        serving: serving.map(|c| c.id.clone()),
        renew_at: serving.filter(|c| c.source != Source::Uploaded).map(renew_at),
        try_at: renewal.and_then(|r| r.try_at).filter(|at| at > now),
    };
    let asked = renewal.is_some_and(|r| r.asked);
    if !asked && !needs_new(facts, serving) {
        let ending = serving.and_then(|c| uploaded_ends(c, *now));
        let state = if ending.is_some() { State::Expiring } else { State::Valid };
        return (Step::Nothing, status(state, ending));
    }
    match &facts.supply {
        Supply::Local => (Step::MakeLocal, status(state_of(serving, *renewal, *now), None)),
        Supply::None(why) => {
            let state = match serving {
                None => State::Missing,
                Some(c) if c.is_valid(*now) => State::Expiring,
                Some(_) => State::Expired,
            };
            (Step::Nothing, status(state, Some(why.clone())))
        }
        Supply::Acme => {
            let (step, detail) = when_to_order(facts);
            (step, status(state_of(serving, *renewal, *now), detail))
        }
    }
}

/// Whether the certificate that serves has to be replaced.
fn needs_new(facts: &Facts<'_>, serving: Option<&Certificate>) -> bool {
    let Some(certificate) = serving.filter(|c| c.is_valid(facts.now)) else { return true };
    let is_due = facts.now >= renew_at(certificate);
    match certificate.source {
        // Its owner replaces it; it is served to its end.
        Source::Uploaded => false,
        // Names move between the two authorities when the settings change.
        Source::Local if facts.supply == Supply::Acme => true,
        // A wildcard is renewed for its own name.
        _ if certificate.host != facts.wanted.host && facts.hosts.contains(&certificate.host) => false,
        _ => is_due,
    }
}

/// The warning that an uploaded certificate ends soon: in the last sixth of its life, but at most 21 days before its end.
fn uploaded_ends(certificate: &Certificate, now: Timestamp) -> Option<String> {
    let life = certificate.not_after.since_ms(certificate.not_before);
    let left = certificate.not_after.since_ms(now);
    let is_near = certificate.source == Source::Uploaded && left < (life / 6).min(21 * DAY);
    is_near.then(|| {
        format!(
            "the uploaded certificate ends on {}; upload a new one, or remove it where Wharf can get one itself",
            certificate.not_after.rfc3339()
        )
    })
}

fn state_of(serving: Option<&Certificate>, renewal: Option<&Renewal>, now: Timestamp) -> State {
    let failures = renewal.map_or(0, |r| r.failures);
    match serving {
        None if failures > 0 => State::Failed,
        None => State::Pending,
        Some(c) if !c.is_valid(now) => State::Expired,
        Some(c) => {
            let life = c.not_after.since_ms(c.not_before);
            let is_near = c.not_after.since_ms(now) < life / 6;
            if is_near || failures >= FAILURES_THAT_ALARM { State::Expiring } else { State::Valid }
        }
    }
}

/// Now, or what is waited for.
fn when_to_order(facts: &Facts<'_>) -> (Step, Option<String>) {
    let now = facts.now;
    if let Some(renewal) = facts.renewal
        && let Some(at) = renewal.try_at.filter(|at| *at > now)
    {
        let error = renewal.last_error.as_deref().unwrap_or("the last attempt failed");
        return (Step::Nothing, Some(format!("{error}; it is tried again at {}", at.rfc3339())));
    }
    if let Some(at) = facts.budget.wait(now) {
        let text = format!(
            "so many certificates were ordered in the last seven days that the next may be ordered at {} (acme.orders_per_week)",
            at.rfc3339()
        );
        return (Step::Nothing, Some(text));
    }
    let detail = facts.renewal.and_then(|r| r.last_error.clone());
    (Step::Order, Some(detail.unwrap_or_else(|| "the authority is being asked".to_owned())))
}

/// What applies on a host, given the certificate that serves it.
#[must_use]
pub fn host_rules(policy: HttpsPolicy, certificate: &Certificate, default_hsts: u32) -> HostRules {
    let is_trusted_by_all = certificate.source != Source::Local;
    let redirect = match policy.redirect {
        Redirect::On => true,
        Redirect::Off => false,
        Redirect::Auto => is_trusted_by_all,
    };
    // The header binds browsers to HTTPS for long: by default only where plain HTTP is left anyway.
    let default_hsts = if redirect && is_trusted_by_all { default_hsts } else { 0 };
    HostRules { redirect, hsts_secs: policy.hsts_secs.unwrap_or(default_hsts) }
}

/// Certificates that nothing needs any more: ended ones of hosts that are gone, and all but the two newest of the same
/// host, owner and source.
#[must_use]
pub fn superseded<'a>(all: &'a [Certificate], hosts: &BTreeSet<HostName>, now: Timestamp) -> Vec<&'a Certificate> {
    let mut old: Vec<&Certificate> = all.iter().filter(|c| !hosts.contains(&c.host) && now >= c.not_after).collect();
    for certificate in all.iter().filter(|c| hosts.contains(&c.host)) {
        let newer = all.iter().filter(|other| {
            (&other.host, &other.tenant, other.source) == (&certificate.host, &certificate.tenant, certificate.source)
                && (other.created_at, &other.id) > (certificate.created_at, &certificate.id)
        });
        if newer.count() >= 2 {
            old.push(certificate);
        }
    }
    old
}
