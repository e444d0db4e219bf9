//! Uploads, good and bad: each fault is said in a sentence.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::certificates::CertificateError;
use crate::certificates::chain::{Facts, check};
use crate::kernel::clock::Timestamp;

/// Within the years below.
const NOW: Timestamp = Timestamp(1_800_000_000_000); // 2027-01-15

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    fn issue(&self, names: &[&str], years: (i32, i32)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn fault(result: Result<Facts, CertificateError>) -> (&'static str, String) {
    match result {
        Err(CertificateError::Refused { field, sentence }) => (field, sentence),
        other => panic!("should be refused, but: {other:?}"),
    }
}

#[test]
fn a_good_chain_is_taken_and_described() {
    let authority = Authority::new("Test Root");
    let (own, key) = authority.issue(&["shop.example.com", "*.example.org"], (2026, 2028));
    let facts = check(&format!("{own}{}", authority.pem), &key, "shop.example.com", NOW).unwrap();
    assert_eq!(facts.names, ["shop.example.com", "*.example.org"]);
    assert_eq!(facts.issuer, "Test Root");
    assert_eq!(facts.not_after.rfc3339(), "2028-01-01T00:00:00.000Z");
    assert_eq!((facts.fingerprint.len(), facts.note), (64, None));
    check(&own, &key, "www.example.org", NOW).expect("a wildcard covers one label");
    let alone = check(&own, &key, "shop.example.com", NOW).unwrap();
    assert!(alone.note.unwrap().contains("only the host's own certificate"));
}

#[test]
fn each_fault_is_said() {
    let authority = Authority::new("Test Root");
    let (own, key) = authority.issue(&["shop.example.com"], (2026, 2028));
    let (_, other_key) = authority.issue(&["shop.example.com"], (2026, 2028));
    let host = "shop.example.com";
    let said = |chain: &str, key: &str, host: &str| fault(check(chain, key, host, NOW));

    let (field, text) = said("hello", &key, host);
    assert!(field == "certificate" && text.contains("no certificate in it"), "{text}");
    let (field, text) = said(&own, "hello", host);
    assert!(field == "key" && text.contains("no private key in it"), "{text}");
    let (field, text) = said(&own, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", host);
    assert!(field == "key" && text.contains("passphrase"), "{text}");
    let (field, text) = said(&own, &other_key, host);
    assert!(field == "key" && text.contains("does not belong to this certificate"), "{text}");
    let (field, text) = said(&own, &key, "www.example.com");
    assert_eq!(field, "certificate");
    assert_eq!(text, "the certificate stands for shop.example.com, but not for www.example.com");
    let (field, text) = said(&format!("{}{own}", authority.pem), &key, host);
    assert!(field == "certificate" && text.contains("belongs to certificate 2 of the file"), "{text}");
    let stranger = Authority::new("Another Root");
    let (_, text) = said(&format!("{own}{}", stranger.pem), &key, host);
    assert!(text.contains("certificate 2 of the file did not sign certificate 1"), "{text}");
    // Same name, another key: the name alone proves nothing.
    let impostor = Authority::new("Test Root");
    let (_, text) = said(&format!("{own}{}", impostor.pem), &key, host);
    assert!(text.contains("did not sign certificate 1"), "{text}");
}

#[test]
fn ended_and_future_certificates_are_refused() {
    let authority = Authority::new("Test Root");
    let (own, key) = authority.issue(&["a.test"], (2020, 2021));
    let (_, text) = fault(check(&own, &key, "a.test", NOW));
    assert!(text.contains("ended on 2021-01-01"), "{text}");
    let (own, key) = authority.issue(&["a.test"], (2030, 2031));
    let (_, text) = fault(check(&own, &key, "a.test", NOW));
    assert!(text.contains("only from 2030-01-01"), "{text}");
}
