//! The pure rules: who covers what, when to renew, which certificate serves, what is waited for.

use std::collections::BTreeSet;

use crate::certificates::model::*;
use crate::certificates::names::{covers, is_local, registered_domain};
use crate::certificates::rules::*;
use crate::kernel::clock::Timestamp;
use crate::kernel::id::{CertificateId, TenantId};
use crate::kernel::name::HostName;
use crate::kernel::random::Random;

const DAY: i64 = 24 * 3600 * 1000;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn certificate(seed: u64, name: &str, source: Source, from_days: i64, to_days: i64) -> Certificate {
    let random = Random::seeded(seed);
    Certificate {
        id: CertificateId::new(NOW, &random),
        tenant: None,
        host: host(name),
        source,
        names: vec![name.to_owned()],
        issuer: "Test".into(),
        fingerprint: "0000".into(),
        chain_pem: String::new(),
        sealed_key: Vec::new(),
        not_before: NOW.plus_ms(from_days * DAY),
        not_after: NOW.plus_ms(to_days * DAY),
        added_by: "wharf".into(),
        created_at: NOW.plus_ms(from_days * DAY),
    }
}

fn wanted(name: &str) -> Wanted {
    Wanted { host: host(name), tenant: None, policy: HttpsPolicy::default() }
}

struct Case {
    wanted: Wanted,
    certificates: Vec<Certificate>,
    renewal: Option<Renewal>,
    supply: Supply,
    budget: Budget,
}

impl Case {
    fn of(name: &str) -> Self {
        let budget = Budget { most_domain: 50, most_name: 5, ..Budget::default() };
        Self { wanted: wanted(name), certificates: Vec::new(), renewal: None, supply: Supply::Acme, budget }
    }

    fn with(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    fn after(mut self, renewal: Renewal) -> Self {
        self.renewal = Some(renewal);
        self
    }

    fn judge(&self) -> (Step, Status) {
        let hosts: BTreeSet<HostName> = [self.wanted.host.clone()].into();
        judge(&Facts {
            wanted: &self.wanted,
            certificates: &self.certificates,
            hosts: &hosts,
            renewal: self.renewal.as_ref(),
            supply: self.supply.clone(),
            budget: self.budget.clone(),
            now: NOW,
        })
    }
}

#[test]
fn a_star_stands_for_one_label_and_not_below_a_top_level_name() {
    for (name, host, expected) in [
        ("shop.example.com", "shop.example.com", true),
        ("*.example.com", "shop.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("*.example.com", "*.example.com", true),
        ("*.b.example.com", "*.example.com", false),
        ("*.com", "example.com", false),
        ("*.localhost", "shop.localhost", false),
        ("*.localhost", "*.localhost", true),
    ] {
        assert_eq!(covers(name, host), expected, "{name} for {host}");
    }
}

#[test]
fn local_names_and_registered_domains_are_known() {
    assert!(is_local("localhost", &[]) && is_local("shop.localhost", &[]) && is_local("*.localhost", &[]));
    assert!(!is_local("notlocalhost", &[]) && !is_local("localhost.example.com", &[]));
    assert!(is_local("shop.corp.example", &["corp.example".into()]));
    assert_eq!(registered_domain("a.b.example.com"), "example.com");
    assert_eq!(registered_domain("*.shop.example.co.uk"), "example.co.uk");
    assert_eq!(registered_domain("localhost"), "localhost");
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_and_a_little_earlier_by_lot() {
    let mut one = certificate(1, "shop.example.com", Source::Acme, -60, 30);
    assert_eq!(renew_at(&one), NOW, "ninety days: thirty before the end");
    one.fingerprint = "ffff".into();
    assert_eq!(renew_at(&one), NOW.plus_ms(-3 * DAY), "at most a thirtieth of its life earlier");
}

#[test]
fn pauses_grow_after_failures_and_stay_below_what_authorities_allow() {
    let minutes: Vec<i64> = (1..=8).map(|n| pause_after(n, 0.0) / 60_000).collect();
    assert_eq!(minutes, [2, 6, 18, 54, 162, 486, 720, 720]);
    assert!(pause_after(3, 1.0) > pause_after(3, 0.0));
    assert_eq!(pause_after(u32::MAX, 0.0), 12 * 3600 * 1000);
}

#[test]
fn the_valid_one_serves_first_and_the_old_one_when_there_is_no_other() {
    let (old, good) =
        (certificate(1, "a.test", Source::Uploaded, -90, -1), certificate(2, "a.test", Source::Acme, -10, 80));
    let newer = certificate(3, "a.test", Source::Acme, -1, 60);
    let uploaded = certificate(4, "a.test", Source::Uploaded, -20, 10);
    let id = |all: &[Certificate]| choose(&host("a.test"), None, all, NOW).map(|c| c.id.clone());
    assert_eq!(id(&[]), None);
    assert_eq!(id(std::slice::from_ref(&old)), Some(old.id.clone()), "an ended one beats none");
    assert_eq!(id(&[old.clone(), good.clone()]), Some(good.id.clone()));
    assert_eq!(id(&[newer.clone(), good.clone()]), Some(newer.id.clone()), "the newest, whatever its end");
    assert_eq!(id(&[newer, good, uploaded.clone(), old]), Some(uploaded.id), "what somebody uploaded comes first");
}

#[test]
fn a_certificate_serves_only_hosts_of_its_own_tenant() {
    let random = Random::seeded(9);
    let (mine, theirs) = (TenantId::new(NOW, &random), TenantId::new(NOW, &random));
    let mut wild = certificate(1, "*.example.com", Source::Uploaded, -1, 60);
    wild.tenant = Some(theirs.clone());
    let all = [wild];
    assert!(choose(&host("shop.example.com"), Some(&theirs), &all, NOW).is_some());
    assert!(choose(&host("shop.example.com"), Some(&mine), &all, NOW).is_none());
    assert!(choose(&host("shop.example.com"), None, &all, NOW).is_none());
}

#[test]
fn the_first_certificate_is_ordered_at_once() {
    let (step, status) = Case::of("a.test").judge();
    assert_eq!((step, status.state), (Step::Order, State::Pending));
}

#[test]
fn local_names_are_served_by_the_local_authority() {
    let case = Case { supply: Supply::Local, ..Case::of("a.localhost") };
    assert_eq!(case.judge().0, Step::MakeLocal);
    let case = case.with(certificate(1, "a.localhost", Source::Local, -1, 396));
    assert_eq!(case.judge().0, Step::Nothing);
    // The operator has made the name a real one.
    let case = Case { supply: Supply::Acme, ..case };
    assert_eq!(case.judge().0, Step::Order);
}

#[test]
fn nothing_is_done_while_a_certificate_is_fresh() {
    let (step, status) = Case::of("a.test").with(certificate(1, "a.test", Source::Acme, -10, 80)).judge();
    assert_eq!((step, status.state, status.detail), (Step::Nothing, State::Valid, None));
}

#[test]
fn a_failed_renewal_waits_its_pause_and_the_old_certificate_serves_on() {
    let old = certificate(1, "a.test", Source::Acme, -70, 20);
    let failed = Renewal {
        failures: 1,
        last_error: Some("the authority is down".into()),
        try_at: Some(NOW.plus_secs(60)),
        ..Renewal::default()
    };
    let case = Case::of("a.test").with(old.clone()).after(failed.clone());
    let (step, status) = case.judge();
    assert_eq!((step, status.state, status.serving), (Step::Nothing, State::Valid, Some(old.id.clone())));
    let detail = status.detail.unwrap();
    assert!(detail.starts_with("the authority is down; it is tried again at 2023-11-14T22:14:20"), "{detail}");
    let again = Renewal { failures: 2, try_at: Some(NOW), ..failed };
    let (step, status) = Case { renewal: Some(again), ..case }.judge();
    assert_eq!((step, status.state), (Step::Order, State::Expiring), "twice in a row somebody is told");
}

#[test]
fn asking_renews_a_fresh_certificate_and_goes_on_after_a_failure() {
    let case = Case::of("a.test").with(certificate(1, "a.test", Source::Acme, -10, 80));
    let asked = Renewal { asked: true, ..Renewal::default() };
    let case = case.after(asked.clone());
    assert_eq!(case.judge().0, Step::Order);
    let failed = Renewal { failures: 1, try_at: Some(NOW.plus_secs(60)), ..asked };
    let case = Case { renewal: Some(failed), ..case };
    let (step, status) = case.judge();
    assert_eq!((step, status.state), (Step::Nothing, State::Valid));
    assert!(status.detail.is_some(), "the failure is said");
}

#[test]
fn the_weeks_budget_holds_orders_back() {
    let mut case = Case::of("a.test");
    case.budget.most_name = 2;
    case.budget.name = vec![NOW.plus_ms(-8 * DAY), NOW.plus_ms(-2 * DAY), NOW.plus_ms(-DAY)];
    assert_eq!(case.budget.wait(NOW), Some(NOW.plus_ms(5 * DAY)), "when the older of the two falls out of the week");
    assert_eq!(case.judge().0, Step::Nothing);
    case.budget.most_name = 3;
    assert_eq!(case.judge().0, Step::Order);
}

#[test]
fn without_a_supply_the_state_says_what_is_missing() {
    let none = Supply::None("set acme.email".into());
    let case = Case { supply: none, ..Case::of("a.test") };
    let (step, status) = case.judge();
    assert_eq!((step, status.state, status.detail.as_deref()), (Step::Nothing, State::Missing, Some("set acme.email")));
    let (_, status) = case.with(certificate(1, "a.test", Source::Uploaded, -90, -1)).judge();
    assert_eq!(status.state, State::Expired);
    assert!(status.state.is_alarm() && status.serving.is_some());
}

#[test]
fn an_uploaded_certificate_is_never_replaced_but_its_end_is_announced() {
    let case = Case::of("a.test").with(certificate(1, "a.test", Source::Uploaded, -60, 30));
    assert_eq!(case.judge().1.state, State::Valid);
    let (step, status) = Case::of("a.test").with(certificate(1, "a.test", Source::Uploaded, -80, 10)).judge();
    assert_eq!((step, status.state), (Step::Nothing, State::Expiring));
}

#[test]
fn redirects_are_for_certificates_everybody_trusts() {
    let (acme, local) =
        (certificate(1, "a.test", Source::Acme, -1, 80), certificate(2, "a.test", Source::Local, -1, 80));
    let auto = HttpsPolicy::default();
    assert_eq!(host_rules(auto, &acme, 600), HostRules { redirect: true, hsts_secs: 600 });
    assert_eq!(host_rules(auto, &local, 600), HostRules { redirect: false, hsts_secs: 0 });
    let on = HttpsPolicy { redirect: Redirect::On, hsts_secs: None };
    assert_eq!(host_rules(on, &local, 600), HostRules { redirect: true, hsts_secs: 0 });
    let off = HttpsPolicy { redirect: Redirect::Off, hsts_secs: Some(5) };
    assert_eq!(host_rules(off, &acme, 600), HostRules { redirect: false, hsts_secs: 5 });
}

#[test]
fn two_of_a_kind_are_kept_and_ended_ones_of_gone_hosts_are_not() {
    let mut all: Vec<Certificate> =
        (0..4_u8).map(|n| certificate(u64::from(n), "a.test", Source::Acme, -40 + i64::from(n), 50)).collect();
    all.push(certificate(9, "gone.test", Source::Acme, -90, -1));
    all.push(certificate(10, "away.test", Source::Acme, -9, 81));
    let hosts: BTreeSet<HostName> = [host("a.test")].into();
    let old: Vec<&CertificateId> = superseded(&all, &hosts, NOW).into_iter().map(|c| &c.id).collect();
    assert_eq!(old, [&all[4].id, &all[0].id, &all[1].id]);
}
