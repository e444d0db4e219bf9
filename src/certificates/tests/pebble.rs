//! Orders at a real authority (pebble), answered by a real ingress: every kind of challenge, faults, forced renewals.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::authority::{Authority, EXTERNAL, is_there};
use super::life::{open, until};
use crate::certificates::model::{Serving, State};
use crate::certificates::settings::{AcmeSettings, ChallengeKind, ExternalAccount};
use crate::certificates::{Certificates, Publish};
use crate::ingress::snapshot::{Route, Snapshot, VERSION};
use crate::ingress::{Client, IngressConfig, run};
use crate::kernel::clock::{Clock, Timestamp};
use crate::scheduler::https;

/// The portal of the platform `paas.test`: the one host every installation has.
const HOST: &str = "wharf.paas.test";
/// Longer than the first pauses after failures.
const HALF_AN_HOUR: i64 = 30 * 60 * 1000;

/// An ingress in this process, fed with what is to be served.
struct Door {
    client: Client,
    http: u16,
    https: u16,
    generation: AtomicU64,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Door {
    async fn open() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let local = vec!["127.0.0.1:0".parse().unwrap()];
        let config = IngressConfig {
            run_dir: dir.path().join("run"),
            data_dir: dir.path().join("data"),
            http: local.clone(),
            https: local,
            workers: 1,
            drain: Duration::from_millis(100),
            config_file: None,
            log_level: None,
        };
        let (stop, client) = (CancellationToken::new(), Client::new(dir.path().join("run/ingress.sock")));
        tokio::spawn(run(config, stop.clone().cancelled_owned()));
        let status = async {
            loop {
                match client.status().await {
                    Ok(status) => return status,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let status = tokio::time::timeout(Duration::from_secs(20), status).await.expect("an ingress");
        let (http, https) = (status.listening[0].port(), status.listening_tls[0].port());
        Arc::new(Self { client, http, https, generation: AtomicU64::new(1), stop, _dir: dir })
    }

    /// What `curl` that trusts this root says about the certificate: its expiry and serial number, or its error.
    async fn look(&self, root: std::path::PathBuf) -> Result<String, String> {
        let resolve = format!("{HOST}:{}:127.0.0.1", self.https);
        let url = format!("https://{HOST}:{}/", self.https);
        let curl = move || {
            let mut curl = Command::new("curl");
            curl.args([
                "-sS",
                "--noproxy",
                "*",
                "--resolve",
                &resolve,
                "-o",
                "/dev/null",
                "-w",
                "%{certs}",
                "--cacert",
            ]);
            curl.arg(root).arg(url).output().unwrap()
        };
        let out = tokio::task::spawn_blocking(curl).await.unwrap();
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    }
}

impl Publish for Door {
    fn publish(&self, serving: Arc<Serving>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let generation = self.generation.fetch_add(1, Ordering::SeqCst);
            let hosts = vec![HOST.to_owned(), "*.paas.test".to_owned()];
            let routes = vec![Route { id: "portal".into(), hosts, ..Route::default() }];
            let mut table =
                Snapshot { version: VERSION, boot: "test".into(), generation, routes, ..Snapshot::default() };
            https::apply(&mut table, &serving, Some(self.https));
            self.client.put_snapshot(&table).await.map(drop).map_err(|e| e.to_string())
        })
    }
}

struct Story {
    certificates: Certificates,
    clock: Clock,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Story {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Story {
    async fn begin(door: &Arc<Door>, acme: AcmeSettings) -> Self {
        // Names the crypto library, as the program does at its start.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        // A little ahead, so that certificates made later hold already.
        let clock = Clock::fake(Clock::system().now().plus_ms(HALF_AN_HOUR));
        let certificates = open(dir.path(), "paas.test", &clock, acme).await;
        let stop = CancellationToken::new();
        tokio::spawn(certificates.clone().run(Arc::clone(door) as Arc<dyn Publish>, stop.clone()));
        Self { certificates, clock, stop, _dir: dir }
    }

    fn state(&self, host: &str) -> Option<(State, String)> {
        let view = self.certificates.view(&host.parse().unwrap())?;
        Some((view.status.state, view.status.detail.unwrap_or_default()))
    }

    fn fingerprint(&self, host: &str) -> Option<String> {
        self.certificates.view(&host.parse().unwrap())?.certificate.map(|c| c.fingerprint)
    }

    /// Waits for a valid certificate; after a failure time passes until the next attempt is due.
    async fn until_valid(&self, host: &str) {
        let is_valid = || match self.state(host) {
            Some((State::Valid, detail)) if detail.is_empty() => true,
            Some((State::Failed | State::Expiring, detail)) if detail.contains("tried again at") => {
                self.clock.advance_ms(HALF_AN_HOUR);
                false
            }
            _ => false,
        };
        until(&self.certificates, "a valid certificate", is_valid).await;
    }
}

fn settings(authority: &Authority, challenges: &[ChallengeKind]) -> AcmeSettings {
    AcmeSettings {
        email: Some("ops@paas.test".into()),
        agree_to_terms: true,
        directory: authority.directory.clone(),
        challenges: challenges.to_vec(),
        dns_hook: vec![authority.dns_hook().display().to_string()],
        extra_ca_file: Some(authority.ca_file()),
        ..AcmeSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_challenge_is_answered_though_nonces_are_refused() {
    if !is_there() {
        return;
    }
    let door = Door::open().await;
    let faults = [("PEBBLE_WFE_NONCEREJECT", "20"), ("PEBBLE_AUTHZREUSE", "0")];
    let authority = Authority::start(door.http, door.https, &faults);
    for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01, ChallengeKind::Dns01] {
        let story = Story::begin(&door, settings(&authority, &[kind])).await;
        story.until_valid(HOST).await;
        door.look(authority.root_file()).await.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    }
    let calls = std::fs::read_to_string(authority.hook_calls()).unwrap();
    assert!(calls.starts_with("present _acme-challenge.wharf.paas.test\n"), "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wildcard_serves_all_below_the_platforms_domain() {
    if !is_there() {
        return;
    }
    let door = Door::open().await;
    let authority = Authority::start(door.http, door.https, &[]);
    let acme = AcmeSettings { wildcard: true, ..settings(&authority, &[ChallengeKind::Http01, ChallengeKind::Dns01]) };
    let story = Story::begin(&door, acme).await;
    story.until_valid("*.paas.test").await;
    story.until_valid(HOST).await;
    assert_eq!(story.fingerprint(HOST), story.fingerprint("*.paas.test"), "no certificate of its own");
    door.look(authority.root_file()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_renewal_swaps_and_a_failed_one_leaves_the_old_certificate() {
    if !is_there() {
        return;
    }
    let door = Door::open().await;
    let mut authority = Authority::start(door.http, door.https, &[("PEBBLE_AUTHZREUSE", "100")]);
    let story = Story::begin(&door, settings(&authority, &[ChallengeKind::Http01])).await;
    story.until_valid(HOST).await;
    let root = authority.root_file();
    let first = story.fingerprint(HOST);
    // The newer one serves; of the same moment, either might.
    story.clock.advance_ms(1_000);
    story.certificates.renew(&HOST.parse().unwrap()).await.unwrap();
    until(&story.certificates, "another certificate", || story.fingerprint(HOST) != first).await;
    let second = story.fingerprint(HOST);
    let seen = door.look(root.clone()).await.unwrap();

    authority.close();
    story.certificates.renew(&HOST.parse().unwrap()).await.unwrap();
    let has_failed = || story.state(HOST).is_some_and(|(_, detail)| detail.contains("gave no account"));
    until(&story.certificates, "a failure that is said", has_failed).await;
    assert_eq!(story.state(HOST).unwrap().0, State::Valid, "once is no alarm");
    story.clock.advance_ms(HALF_AN_HOUR);
    story.certificates.renew(&HOST.parse().unwrap()).await.unwrap();
    let is_alarm = || !story.certificates.summary().warnings.is_empty();
    until(&story.certificates, "an alarm after the second failure", is_alarm).await;
    assert_eq!(story.fingerprint(HOST), second);
    assert_eq!(door.look(root).await.unwrap(), seen, "the old one serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_is_said_with_its_reason_and_another_kind_gets_its_turn() {
    if !is_there() {
        return;
    }
    let door = Door::open().await;
    // The authority looks for HTTP where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let authority = Authority::start(nobody, door.https, &[]);
    let acme = settings(&authority, &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01]);
    let story = Story::begin(&door, acme).await;
    let has_failed = || story.state(HOST).is_some_and(|(state, _)| state == State::Failed);
    until(&story.certificates, "a failed check", has_failed).await;
    let detail = story.state(HOST).unwrap().1;
    assert!(detail.starts_with("the authority's check failed: http-01 for wharf.paas.test: "), "{detail}");
    assert!(detail.contains("it is tried again at "), "{detail}");
    let before: Timestamp = story.clock.now();
    story.until_valid(HOST).await;
    assert!(story.clock.now() > before, "not before its pause had passed");
    door.look(authority.root_file()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_for_its_members_only_is_shown_the_external_account() {
    if !is_there() {
        return;
    }
    let door = Door::open().await;
    let authority = Authority::for_members(door.http, door.https);
    let stranger = Story::begin(&door, settings(&authority, &[ChallengeKind::Http01])).await;
    let has_failed = || stranger.state(HOST).is_some_and(|(state, _)| state == State::Failed);
    until(&stranger.certificates, "a refusal", has_failed).await;
    assert!(stranger.state(HOST).unwrap().1.contains("externalAccountRequired"), "{:?}", stranger.state(HOST));
    drop(stranger);
    let external = ExternalAccount { kid: EXTERNAL.0.into(), hmac_key_file: authority.hmac_file() };
    let acme = AcmeSettings {
        email: None,
        external_account: Some(external),
        ..settings(&authority, &[ChallengeKind::Http01])
    };
    Story::begin(&door, acme).await.until_valid(HOST).await;
}
