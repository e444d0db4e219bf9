//! Connections through a load balancer that speaks the PROXY protocol.

use super::harness::*;
use crate::ingress::snapshot::{Settings, Snapshot};

async fn start(server: &Server, settings: Settings) -> Ingress {
    let routes = vec![route("a", &[server.address])];
    Ingress::start_with(Snapshot {
        version: 1,
        boot: "t".into(),
        generation: 1,
        settings,
        routes,
        ..Snapshot::default()
    })
    .await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_balancer_says_who_the_client_is() {
    let server = Server::answering(OK).await;
    let ingress =
        start(&server, Settings { proxy_protocol_from: vec!["127.0.0.0/8".into()], ..Settings::default() }).await;
    let v2 =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\x05\x06\x07\x08\x03\xe8\x01\xbb"[..], GET.as_bytes()]
            .concat();
    let v1 = format!("PROXY TCP6 2001:db8::7 2001:db8::1 1000 8080\r\n{GET}").into_bytes();
    for (bytes, client, port) in [(v1, "2001:db8::7", "8080"), (v2, "192.0.2.8", "443")] {
        // In two pieces: the header need not come in one.
        let mut wire = ingress.connect().await;
        wire.send(&bytes[..20]).await;
        wire.send(&bytes[20..]).await;
        assert!(wire.rest().await.starts_with("HTTP/1.1 200 "));
        let head = server.seen().pop().unwrap();
        // What the client says about itself is still not believed.
        assert_eq!(header(&head, "x-forwarded-for"), Some(client), "{head}");
        assert_eq!(header(&head, "x-forwarded-port"), Some(port), "{head}");
    }
    // The balancer itself looks whether we live.
    assert!(ingress.raw(format!("PROXY UNKNOWN\r\n{GET}")).await.starts_with("HTTP/1.1 200 "));
    for bad in
        [GET.to_owned(), format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n{GET}"), format!("PROXY TCP4 1.2.3.4\n{GET}")]
    {
        assert_eq!(ingress.raw(bad).await, "", "closed without a word");
    }
    assert_eq!((server.seen().len(), ingress.status().await.connections.refused), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_claim_to_be_somebody() {
    let server = Server::answering(OK).await;
    let ingress =
        start(&server, Settings { proxy_protocol_from: vec!["192.0.2.1".into()], ..Settings::default() }).await;
    let answer = ingress.raw(format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{GET}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(ingress.raw(GET).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(header(&server.seen()[0], "x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_for_the_client_they_are_about() {
    let server = Server::answering(OK).await;
    let settings = Settings {
        proxy_protocol_from: vec!["127.0.0.1".into()],
        max_connections_per_address: 1,
        ..Settings::default()
    };
    let ingress = start(&server, settings).await;
    let mut open = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2"] {
        let mut wire = ingress.connect().await;
        wire.send(format!("PROXY TCP4 {client} 192.0.2.9 1 80\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        assert!(wire.message().await.is_some(), "{client}");
        open.push(wire);
    }
    let again = ingress.raw(format!("PROXY TCP4 192.0.2.2 192.0.2.9 1 80\r\n{GET}")).await;
    assert_eq!((again.as_str(), ingress.status().await.connections.turned_away), ("", 1));
}
