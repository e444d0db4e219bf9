//! HTTPS: from the local authority, from an ACME authority (pebble), uploaded; and what happens when one cannot be had.

#[path = "../../../src/certificates/tests/authority.rs"]
#[expect(dead_code, reason = "the unit tests use more of it")]
mod authority;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use authority::{Authority, is_there};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::apps;
use crate::command::{Done, done};
use crate::harness::{Hold, World, free_port, until};

/// A domain of the app `shop`; pebble's own DNS leads all names to this machine.
const DOMAIN: &str = "shop.pebble.test";

/// Asks a host of this world by HTTPS, trusting only this root.
fn curl(world: &World, root: &Path, host: &str, more: &[&str]) -> Done {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-m", "20", "--resolve", &format!("{host}:{}:127.0.0.1", world.https)]);
    command.arg("--cacert").arg(root).args(more).arg(format!("https://{host}:{}/", world.https));
    done(command, "")
}

/// What the ingress shows for a host: the fingerprint of its certificate.
fn shown(world: &World, host: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{}", world.https), "-servername", host]);
    let pem = done(command, "").out;
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha256"]);
    done(command, &pem).out
}

fn certificate(world: &World, host: &str) -> Value {
    world.cli(&["certs", "show", host, "--app", "shop", "--json"]).ok().json()
}

fn until_state(world: &World, host: &str, state: &str) -> Value {
    until(&format!("the certificate of {host} is {state}"), || {
        let view = certificate(world, host);
        (view["state"] == state).then_some(view)
    })
}

#[test]
fn localhost_is_served_with_certificates_of_the_local_authority() {
    let world = World::shared();
    world.app("lock", &apps::page("locked")).push().ok();
    let root = world.directory("ca").join("ca.pem");
    let printed = world.cli(&["certs", "ca"]).ok();
    assert!(printed.err.contains("update-ca-certificates"), "{}", printed.err);
    std::fs::write(&root, &printed.out).unwrap();
    curl(&world, &root, "lock.localhost", &[]).ok().says("locked");
    curl(&world, &root, "wharf.localhost", &["-o", "/dev/null", "-w", "%{http_code}"]).ok();
    assert_eq!(world.get("lock", "/").status, 200, "nobody is sent to what browsers do not trust");
    let all = world.cli(&["certs", "list", "--platform", "--json"]).ok().json();
    assert!(all.as_array().unwrap().iter().all(|c| c["source"] == "local" && c["state"] == "valid"), "{all}");
    world.cli(&["doctor"]).ok().says("certificates: ");

    world.cli(&["certs", "https", "lock.localhost", "--redirect", "on", "--hsts", "600", "--app", "lock"]).ok();
    let sent_on = until("HTTP is sent on", || Some(world.get("lock", "/")).filter(|reply| reply.status == 308));
    assert!(sent_on.headers.contains(&format!("location: https://lock.localhost:{}/", world.https)), "{sent_on:?}");
    curl(&world, &root, "lock.localhost", &["-D", "-"]).ok().says("max-age=600");
}

/// A world that gets its certificates from this authority, with the app `shop` under [`DOMAIN`].
fn world_of(authority: &Authority, http: u16, https: u16) -> Hold {
    let settings = format!(
        "[acme]\nemail = \"ops@pebble.test\"\nagree_to_terms = true\ndirectory = {:?}\nextra_ca_file = {:?}\n",
        authority.directory,
        authority.ca_file(),
    );
    let world = World::start_with(Path::new("/var/run/docker.sock"), (http, https), &settings);
    world.app("shop", &apps::page("for sale")).push().ok();
    world.cli(&["domains", "add", DOMAIN, "--app", "shop"]).ok();
    world
}

/// Asks without a pause until told to stop; counts what was lost.
struct Asking {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Asking {
    fn begin(world: &World, root: &Path) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let resolve = format!("{DOMAIN}:{}:127.0.0.1", world.https);
        let url = format!("https://{DOMAIN}:{}/", world.https);
        let threads = (0..2).map(|_| {
            let (stop, asked, root) = (Arc::clone(&stop), Arc::clone(&asked), root.to_owned());
            let (resolve, url) = (resolve.clone(), url.clone());
            std::thread::spawn(move || {
                let mut lost = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let mut curl = Command::new("curl");
                    curl.args(["-sSf", "--noproxy", "*", "-m", "10", "-o", "/dev/null", "--resolve", &resolve]);
                    let out = curl.arg("--cacert").arg(&root).arg(&url).output().unwrap();
                    asked.fetch_add(1, Ordering::SeqCst);
                    if !out.status.success() {
                        lost.push(String::from_utf8_lossy(&out.stderr).into_owned());
                    }
                }
                lost
            })
        });
        let threads = threads.collect();
        Self { stop, asked, threads }
    }

    /// How many were asked, and what was lost.
    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let lost = self.threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        (self.asked.load(Ordering::SeqCst), lost)
    }
}

#[test]
fn a_domain_gets_its_certificate_keeps_it_fresh_and_keeps_the_old_one_when_renewal_fails() {
    if !is_there() {
        return;
    }
    let (http, https) = (free_port(), free_port());
    let faults = [("PEBBLE_WFE_NONCEREJECT", "10"), ("PEBBLE_AUTHZREUSE", "50")];
    let mut authority = Authority::start(http, https, &faults);
    let world = world_of(&authority, http, https);
    let root = authority.root_file();
    let first = until_state(&world, DOMAIN, "valid");
    assert_eq!(first["source"], "acme");
    curl(&world, &root, DOMAIN, &[]).ok().says("for sale");
    curl(&world, &root, DOMAIN, &["--tls-max", "1.2", "-o", "/dev/null"]).ok();
    let sent_on = until("HTTP is sent on to HTTPS", || {
        crate::http::get(world.http, DOMAIN, "/").ok().filter(|reply| reply.status == 308)
    });
    assert!(sent_on.headers.contains(&format!("location: https://{DOMAIN}:{https}/")), "{sent_on:?}");
    world.cli(&["status", "--app", "shop"]).ok().says(&format!("https://{DOMAIN}:{https}"));

    // Renewed under load: another certificate, and nothing lost.
    let before = shown(&world, DOMAIN);
    let asking = Asking::begin(&world, &root);
    world.cli(&["certs", "renew", DOMAIN, "--app", "shop"]).ok();
    until("another certificate is shown", || (shown(&world, DOMAIN) != before).then_some(()));
    let (asked, lost) = asking.end();
    assert!(asked > 0 && lost.is_empty(), "{} of {asked} lost: {lost:?}", lost.len());

    // The authority is gone: the old certificate serves on, and it is said why.
    let kept = shown(&world, DOMAIN);
    authority.close();
    world.cli(&["certs", "renew", DOMAIN, "--app", "shop"]).ok();
    let failed = until("the failure is said", || {
        let view = certificate(&world, DOMAIN);
        view["detail"].as_str().is_some_and(|text| text.contains("gave no account")).then_some(view)
    });
    assert_eq!(failed["state"], "valid");
    assert_eq!(shown(&world, DOMAIN), kept);
    curl(&world, &root, DOMAIN, &[]).ok().says("for sale");

    // All of it outlives the control plane, and comes back with it.
    world.kill_serve();
    curl(&world, &root, DOMAIN, &[]).ok().says("for sale");
    let asking = Asking::begin(&world, &root);
    world.start_serve();
    let (asked, lost) = asking.end();
    assert!(asked > 0 && lost.is_empty(), "{} of {asked} lost: {lost:?}", lost.len());
    assert_eq!(shown(&world, DOMAIN), kept);
}

/// A certificate and its key in files, signed by itself.
fn make(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&cert_file, own.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert_file, key_file)
}

#[test]
fn uploads_are_checked_serve_at_once_and_can_be_taken_back() {
    let world = World::shared();
    world.app("shop", &apps::page("for sale")).push().ok();
    let host = "shop.example.test";
    world.cli(&["domains", "add", host, "--app", "shop"]).ok();
    let view = until_state(&world, host, "missing");
    assert!(view["detail"].as_str().unwrap().contains("acme.email"), "{view}");
    let dir = world.directory("uploads");
    let ((cert, key), (other, other_key)) = (make(&dir, host), make(&dir, "other.example.test"));
    let add = |cert: &Path, key: &Path| {
        let files = [cert, key].map(|path| path.display().to_string());
        world.cli(&["certs", "add", host, "--cert", &files[0], "--key", &files[1], "--app", "shop"])
    };
    add(&other, &other_key).ends_with(1).says("stands for other.example.test, but not for shop.example.test");
    add(&cert, &other_key).ends_with(1).says("the key does not belong to this certificate");
    add(&key, &key).ends_with(1).says("there is no certificate in it");
    add(&cert, &cert).ends_with(1).says("there is no private key in it");
    add(&cert, &dir.join("nowhere")).ends_with(2).says("nowhere");
    world.cli(&["certs", "add", "foreign.test", "--cert", "a", "--key", "b", "--app", "shop"]).ends_with(2);

    add(&cert, &key).ok().says("is served with it from now on");
    until("it serves", || (curl(&world, &cert, host, &[]).code == 0).then_some(()));
    curl(&world, &cert, host, &[]).ok().says("for sale");
    let sealed = std::fs::read(world.data().join("wharf.db")).unwrap();
    let body = std::fs::read_to_string(&key).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!String::from_utf8_lossy(&sealed).contains(&body), "the key lies open in the database");
    world.cli(&["certs", "renew", host, "--app", "shop"]).ends_with(5).says("was uploaded");
    world.cli(&["certs", "list", "--app", "shop"]).ok().says("upload");

    world.cli(&["certs", "remove", host, "--app", "shop"]).ok();
    until("it serves no more", || (curl(&world, &cert, host, &[]).code != 0).then_some(()));
    world.cli(&["certs", "remove", host, "--app", "shop"]).ends_with(4).says("no certificate was uploaded");
}
