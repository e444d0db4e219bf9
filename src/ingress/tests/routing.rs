//! Which route takes a request, where it goes, and what is changed about it on the way.

use std::sync::Arc;

use proptest::prelude::*;

use super::harness::*;
use crate::ingress::edit::{Elsewhere, NewPath};
use crate::ingress::registry::Registry;
use crate::ingress::snapshot::{
    Algorithm, Backend, HeaderEdits, Matching, PathMatch, PathRewrite, Pin, Redirect, Rewrite, Route, Snapshot, Sticky,
    ValueMatch,
};
use crate::ingress::table::{Match, Table};
use crate::ingress::validate::validate;
use crate::ingress::view::{self, RequestView};

/// A request by its parts.
#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
}

impl RequestView for Asked {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn query(&self) -> &[u8] {
        self.query.as_bytes()
    }
    fn header(&self, name: &str, n: usize) -> Option<&[u8]> {
        self.headers.iter().filter(|(key, _)| *key == name).nth(n).map(|(_, value)| value.as_bytes())
    }
}

fn asked(method: &'static str, target: &str, headers: &[(&'static str, &str)]) -> Asked {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Asked { method, path: path.into(), query: query.into(), headers }
}

fn matching(id: &str, prefix: &str, matching: Matching) -> Route {
    Route { id: id.into(), hosts: vec!["a.test".into()], path_prefix: prefix.into(), matching, ..Route::default() }
}

fn table(routes: Vec<Route>) -> Table {
    let snapshot = Snapshot { version: 1, boot: "t".into(), routes, ..Snapshot::default() };
    validate(&snapshot).unwrap();
    Table::compile(Arc::new(snapshot), &mut Registry::new(1))
}

fn found<'a>(table: &'a Table, request: &Asked) -> Option<&'a str> {
    match table.find(b"a.test", request) {
        Match::Route(index) => Some(&table.routes[index].route.id),
        Match::UnknownHost | Match::UnknownPath => None,
    }
}

fn exact(name: &str, value: &str) -> ValueMatch {
    ValueMatch { name: name.into(), exact: Some(value.into()), ..ValueMatch::default() }
}

fn routes_of_every_kind() -> Vec<Route> {
    let any = Matching::default;
    let path = |path| Matching { path: Some(path), ..any() };
    vec![
        matching("all", "", any()),
        matching("api", "/api", any()),
        matching("api-post", "/api", Matching { methods: vec!["POST".into()], ..any() }),
        matching("api-pro", "/api", Matching { headers: vec![exact("x-plan", "pro")], ..any() }),
        matching("api-beta", "/api", Matching { cookies: vec![exact("beta", "1")], ..any() }),
        matching("api-v2", "/api", Matching { query: vec![exact("v", "2")], ..any() }),
        matching("health", "", path(PathMatch::Exact("/api/health".into()))),
        matching("image", "", path(PathMatch::Regex(r"^/api/\d+\.png$".into()))),
        matching("first", "/api/first", Matching { methods: vec!["PUT".into()], priority: 9, ..any() }),
        matching("put", "", Matching { path: Some(PathMatch::Exact("/api/first".into())), ..any() }),
    ]
}

#[test]
fn the_most_specific_route_takes_the_request() {
    let table = table(routes_of_every_kind());
    let check = |method, target: &str, headers: &[(&'static str, &str)], want: &str| {
        assert_eq!(found(&table, &asked(method, target, headers)), Some(want), "{method} {target} {headers:?}");
    };
    check("GET", "/", &[], "all");
    check("GET", "/api/x", &[], "api");
    check("POST", "/api/x", &[], "api-post");
    check("GET", "/api/x", &[("x-plan", "pro")], "api-pro");
    check("GET", "/api/x", &[("x-plan", "free")], "api");
    check("POST", "/api/x", &[("x-plan", "pro")], "api-post");
    check("GET", "/api/x", &[("cookie", "a=b; beta=1")], "api-beta");
    check("GET", "/api/x", &[("cookie", "a=b"), ("cookie", "beta=1")], "api-beta");
    check("GET", "/api/x", &[("cookie", "xbeta=1; beta=2")], "api");
    check("GET", "/api/x?a=1&v=2", &[], "api-v2");
    check("GET", "/api/health", &[("x-plan", "pro")], "health");
    check("GET", "/api/health/x", &[], "api");
    check("GET", "/api/12.png", &[], "image");
    check("GET", "/api/12.png.exe", &[], "api");
    check("PUT", "/api/first", &[], "first");
    check("GET", "/api/first", &[], "put");
}

#[test]
fn values_can_be_tested_in_every_way() {
    let test = |change: fn(&mut ValueMatch)| {
        let mut condition = ValueMatch { name: "x-a".into(), ..ValueMatch::default() };
        change(&mut condition);
        let table = table(vec![matching("r", "", Matching { headers: vec![condition], ..Matching::default() })]);
        move |value: Option<&str>| {
            let headers: Vec<_> = value.map(|value| ("x-a", value)).into_iter().collect();
            found(&table, &asked("GET", "/", &headers)).is_some()
        }
    };
    let present = test(|_| {});
    assert!(present(Some("")) && !present(None));
    let absent = test(|one| one.invert = true);
    assert!(!absent(Some("")) && absent(None));
    let prefix = test(|one| one.prefix = Some("v".into()));
    assert!(prefix(Some("v1")) && !prefix(Some("1v")) && !prefix(None));
    let regex = test(|one| one.regex = Some("^[0-9]+$".into()));
    assert!(regex(Some("12")) && !regex(Some("12a")));
}

#[test]
fn conditions_that_cannot_be_are_refused_with_the_reason() {
    let check = |change: &dyn Fn(&mut Route), words: &str| {
        let mut route = matching("r", "", Matching::default());
        change(&mut route);
        let snapshot = Snapshot { version: 1, boot: "t".into(), routes: vec![route], ..Snapshot::default() };
        let error = validate(&snapshot).unwrap_err().to_string();
        assert!(error.starts_with("route `r` ") && error.contains(words), "{error}");
    };
    check(&|r| r.matching.path = Some(PathMatch::Regex("(".into())), "is not valid");
    check(&|r| r.matching.path = Some(PathMatch::Regex("(x{500}){500}".into())), "too complex");
    check(&|r| r.matching.path = Some(PathMatch::Exact("x".into())), "no path");
    check(&|r| r.matching.methods = vec!["get".into()], "capitals");
    check(&|r| r.matching.headers = vec![exact("a b", "")], "no name");
    check(&|r| r.request_headers.set = vec![("Content-Length".into(), "1".into())], "sets that header itself");
    check(&|r| r.response_headers.add = vec![("x".into(), "a\r\nb".into())], "cannot hold");
    check(&|r| r.rewrite.path = Some(PathRewrite::Full("x".into())), "no path");
    check(&|r| r.redirect = Some(Redirect { status: 200, ..Redirect::default() }), "status 200");
    check(&|r| r.redirect = Some(Redirect::default()), "where the request came from");
    check(&|r| r.backends = vec![Backend { weight: 0, id: "a".into(), ..Backend::default() }], "weight 0");
    check(&|r| r.access.allow = vec!["10.0.0.0/99".into()], "10.0.0.0/99");
    check(&|r| drop(r.error_pages.insert("200".into(), String::new())), "`200`");
    check(&|r| r.balance.bounded_load_percent = 50, "below 100");
}

#[test]
fn paths_are_rewritten_and_never_become_another_host() {
    let check = |rewrite: PathRewrite, prefix: &str, path: &str, want: &str| {
        let new = NewPath::compile(&rewrite, prefix).unwrap().apply(path.as_bytes());
        assert_eq!(String::from_utf8(new).unwrap(), want, "{rewrite:?} {path}");
    };
    check(PathRewrite::Prefix("/".into()), "/api", "/api/x/y", "/x/y");
    check(PathRewrite::Prefix("/".into()), "/api", "/api", "/");
    check(PathRewrite::Prefix("/v2/".into()), "/api/", "/api/x", "/v2/x");
    check(PathRewrite::Prefix("/v2".into()), "", "/x", "/v2/x");
    check(PathRewrite::Prefix("/".into()), "/api", "/api//evil.test/", "/evil.test/");
    check(PathRewrite::Full("/one".into()), "", "/x", "/one");
    let regex = |pattern: &str, replacement: &str| PathRewrite::Regex {
        pattern: pattern.into(),
        replacement: replacement.into(),
    };
    check(regex(r"^/users/(\d+)/(?<rest>.*)$", "/u/${rest}/$1"), "", "/users/7/a/b", "/u/a/b/7");
    check(regex("^/gone", ""), "", "/gone//evil.test", "/evil.test");
    check(regex("nothing", "/x"), "", "/y", "/y");
}

#[test]
fn redirects_name_the_new_place() {
    let check = |change: fn(&mut Redirect), tls: bool, host: &str, target: &str, want: &str| {
        let mut redirect = Redirect::default();
        change(&mut redirect);
        assert_eq!(Elsewhere::compile(&redirect, "/old").location(tls, host, target.as_bytes()), want);
    };
    check(|r| r.scheme = Some("https".into()), false, "a.test:8080", "/x?q=1", "https://a.test/x?q=1");
    check(|r| r.host = Some("www.a.test".into()), true, "a.test", "/x", "https://www.a.test/x");
    check(|r| r.port = Some(8443), true, "a.test:443", "/x", "https://a.test:8443/x");
    check(
        |r| r.path = Some(PathRewrite::Prefix("/new".into())),
        false,
        "a.test:8080",
        "/old/x?y",
        "http://a.test:8080/new/x?y",
    );
    check(
        |r| {
            r.path = Some(PathRewrite::Full("/".into()));
            r.keep_query = false;
        },
        false,
        "a.test",
        "/old?y",
        "http://a.test/",
    );
}

proptest! {
    /// The order in which routes are written changes nothing about which of them takes a request.
    #[test]
    fn the_order_of_routes_in_the_table_does_not_matter(
        shuffled in Just(routes_of_every_kind()).prop_shuffle(),
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        target in prop::sample::select(vec!["/", "/api", "/api/health", "/api/1.png", "/api/first", "/api/x?v=2", "/apix"]),
        pro in any::<bool>(),
        beta in any::<bool>(),
    ) {
        let mut headers = Vec::new();
        if pro {
            headers.push(("x-plan", "pro"));
        }
        if beta {
            headers.push(("cookie", "beta=1"));
        }
        let request = asked(method, target, &headers);
        let (one, other) = (table(routes_of_every_kind()), table(shuffled));
        prop_assert_eq!(found(&one, &request), found(&other, &request));
    }

    #[test]
    fn cookies_and_parameters_are_found_among_others(before in "[a-z]{0,5}=[a-z]{0,5}", value in "[a-z0-9]{0,8}") {
        let request = asked("GET", "/", &[("cookie", &format!("{before}; wanted={value};x=y"))]);
        let got = view::cookie(&request, "wanted").map(<[u8]>::to_vec);
        prop_assert_eq!(got, Some(value.clone().into_bytes()));
        let query = format!("{before}&wanted={value}&x=y");
        prop_assert_eq!(view::parameter(query.as_bytes(), "wanted"), Some(value.as_bytes()));
    }
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{headers}Connection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_are_edited_on_their_way() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: secret/1.0\r\nX-Old: 1\r\n\r\nok";
    let server = Server::answering(answer).await;
    let mut route = route("a", &[server.address]);
    route.path_prefix = "/api".into();
    route.rewrite = Rewrite { path: Some(PathRewrite::Prefix("/v1".into())), host: Some("inner.test".into()) };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    route.request_headers =
        HeaderEdits { set: vec![pair("X-Set", "new")], add: vec![pair("X-Add", "2")], remove: vec!["X-Gone".into()] };
    route.response_headers =
        HeaderEdits { set: vec![pair("x-old", "2")], add: vec![pair("x-new", "3")], remove: vec!["server".into()] };
    let ingress = Ingress::start(vec![route]).await;
    let sent = get("/api/x?q=1", "X-Set: old\r\nX-Add: 1\r\nX-Gone: 1\r\nX-Forwarded-Prefix: /evil\r\n");
    let got = ingress.raw(sent).await;
    let seen = server.seen().remove(0);
    assert!(seen.starts_with("GET /v1/x?q=1 HTTP/1.1\r\n"), "{seen}");
    assert_eq!(header(&seen, "host"), Some("inner.test"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("a.test"));
    assert_eq!(header(&seen, "x-forwarded-prefix"), Some("/api"));
    assert_eq!(header(&seen, "x-set"), Some("new"));
    assert_eq!(seen.to_ascii_lowercase().matches("\r\nx-add: ").count(), 2, "{seen}");
    assert!(!seen.contains("X-Gone") && !seen.contains("evil"), "{seen}");
    assert_eq!(header(&got, "x-old"), Some("2"));
    assert_eq!(header(&got, "x-new"), Some("3"));
    assert_eq!(header(&got, "server"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_need_no_upstream() {
    let mut route = route("a", &[]);
    route.redirect = Some(Redirect { status: 302, host: Some("b.test".into()), ..Redirect::default() });
    let ingress = Ingress::start(vec![route]).await;
    let got = ingress.raw(get("/x?y", "")).await;
    assert!(got.starts_with("HTTP/1.1 302 Found\r\n"), "{got}");
    assert_eq!(header(&got, "location"), Some("http://b.test/x?y"));
}

/// Two backends: requests of 1000 that reached each, with these request headers.
async fn split(ingress: &Ingress, servers: [&Server; 2], headers: &str) -> [usize; 2] {
    let before = servers.map(|server| server.seen().len());
    let mut wire = ingress.connect().await;
    for _ in 0..1_000 {
        wire.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n")).await;
        wire.message().await.unwrap();
    }
    [0, 1].map(|n| servers[n].seen().len() - before[n])
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_split_by_weight_and_canaries_are_pinned() {
    let (old, new) = (Server::answering(OK).await, Server::answering(OK).await);
    let mut route = route("a", &[old.address, new.address]);
    route.upstreams[0].backend = "v1".into();
    route.upstreams[1].backend = "v2".into();
    let pin = Pin::Cookie(exact("canary", "yes"));
    route.backends = vec![
        Backend { id: "v1".into(), weight: 90, ..Backend::default() },
        Backend { id: "v2".into(), weight: 10, pins: vec![pin] },
    ];
    let ingress = Ingress::start(vec![route]).await;
    let [_, canary] = split(&ingress, [&old, &new], "").await;
    assert!((60..=140).contains(&canary), "{canary} of 1000 went to 10 %");
    assert_eq!(split(&ingress, [&old, &new], "Cookie: canary=yes\r\n").await, [0, 1_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sticky_clients_keep_their_instance_over_connections_and_swaps() {
    let servers = [Server::answering(OK).await, Server::answering(OK).await, Server::answering(OK).await];
    let mut sticky = route("a", &[servers[0].address, servers[1].address, servers[2].address]);
    sticky.balance.sticky = Some(Sticky::default());
    sticky.balance.algorithm = Algorithm::RoundRobin;
    let ingress = Ingress::start(vec![sticky.clone()]).await;
    let first = ingress.raw(get("/", "")).await;
    let cookie = header(&first, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
    ingress.routes(2, vec![sticky]).await;
    for _ in 0..10 {
        let again = ingress.raw(get("/", &format!("Cookie: {cookie}\r\n"))).await;
        assert_eq!(header(&again, "set-cookie"), None, "{again}");
    }
    let counts = servers.iter().map(|server| server.seen().len()).collect::<Vec<_>>();
    assert!(counts.contains(&11), "{counts:?}");
}
