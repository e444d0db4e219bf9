//! Who is let in, what robots are told, what pages the ingress itself shows, and what operators can do.

use argon2::{Argon2, PasswordHasher};
use base64::Engine as _;

use super::harness::*;
use crate::ingress::run;
use crate::ingress::snapshot::{
    Access, BasicAuth, BasicUser, ForwardAuth, Maintenance, Route, Snapshot, UpstreamAddress,
};

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{headers}Connection: close\r\n\r\n")
}

fn with_access(mut route: Route, change: impl FnOnce(&mut Access)) -> Route {
    change(&mut route.access);
    route
}

#[tokio::test(flavor = "multi_thread")]
async fn address_lists_see_the_client_behind_trusted_proxies() {
    let server = Server::answering(OK).await;
    let route = with_access(route("a", &[server.address]), |access| {
        access.allow = vec!["10.0.0.0/8".into()];
        access.deny = vec!["10.9.0.0/16".into()];
    });
    let mut snapshot = Snapshot { version: 1, boot: "t".into(), routes: vec![route], ..Snapshot::default() };
    let direct = Ingress::start_with(snapshot.clone()).await;
    assert!(direct.raw(get("/", "X-Forwarded-For: 10.1.1.1\r\n")).await.starts_with("HTTP/1.1 403 "));
    snapshot.settings.trusted_proxies = vec!["127.0.0.1".into(), "10.2.0.0/16".into()];
    let behind = Ingress::start_with(snapshot).await;
    for (chain, status) in
        [("10.1.1.1", 200), ("10.9.1.1", 403), ("10.1.1.1, 10.2.0.1", 200), ("10.1.1.1, 6.6.6.6", 403)]
    {
        let got = behind.raw(get("/", &format!("X-Forwarded-For: {chain}\r\n"))).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{chain}: {got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_auth_asks_checks_once_and_keeps_the_password_from_the_app() {
    let server = Server::answering(OK).await;
    let hash = Argon2::default().hash_password(b"right:one").unwrap().to_string();
    let users = vec![BasicUser { name: "ada".into(), hash }];
    let basic = BasicAuth { realm: "shop".into(), users, pass_on: false };
    let route = with_access(route("a", &[server.address]), |access| access.basic = Some(basic));
    let ingress = Ingress::start(vec![route]).await;
    let with = |text: &str| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        get("/", &format!("Authorization: Basic {encoded}\r\n"))
    };
    let asked = ingress.raw(get("/", "")).await;
    assert!(asked.starts_with("HTTP/1.1 401 "), "{asked}");
    assert_eq!(header(&asked, "www-authenticate"), Some("Basic realm=\"shop\", charset=\"UTF-8\""));
    for wrong in ["ada:wrong", "bob:right:one", "ada:", "nothing"] {
        assert!(ingress.raw(with(wrong)).await.starts_with("HTTP/1.1 401 "), "{wrong}");
    }
    let begun = std::time::Instant::now();
    assert!(ingress.raw(with("ada:right:one")).await.starts_with("HTTP/1.1 200 "));
    let first = begun.elapsed();
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        assert!(ingress.raw(with("ada:right:one")).await.starts_with("HTTP/1.1 200 "));
    }
    assert!(begun.elapsed() < first * 10, "eleven checks in {:?} after one in {first:?}", begun.elapsed());
    assert!(server.seen().iter().all(|head| header(head, "authorization").is_none()));
    let shown = ingress.client.snapshot().await.unwrap();
    assert_eq!(shown.routes[0].access.basic.as_ref().unwrap().users[0].hash, "");
    assert_eq!(ingress.client.route_stats(None).await.unwrap()[0].events.denied, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_auth_decides_and_its_headers_cannot_be_forged() {
    let server = Server::answering(OK).await;
    let auth = Server::start(|mut wire| async move {
        let Some((head, _)) = wire.message().await else { return };
        let is_known = header(&head, "cookie") == Some("session=1");
        let about = header(&head, "x-forwarded-uri") == Some("/secret?x=1");
        wire.send(match (is_known, about) {
            (true, true) => "HTTP/1.1 204 No Content\r\nX-User: ada\r\n\r\n",
            _ => "HTTP/1.1 302 Found\r\nLocation: https://login.test/\r\nContent-Length: 5\r\n\r\nlogin",
        })
        .await;
    })
    .await;
    let forward = ForwardAuth {
        address: UpstreamAddress::Tcp(auth.address),
        path: "/check".into(),
        host: String::new(),
        copy_headers: vec!["X-User".into()],
        timeout_ms: 5_000,
    };
    let route = with_access(route("a", &[server.address]), |access| access.forward = Some(forward));
    let ingress = Ingress::start(vec![route]).await;
    let refused = ingress.raw(get("/secret?x=1", "X-User: root\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 302 ") && refused.ends_with("login"), "{refused}");
    assert_eq!(header(&refused, "location"), Some("https://login.test/"));
    assert_eq!(server.seen().len(), 0);
    let passed = ingress.raw(get("/secret?x=1", "X-User: root\r\nCookie: session=1\r\n")).await;
    assert!(passed.starts_with("HTTP/1.1 200 "), "{passed}");
    let head = server.seen().remove(0);
    assert_eq!(header(&head, "x-user"), Some("ada"));
    assert!(!head.contains("root"), "{head}");
    drop(auth);
    let down = ingress.raw(get("/secret?x=1", "Cookie: session=1\r\n")).await;
    assert!(down.starts_with("HTTP/1.1 503 "), "fails closed: {down}");
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_are_kept_from_previews() {
    let server = Server::answering(OK).await;
    let ingress = Ingress::start(vec![Route { noindex: true, ..route("a", &[server.address]) }]).await;
    let robots = ingress.raw(get("/robots.txt", "")).await;
    assert!(robots.starts_with("HTTP/1.1 200 ") && robots.ends_with("User-agent: *\nDisallow: /\n"), "{robots}");
    let page = ingress.raw(get("/", "")).await;
    assert_eq!(header(&page, "x-robots-tag"), Some("noindex, nofollow"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_have_their_own_error_pages() {
    let mut branded = route("a", &[]);
    branded.error_pages.insert("5xx".into(), "<h1>Shop {status}</h1>{detail}".into());
    branded.error_pages.insert("maintenance".into(), "<h1>Back soon</h1>".into());
    let ingress = Ingress::start(vec![branded.clone()]).await;
    let page = ingress.raw(get("/", "Accept: text/html\r\n")).await;
    assert!(page.starts_with("HTTP/1.1 503 ") && page.contains("<h1>Shop 503</h1>No instance"), "{page}");
    assert!(ingress.raw(get("/", "")).await.contains("application/problem+json"), "programs get no page");
    branded.maintenance = Some(Maintenance::default());
    ingress.routes(2, vec![branded]).await;
    assert!(ingress.raw(get("/", "Accept: text/html\r\n")).await.ends_with("<h1>Back soon</h1>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_drain_compare_and_ask() {
    let (one, two) = (Server::answering(OK).await, Server::answering(OK).await);
    let routes = vec![route("a", &[one.address, two.address]), route("b", &[one.address])];
    let ingress = Ingress::start(routes.clone()).await;
    let id = one.address.to_string();
    ingress.client.drain_upstream(&id, Some("a"), false).await.unwrap();
    ingress.routes(2, routes.clone()).await;
    for _ in 0..20 {
        assert!(ingress.raw(get("/", "")).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((one.seen().len(), two.seen().len()), (0, 20), "drained over a table swap");
    ingress.client.drain_upstream(&id, None, true).await.unwrap();
    assert!(ingress.client.drain_upstream("nobody", None, false).await.unwrap_err().to_string().contains("nobody"));
    let mut changed = routes;
    changed[0].policy.retries = 5;
    changed[1].id = "c".into();
    changed[1].hosts = vec!["c.test".into()];
    let offered = Snapshot { version: 1, boot: "x".into(), generation: 1, routes: changed, ..Snapshot::default() };
    let diff = ingress.client.diff(&offered).await.unwrap();
    assert_eq!((diff.added, diff.removed, diff.unchanged), (vec!["c".to_owned()], vec!["b".to_owned()], 0));
    assert_eq!(diff.changed[0].fields, ["policy.retries: 2 -> 5"]);
    assert_eq!(ingress.status().await.generation, 2, "nothing was changed");
    let stats = ingress.client.route_stats(Some("a")).await.unwrap();
    assert!(stats[0].classes[2] == 20 && stats[0].latency.p99_us > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_alone_ingress_follows_its_file_and_refuses_a_broken_one() {
    let server = Server::answering(OK).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.json");
    let text = |host: &str| {
        format!(
            "{{\n \"routes\": [\n  {{\"id\": \"a\", \"hosts\": [\"{host}\"],\n   \"upstreams\": [{{\"id\": \"i\", \"address\": {{\"tcp\": \"{}\"}}}}]}}\n ]\n}}\n",
            server.address
        )
    };
    std::fs::write(&file, text("one.test")).unwrap();
    let mut config = config(dir.path().to_owned());
    config.config_file = Some(file.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(run(config.clone(), async { drop(stopped.await) }));
    let client = crate::ingress::Client::new(dir.path().join("run/ingress.sock"));
    let address = until_some(|| async { Some(client.status().await.ok()?.listening[0]) }).await;
    let ask = |host: &'static str| async move {
        let mut wire = Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
        wire.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        wire.rest().await
    };
    assert!(ask("one.test").await.starts_with("HTTP/1.1 200 "));
    std::fs::write(&file, text("two.test")).unwrap();
    until_some(|| async { ask("two.test").await.starts_with("HTTP/1.1 200 ").then_some(()) }).await;
    // Broken: the table in use stays, also when the file is good again in another way.
    std::fs::write(&file, text("a b")).unwrap();
    let refused = run(config, std::future::pending()).await.unwrap_err().to_string();
    assert!(refused.contains("routes.json, line 3: route `a` has the host `a b`"), "{refused}");
    assert!(ask("two.test").await.starts_with("HTTP/1.1 200 "));
    std::fs::write(&file, text("three.test")).unwrap();
    until_some(|| async { ask("three.test").await.starts_with("HTTP/1.1 200 ").then_some(()) }).await;
    drop(stop);
    running.await.unwrap().unwrap();
}
