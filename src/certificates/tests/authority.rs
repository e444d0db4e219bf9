//! Pebble, the test authority of Debian, with the DNS it asks. Both are ended when this is dropped.
//! The stories in `tests/it/` use this file too.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Key id and key (base64url) of the external account the authority knows.
pub(crate) const EXTERNAL: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// A running authority.
pub(crate) struct Authority {
    dir: tempfile::TempDir,
    children: Vec<Child>,
    pub(crate) directory: String,
    management: u16,
    dns_management: u16,
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether it is installed; when the tests must have it (`WHARF_TEST_PEBBLE=1`), its absence is a failure.
pub(crate) fn is_there() -> bool {
    let found = Command::new("pebble").arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let must = std::env::var_os("WHARF_TEST_PEBBLE").is_some();
    assert!(found || !must, "pebble is not installed; tests/prepare.sh installs it");
    if !found {
        eprintln!("left out: pebble is not installed (tests/prepare.sh installs it)");
    }
    found
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Authority {
    /// One that checks names at these ports of this machine, with faults named by pebble's own variables.
    pub(crate) fn start(http: u16, tls: u16, faults: &[(&str, &str)]) -> Self {
        Self::launch(http, tls, faults, false)
    }

    /// The same, for those with an external account only.
    pub(crate) fn for_members(http: u16, tls: u16) -> Self {
        Self::launch(http, tls, &[], true)
    }

    fn launch(http: u16, tls: u16, faults: &[(&str, &str)], members_only: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("wharf-pebble-").tempdir().unwrap();
        let [listen, management, dns, dns_management] = std::array::from_fn(|_| free_port());
        own_certificate(dir.path());
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.path().join("own.pem"), "privateKey": dir.path().join("own.key"),
            "httpPort": http, "tlsPort": tls, "ocspResponderURL": "", "externalAccountBindingRequired": members_only,
            "externalAccountMACKeys": {EXTERNAL.0: EXTERNAL.1},
        }});
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        std::fs::write(dir.path().join("hmac.key"), EXTERNAL.1).unwrap();
        let log = |name: &str| std::fs::File::create(dir.path().join(name)).unwrap();
        let names = Command::new("pebble-challtestsrv")
            .args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{dns_management}")])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .stdout(log("dns.log"))
            .stderr(log("dns.err"))
            .spawn()
            .unwrap();
        let pebble = Command::new("pebble")
            .arg("-config")
            .arg(dir.path().join("config.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .envs(faults.iter().copied())
            .stdout(log("pebble.log"))
            .stderr(log("pebble.err"))
            .spawn()
            .unwrap();
        let directory = format!("https://localhost:{listen}/dir");
        let this = Self { dir, children: vec![pebble, names], directory, management, dns_management };
        for port in [listen, management, dns_management] {
            this.until_it_listens(port);
        }
        this
    }

    fn until_it_listens(&self, port: u16) {
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "port {port} does not answer: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pebble.log")).unwrap_or_default()
    }

    /// Ends it; its files stay.
    pub(crate) fn close(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The CA certificate its own HTTPS is checked with.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The key of the external account.
    pub(crate) fn hmac_file(&self) -> PathBuf {
        self.dir.path().join("hmac.key")
    }

    /// A file with the root of the certificates it makes.
    pub(crate) fn root_file(&self) -> PathBuf {
        let file = self.dir.path().join("root.pem");
        let url = format!("https://localhost:{}/roots/0", self.management);
        let mut curl = Command::new("curl");
        curl.args(["-sSf", "--noproxy", "*", "--cacert"]).arg(self.ca_file()).arg("-o").arg(&file).arg(url);
        assert!(curl.status().unwrap().success());
        file
    }

    /// A DNS hook that makes records in the DNS the authority asks, and writes down how it was called.
    pub(crate) fn dns_hook(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (file, calls) = (self.dir.path().join("hook"), self.hook_calls());
        let text = format!(
            r#"#!/usr/bin/env python3
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
body = {{"host": name + "."}}
if verb == "present":
    body["value"] = value
url = "http://127.0.0.1:{}/" + {{"present": "set-txt", "cleanup": "clear-txt"}}[verb]
urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(url, json.dumps(body).encode())
print(verb, name, file=open("{}", "a"))
"#,
            self.dns_management,
            calls.display()
        );
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// Where the hook writes down how it was called.
    pub(crate) fn hook_calls(&self) -> PathBuf {
        self.dir.path().join("calls")
    }
}

/// A certificate for `localhost` by an authority nobody knows.
fn own_certificate(dir: &std::path::Path) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "nobody's authority");
    let mut own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    own.distinguished_name.push(DnType::CommonName, "localhost");
    let signed = own.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    for (name, text) in [
        ("ca.pem", ca.self_signed(&ca_key).unwrap().pem()),
        ("own.pem", signed.pem()),
        ("own.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}
