//! Upstreams that fail, and what is done about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tokio::net::TcpListener;

use super::harness::*;
use crate::ingress::ClientError;
use crate::ingress::snapshot::{RateKey, RateLimit, Route, Snapshot};

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}.test\r\nConnection: close\r\n\r\n")
}

/// Answers one request per connection, then closes without saying so; counts the requests.
async fn one_shot() -> (Server, Arc<AtomicU32>) {
    let served = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&served);
    let server = Server::start(move |mut wire| {
        let count = Arc::clone(&count);
        async move {
            if wire.message().await.is_some() {
                count.fetch_add(1, SeqCst);
                wire.send(OK).await;
            }
        }
    })
    .await;
    (server, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_keep_alive_connections_never_show() {
    let (server, served) = one_shot().await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    let mut wire = ingress.connect().await;
    for n in 1..=50 {
        let request = if n % 2 == 0 {
            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
        } else {
            "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi"
        };
        wire.send(request).await;
        let (head, body) = wire.message().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && body == b"ok", "{head}");
        assert_eq!(served.load(SeqCst), n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_never_sent_twice() {
    let received = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&received);
    let server = Server::start(move |mut wire| {
        let count = Arc::clone(&count);
        async move {
            // Takes the request and dies before answering.
            if wire.message().await.is_some() {
                count.fetch_add(1, SeqCst);
            }
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[server.address, server.address])]).await;
    let post = ingress.raw("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(post.starts_with("HTTP/1.1 502 "), "{post}");
    assert_eq!(received.load(SeqCst), 1);
    let get = ingress.raw(get("a")).await;
    assert!(get.starts_with("HTTP/1.1 502 "), "{get}");
    assert_eq!(received.load(SeqCst), 3, "a GET may be tried on the other upstream, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_upstream_is_passed_over_and_then_avoided() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[dead().await, server.address])]).await;
    for _ in 0..40 {
        assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    }
    let status = ingress.status().await;
    let refusing = status.upstreams.iter().find(|upstream| upstream.connect_failures > 0).unwrap();
    assert!(refusing.ejected && refusing.connect_failures < 5, "{refusing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_upstream_is_always_tried() {
    let address = dead().await;
    let ingress = Ingress::start(vec![route("a", &[address])]).await;
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 502 "));
    let _server = Server::on(TcpListener::bind(address).await.unwrap(), |mut wire| async move {
        wire.message().await;
        wire.send(OK).await;
    });
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    assert!(!ingress.status().await.upstreams[0].ejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_in_504_and_slow_heads_in_408() {
    let server = Server::start(|mut wire| async move {
        wire.rest().await;
    })
    .await;
    let route = with_policy(route("a", &[server.address]), |policy| policy.response_timeout_ms = 300);
    let mut snapshot = Snapshot { version: 1, boot: "t".into(), routes: vec![route], ..Snapshot::default() };
    snapshot.settings.head_timeout_ms = 300;
    snapshot.settings.keep_alive_ms = 300;
    let ingress = Ingress::start_with(snapshot).await;
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 504 "));
    assert!(ingress.raw("GET / HTTP/1.1\r\nHost: a.te").await.starts_with("HTTP/1.1 408 "));
    assert_eq!(ingress.raw("").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_spread_by_weight() {
    let (light, heavy) = (Server::answering(OK).await, Server::answering(OK).await);
    let mut weighted = route("a", &[light.address, heavy.address]);
    weighted.upstreams[1].weight = 9;
    let ingress = Ingress::start(vec![weighted]).await;
    let mut wire = ingress.connect().await;
    for _ in 0..400 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        wire.message().await.unwrap();
    }
    let light = light.seen().len();
    assert!((15..=80).contains(&light), "{light} of 400 went to a tenth of the weight");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_rate_limit_get_429_and_the_limit_outlives_a_table_swap() {
    let server = Server::answering(OK).await;
    let limit =
        RateLimit { requests: 1, window_ms: 3_600_000, burst: 3, key: RateKey::Address, ..RateLimit::default() };
    let limited = with_policy(route("a", &[server.address]), |policy| policy.rate_limit = Some(limit));
    let ingress = Ingress::start(vec![limited.clone()]).await;
    for _ in 0..2 {
        assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    }
    ingress.routes(2, vec![limited]).await;
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    let refused = ingress.raw(get("a")).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let wait: u32 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upstream_gets_little() {
    let fast = Server::answering(OK).await;
    let slow = Server::start(|mut wire| async move {
        while wire.message().await.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            wire.send(OK).await;
        }
    })
    .await;
    let ingress = Ingress::start(vec![route("a", &[slow.address, fast.address])]).await;
    let mut wire = ingress.connect().await;
    for _ in 0..200 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        wire.message().await.unwrap();
    }
    let fast = fast.seen().len();
    assert!(fast > 190, "the fast one got {fast} of 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_generations_are_refused_and_broken_tables_change_nothing() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![route("a", &[server.address])]).await;
    ingress.routes(5, vec![route("a", &[server.address])]).await;
    let old = Snapshot { version: 1, boot: "test".into(), generation: 4, ..Snapshot::default() };
    assert!(matches!(ingress.client.put_snapshot(&old).await, Err(ClientError::Older { .. })));
    let broken = Snapshot { generation: 6, routes: vec![Route { id: "x".into(), ..Route::default() }], ..old.clone() };
    let error = ingress.client.put_snapshot(&broken).await.unwrap_err().to_string();
    assert!(error.contains("route `x` has no host"), "{error}");
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(ingress.status().await.generation, 5);
    // A new boot starts over.
    ingress.client.put_snapshot(&Snapshot { boot: "next".into(), ..old }).await.unwrap();
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_snapshot_does_not_empty_a_route_that_answers() {
    let server = Server::answering(OK).await;
    let gone = dead().await;
    let ingress =
        Ingress::start(vec![route("a", &[server.address]), route("b", &[gone]), route("c", &[server.address])]).await;
    let empty = |suspect| Snapshot {
        version: 1,
        boot: "test".into(),
        generation: 2,
        suspect,
        routes: vec![route("a", &[]), route("b", &[])],
        ..Snapshot::default()
    };
    let applied = ingress.client.put_snapshot(&empty(true)).await.unwrap();
    assert_eq!(applied.held_routes, ["a", "c"]);
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 200 "));
    assert!(ingress.raw(get("b")).await.starts_with("HTTP/1.1 503 "));
    assert!(ingress.raw(get("c")).await.starts_with("HTTP/1.1 200 "));
    let applied = ingress.client.put_snapshot(&empty(false)).await.unwrap();
    assert_eq!(applied.held_routes, [""; 0]);
    assert!(ingress.raw(get("a")).await.starts_with("HTTP/1.1 503 "));
}
