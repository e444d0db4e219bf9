//! gRPC end to end, and protocols switched inside HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

use super::h2_client::{ask, connect, request, take};
use super::harness::*;
use crate::ingress::snapshot::{Protocol, Route};

/// An upstream that speaks HTTP/2 without TLS.
async fn h2c_server<F>(
    handle: impl Fn(Request<h2::RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) -> std::net::SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    counting(handle).await.0
}

/// The same, with the number of connections it was asked for.
async fn counting<F>(
    handle: impl Fn(Request<h2::RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) -> (std::net::SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handle = handle.clone();
            counted.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(handle(request, respond));
                }
            });
        }
    });
    (address, connections)
}

fn h2c(id: &str, upstreams: &[std::net::SocketAddr]) -> Route {
    Route { protocol: Protocol::H2c, ..route(id, upstreams) }
}

fn call(path: &str) -> Request<()> {
    let mut request = request("POST", path);
    request.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    request
}

fn status(code: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", "well%20done".parse().unwrap());
    trailers
}

/// Answers every piece of the request with the same piece, then with trailers.
async fn echo(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!((request.uri().authority().unwrap().as_str(), request.version()), ("a.test", http::Version::HTTP_2));
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    if request.uri().path() == "/refused" {
        let (mut parts, ()) = response.into_parts();
        parts.headers.insert("grpc-status", "5".parse().unwrap());
        respond.send_response(Response::from_parts(parts, ()), true).unwrap();
        return;
    }
    let mut send = respond.send_response(response, false).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        send.send_data(piece, false).unwrap();
    }
    send.send_trailers(status("0")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_arrive_with_their_trailers() {
    let ingress = Ingress::start(vec![h2c("a", &[h2c_server(echo).await])]).await;
    let client = connect(&ingress).await;
    for size in [0, 5, 3_000_000] {
        let message = vec![7u8; size];
        let answer = ask(&client, call("/greet"), &message).await.unwrap();
        assert_eq!((answer.head.status().as_u16(), answer.header("content-type")), (200, Some("application/grpc")));
        assert!(answer.body == message, "{size}");
        assert_eq!((answer.trailer("grpc-status"), answer.trailer("grpc-message")), (Some("0"), Some("well%20done")));
    }
    // An answer of trailers only is one head that ends the stream: clients look for the status there.
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(call("/refused"), false).unwrap();
    body.send_data(Bytes::new(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!((&response.headers()["grpc-status"], response.body().is_end_stream()), (&"5".parse().unwrap(), true));
    let status = ingress.status().await;
    assert_eq!((status.requests, status.upstreams[0].requests), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_streams_both_ways_at_once() {
    let ingress = Ingress::start(vec![h2c("a", &[h2c_server(echo).await])]).await;
    let mut client = connect(&ingress).await.ready().await.unwrap();
    let (response, mut send) = client.send_request(call("/chat"), false).unwrap();
    let mut body = response.await.unwrap().into_body();
    for n in 0..20u8 {
        send.send_data(Bytes::from(vec![n; 100]), false).unwrap();
        let mut got = 0;
        while got < 100 {
            let piece = tokio::time::timeout(LIMIT, body.data()).await.unwrap().unwrap().unwrap();
            assert!(piece.iter().all(|byte| *byte == n));
            got += piece.len();
        }
    }
    send.send_data(Bytes::new(), true).unwrap();
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_share_a_few_connections() {
    let (server, connections) = counting(echo).await;
    let ingress = Ingress::start(vec![h2c("a", &[server])]).await;
    let client = connect(&ingress).await;
    let calls = (0..300).map(|_| {
        let client = client.clone();
        async move { ask(&client, call("/greet"), b"hello").await.unwrap() }
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!((answer.body.as_slice(), answer.trailer("grpc-status")), (&b"hello"[..], Some("0")));
    }
    assert!(connections.load(SeqCst) <= 4, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_reach_h2c_upstreams_too() {
    let server = h2c_server(|request, mut respond: SendResponse<Bytes>| async move {
        assert!(!request.headers().contains_key("connection") && !request.headers().contains_key("host"));
        let response = Response::builder().header("x-path", request.uri().path()).body(()).unwrap();
        let mut send = respond.send_response(response, false).unwrap();
        send.send_data(Bytes::from_static(b"over h2c"), true).unwrap();
    })
    .await;
    let ingress = Ingress::start(vec![h2c("a", &[server])]).await;
    let mut wire = ingress.connect().await;
    for path in ["/1", "/2"] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let head = wire.head().await;
        assert_eq!((header(&head, "x-path"), header(&head, "connection")), (Some(path), None), "{head}");
        assert_eq!(wire.chunks().await, b"over h2c");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_in_grpc_status() {
    let closed = Route { empty_reason: Some("scaled to 0".into()), ..h2c("a", &[]) };
    let ingress = Ingress::start(vec![closed, h2c("down", &[dead().await])]).await;
    let client = connect(&ingress).await;
    let answer = ask(&client, call("/greet"), b"hello").await.unwrap();
    assert_eq!((answer.head.status().as_u16(), answer.header("grpc-status")), (200, Some("14")));
    assert!(answer.header("grpc-message").unwrap().contains("scaled to 0"));
    let to = |host: &str| {
        let mut call = call("/greet");
        *call.uri_mut() = format!("http://{host}/greet").parse().unwrap();
        call
    };
    assert_eq!(ask(&client, to("down.test"), b"x").await.unwrap().header("grpc-status"), Some("14"));
    assert_eq!(ask(&client, to("nobody.test"), b"x").await.unwrap().header("grpc-status"), Some("12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_call_holds_here_too() {
    let server = h2c_server(|request, mut respond: SendResponse<Bytes>| async move {
        if request.uri().path() == "/late" {
            let _send = respond.send_response(Response::new(()), false).unwrap();
            std::future::pending::<()>().await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let ingress = Ingress::start(vec![h2c("a", &[server])]).await;
    let client = connect(&ingress).await;
    let with_deadline = |path: &str| {
        let mut call = call(path);
        call.headers_mut().insert("grpc-timeout", "200m".parse().unwrap());
        call
    };
    let answer = ask(&client, with_deadline("/silent"), b"x").await.unwrap();
    assert_eq!((answer.head.status().as_u16(), answer.header("grpc-status")), (200, Some("4")));
    assert!(ask(&client, with_deadline("/late"), b"x").await.is_err(), "what has begun is broken off");
    until_some(|| async { (ingress.status().await.upstreams[0].in_flight == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_h2c_upstream_is_reached_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async |listener: &TcpListener| {
        let (stream, _) = listener.accept().await.unwrap();
        h2::server::handshake(stream).await.unwrap()
    };
    let ingress = Ingress::start(vec![h2c("a", &[address])]).await;
    let client = connect(&ingress).await;
    for n in 0..3 {
        let asked = tokio::spawn({
            let client = client.clone();
            async move { ask(&client, request("GET", "/"), b"").await }
        });
        let mut connection: h2::server::Connection<_, Bytes> = accept(&listener).await;
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(Response::builder().status(200 + n).body(()).unwrap(), true).unwrap();
        let driving = tokio::spawn(async move {
            let _ = connection.accept().await;
        });
        assert_eq!(asked.await.unwrap().unwrap().head.status().as_u16(), 200 + n);
        // The upstream goes away; the next request finds a new one.
        driving.abort();
        let _ = driving.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_through_http_2() {
    let server = Server::start(|mut wire| async move {
        let head = wire.head().await;
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
        assert_eq!((header(&head, "upgrade"), header(&head, "connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
        assert_eq!(header(&head, "sec-websocket-key").unwrap().len(), 24);
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\nhello").await;
        let echoed = wire.exactly(100_000).await;
        wire.send(echoed).await;
        wire.closed().await;
        wire.send("bye").await;
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut client = connect(&ingress).await.ready().await.unwrap();
    let mut asked = request("CONNECT", "/chat");
    asked.extensions_mut().insert(h2::ext::Protocol::from("websocket"));
    asked.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    let (response, mut send) = client.send_request(asked, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["sec-websocket-protocol"]),
        (200, &"p".parse().unwrap())
    );
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let mut left = Bytes::from(vec![b'x'; 100_000]);
    let sending = async {
        while !left.is_empty() {
            send.reserve_capacity(left.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            send.send_data(left.split_to(room.min(left.len())), left.is_empty() && room > 0).unwrap();
        }
    };
    let (_, answer) = futures_util::future::join(sending, take(response)).await;
    let body = answer.unwrap().body;
    assert!(body.starts_with(b"hellox") && body.ends_with(b"xbye") && body.len() == 100_008, "{}", body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_to_h2c_upstreams_go_over_http_1_1() {
    let server = Server::start(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "upgrade"), Some("websocket"));
        wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello").await;
    })
    .await;
    let ingress = Ingress::start(vec![h2c("a", &[server.address])]).await;
    let answer =
        ingress.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("hello"), "{answer}");
}
