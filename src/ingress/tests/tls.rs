//! HTTPS with a real client: certificates by name, swapped live.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::*;
use crate::ingress::snapshot::{Certificate, Snapshot};

pub(crate) const ONE: (&str, &str) = (include_str!("certs/one.pem"), include_str!("certs/one.key.pem"));
pub(crate) const TWO: (&str, &str) = (include_str!("certs/two.pem"), include_str!("certs/two.key.pem"));

pub(crate) fn certificate(names: &[&str], (chain, key): (&str, &str)) -> Certificate {
    Certificate {
        names: names.iter().map(|name| (*name).into()).collect(),
        chain_pem: chain.into(),
        key_pem: key.into(),
    }
}

/// A TLS connection that trusts only this certificate.
async fn connect(ingress: &Ingress, name: &str, trusted: (&str, &str)) -> std::io::Result<TlsStream<TcpStream>> {
    connect_with(ingress, name, trusted, &[]).await
}

/// The same, offering these protocols.
pub(crate) async fn connect_with(
    ingress: &Ingress,
    name: &str,
    trusted: (&str, &str),
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let address = ingress.status().await.listening_tls[0];
    client(TcpStream::connect(address).await?, name, trusted, protocols).await
}

/// TLS on a connection, trusting only this certificate.
pub(crate) async fn client(
    stream: TcpStream,
    name: &str,
    trusted: (&str, &str),
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.0.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
}

async fn get(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

fn snapshot(server: &Server, generation: u64, certificates: Vec<Certificate>) -> Snapshot {
    let mut secure = with_policy(route("one", &[server.address]), |policy| {
        policy.https_redirect = true;
        policy.hsts_secs = 600;
    });
    secure.hosts = vec!["one.test".into(), "a.one.test".into()];
    let routes = vec![secure, route("two", &[server.address])];
    let mut snapshot =
        Snapshot { version: 1, boot: "t".into(), generation, routes, certificates, ..Snapshot::default() };
    snapshot.settings.https_port = 8443;
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_chosen_by_name_and_swapped_live() {
    let server = Server::answering(OK).await;
    let one = certificate(&["one.test", "*.one.test"], ONE);
    let ingress = Ingress::start_with(snapshot(&server, 1, vec![one.clone()])).await;
    for name in ["one.test", "a.one.test"] {
        let answer = get(&mut connect(&ingress, name, ONE).await.unwrap(), name).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
        assert_eq!(header(&answer, "strict-transport-security"), Some("max-age=600"));
        assert_eq!(header(server.seen().last().unwrap(), "x-forwarded-proto"), Some("https"));
    }
    assert!(connect(&ingress, "two.test", TWO).await.is_err(), "no certificate for this name yet");
    let mut open = connect(&ingress, "one.test", ONE).await.unwrap();
    let two = certificate(&["*"], TWO);
    ingress.client.put_snapshot(&snapshot(&server, 2, vec![one, two])).await.unwrap();
    let answer = get(&mut connect(&ingress, "two.test", TWO).await.unwrap(), "two.test").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(get(&mut open, "one.test").await.starts_with("HTTP/1.1 200 "), "an open connection outlives the swap");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_sent_to_https_where_the_route_says_so() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start_with(snapshot(&server, 1, vec![])).await;
    let answer = ingress.raw("GET /p?q=1 HTTP/1.1\r\nHost: one.test:8080\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert_eq!(header(&answer, "location"), Some("https://one.test:8443/p?q=1"));
    let answer = ingress.raw("GET / HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && header(&answer, "strict-transport-security").is_none(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_inside_and_broken_ones_are_refused_whole() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start_with(snapshot(&server, 1, vec![certificate(&["one.test"], ONE)])).await;
    let shown = ingress.client.snapshot().await.unwrap();
    assert_eq!((shown.certificates[0].names.len(), shown.certificates[0].key_pem.as_str()), (1, ""));
    assert!(!format!("{:?}", certificate(&["one.test"], ONE)).contains("PRIVATE"));
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(ingress.dir.path().join("data/ingress/snapshot.json")).unwrap(),
    );
    assert_eq!(mode & 0o777, 0o600);
    for broken in [(ONE.0, TWO.1), (ONE.0, "no key"), ("no chain", ONE.1)] {
        let error = ingress
            .client
            .put_snapshot(&snapshot(&server, 2, vec![certificate(&["one.test"], broken)]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("one.test"), "{error}");
    }
    assert_eq!(ingress.status().await.generation, 1);
    connect(&ingress, "one.test", ONE).await.unwrap();
}
