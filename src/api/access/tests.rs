use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use tower::ServiceExt as _;

use super::credential::{Shown, shown};
use super::csrf::{Origin, origin, token_matches};
use super::extract::client_address;
use super::failures::Failures;
use super::matrix::{Who, World, check};
use super::{Account, App, In, Me, Operator, Permission, Public, Routes, Schemes, Scope, State, Within};
use crate::api::problem::{FACE, ProblemBody};
use crate::kernel::clock::Timestamp;

/// Compiles only while the named types do NOT implement the trait: otherwise `proof` is ambiguous.
macro_rules! assert_cannot_extract {
    ($what:ty, under $declared:ty) => {
        const _: fn() = || {
            trait Proof<A> {
                fn proof() {}
            }
            impl<T> Proof<()> for T {}
            struct Extractable;
            impl<T: FromRequestParts<Scope<$declared, u8>>> Proof<Extractable> for T {}
            let _ = <$what as Proof<_>>::proof;
        };
    };
}

assert_cannot_extract!(Me, under Public);
assert_cannot_extract!(In, under Public);
assert_cannot_extract!(App, under Public);
assert_cannot_extract!(In, under Account);
assert_cannot_extract!(In, under Operator);
assert_cannot_extract!(App, under Account);

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter().map(|(n, v)| (n.parse::<HeaderName>().expect("n"), HeaderValue::from_str(v).expect("v"))).collect()
}

#[test]
fn credentials_are_read_from_where_the_face_says() {
    let (both, pages, git) = (Schemes::TokenOrSession, Schemes::Session, Schemes::BasicToken);
    let cookie = headers(&[("cookie", "a=b; wharf_session=s1")]);
    assert!(shown(&cookie, both) == Shown::Session("s1".into()));
    assert!(shown(&cookie, git) == Shown::Nothing);
    let bearer = headers(&[("authorization", "bearer t1"), ("cookie", "wharf_session=s1")]);
    assert!(shown(&bearer, both) == Shown::Token("t1".into()));
    assert!(shown(&bearer, pages) == Shown::Session("s1".into()));
    assert!(shown(&bearer, git) == Shown::Unusable);
    // `ann:t1` in base64.
    let basic = headers(&[("authorization", "Basic YW5uOnQx"), ("cookie", "wharf_session=s1")]);
    assert!(shown(&basic, git) == Shown::Token("t1".into()));
    assert!(shown(&basic, both) == Shown::Unusable, "a header that cannot be used is not skipped for a cookie");
    for bad in ["Bearer", "Bearer ", "Basic !!", "Basic YW5u"] {
        let map = headers(&[("authorization", bad)]);
        assert!(shown(&map, both) == Shown::Unusable && shown(&map, git) == Shown::Unusable, "{bad}");
    }
}

#[test]
fn the_origin_of_a_request_is_known() {
    let from = |list: &[(&str, &str)]| origin(&headers(list));
    assert_eq!(from(&[]), Origin::Unsaid);
    assert_eq!(from(&[("sec-fetch-site", "same-origin")]), Origin::Same);
    assert_eq!(from(&[("sec-fetch-site", "same-site"), ("origin", "https://a.b"), ("host", "a.b")]), Origin::Foreign);
    assert_eq!(from(&[("origin", "https://a.b"), ("host", "A.b:443")]), Origin::Same);
    assert_eq!(from(&[("origin", "http://a.b:8080"), ("host", "a.b:8080")]), Origin::Same);
    assert_eq!(from(&[("origin", "http://a.b"), ("host", "a.b:8080")]), Origin::Foreign);
    assert_eq!(from(&[("origin", "null"), ("host", "a.b")]), Origin::Foreign);
    assert_eq!(from(&[("origin", "https://a.b.evil"), ("host", "a.b")]), Origin::Foreign);
    assert!(token_matches(b"abc", "abc"));
    assert!(!token_matches(b"abd", "abc") && !token_matches(b"", "") && !token_matches(b"ab", "abc"));
}

#[test]
fn the_client_address_is_what_our_ingress_wrote() {
    assert_eq!(client_address(&headers(&[("x-forwarded-for", "6.6.6.6, 10.0.0.1")])), "10.0.0.1");
    assert_eq!(client_address(&HeaderMap::new()), "local");
    let mut two = headers(&[("x-forwarded-for", "6.6.6.6")]);
    two.append("x-forwarded-for", HeaderValue::from_static("10.0.0.2"));
    assert_eq!(client_address(&two), "10.0.0.2");
}

#[test]
fn failures_slow_an_address_down_and_are_forgiven() {
    let mut failures = Failures::default();
    let now = Timestamp(1_000_000);
    for _ in 0..60 {
        assert_eq!(failures.wait_ms("10.0.0.1", now), 0);
        failures.failed("10.0.0.1", now);
    }
    assert_eq!(failures.wait_ms("10.0.0.1", now), 1_000);
    assert_eq!(failures.wait_ms("::ffff:10.0.0.1", now), 1_000, "the same address in its IPv6 form");
    assert_eq!(failures.wait_ms("10.0.0.2", now), 0);
    assert_eq!(failures.wait_ms("10.0.0.1", now.plus_ms(1_000)), 0);
    for _ in 0..60 {
        failures.failed("2001:db8::1", now);
    }
    assert!(failures.wait_ms("2001:db8::ffff", now) > 0, "the same /64");
    assert_eq!(failures.wait_ms("2001:db8:0:1::1", now), 0);
}

#[test]
fn the_memory_of_failures_is_bounded_and_keeps_the_worst() {
    let mut failures = Failures::default();
    let now = Timestamp(0);
    for _ in 0..100 {
        failures.failed("10.0.0.1", now);
    }
    for n in 0..20_000_u32 {
        failures.failed(&std::net::Ipv4Addr::from(0x0b00_0000 + n).to_string(), now);
    }
    assert!(failures.remembered() <= 10_000);
    assert!(failures.wait_ms("10.0.0.1", now) > 0);
}

async fn me(Me(who): Me) -> String {
    who.email
}

async fn within(In(caller): In, App(app): App) -> String {
    format!("{} {}/{}", caller.slug, app.project, app.environment)
}

async fn form(State(prefix): State<&'static str>, body: String) -> String {
    format!("{prefix}{body}")
}

fn table(world: &World) -> super::Mounted {
    let mut routes = Routes::new(world.guard(), FACE, "got ")
        .get("/open", Public, async || "open")
        .post("/open", Public, async || "open")
        .get("/me", Account::SEE, me)
        .put("/me", Account::CHANGE, me)
        .post("/form", Account::CHANGE, form)
        .delete("/system", Operator, me)
        .get("/t/{tenant}/{project}", Within(Permission::AppView), within)
        .any("/else/{*rest}", Public, async || "else");
    for permission in Permission::ALL {
        let name = serde_json::to_value(permission).expect("a word");
        let path = format!("/t/{{tenant}}/{}/x", name.as_str().expect("text"));
        routes = routes.get(&path, Within(permission), within).post(&path, Within(permission), within);
    }
    routes.finish()
}

#[tokio::test]
async fn every_declaration_admits_exactly_whom_it_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    for schemes in [Schemes::TokenOrSession, Schemes::Session, Schemes::BasicToken] {
        let face = super::Face { schemes, ..FACE };
        let mut routes = Routes::new(world.guard(), face, ()).get("/open", Public, async || "");
        for permission in Permission::ALL {
            let path = format!("/{{tenant}}/{permission:?}");
            routes = routes.get(&path, Within(permission), within).post(&path, Within(permission), within);
        }
        assert!(check(&world, routes.finish(), schemes).await > 22 * 5);
    }
    assert!(check(&world, table(&world), Schemes::TokenOrSession).await > 300);
}

#[tokio::test]
#[should_panic(expected = "is not behind the gate")]
async fn a_route_beside_the_gate_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let open = axum::Router::new().route("/me", axum::routing::get(async || StatusCode::UNAUTHORIZED));
    let mounted = Routes::new(world.guard(), FACE, ()).get("/me", Account::SEE, me).finish().wrap(|_| open);
    check(&world, mounted, Schemes::TokenOrSession).await;
}

#[tokio::test]
#[should_panic(expected = "exactly when its route is declared")]
async fn a_tenant_route_without_a_tenant_cannot_be_mounted() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let _ = Routes::new(world.guard(), FACE, ()).get("/apps", Within(Permission::AppView), within);
}

async fn send(world: &World, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = table(world).into_router().oneshot(request).await.expect("answers");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("has a body");
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn handlers_learn_who_calls_and_where() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let bearer = format!("Bearer {}", world.token(Who::Viewer));
    let get = |path: &str| Request::get(path).header(AUTHORIZATION, &bearer).body(Body::empty()).expect("a request");
    assert_eq!(send(&world, get("/me")).await.2, "Viewer@example.com");
    assert_eq!(send(&world, get("/t/acme/shop")).await.2, "acme shop/production");
    let (status, _, body) = send(&world, get("/t/acme/Shop")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let (status, _, body) = send(&world, get("/t/%ff/shop")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    let (status, headers, body) = send(&world, Request::get("/me").body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (status, headers["www-authenticate"].as_bytes()),
        (StatusCode::UNAUTHORIZED, &b"Bearer realm=\"wharf\""[..])
    );
    let problem: ProblemBody = serde_json::from_str(&body).expect("a problem");
    assert_eq!((problem.code.as_str(), problem.kind.as_str()), ("unauthenticated", "urn:wharf:unauthenticated"));
}

#[tokio::test]
async fn a_form_carries_the_token_in_a_field_and_is_passed_on_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let (cookie, csrf) = world.session(Who::Owner);
    let post = |body: String, from: &str| {
        let request = Request::builder().method(Method::POST).uri("/form").header(HOST, "wharf.localhost");
        let request = request.header(ORIGIN, from).header(COOKIE, format!("wharf_session={cookie}"));
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(body)).expect("a request")
    };
    let good = format!("a=1&csrf_token={csrf}");
    let (status, _, body) = send(&world, post(good.clone(), "http://wharf.localhost")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, format!("got {good}").as_str()));
    for (body, from) in [
        (good, "http://shop.localhost"),
        ("a=1".to_owned(), "http://wharf.localhost"),
        (format!("a=1&csrf_token={csrf}0"), "http://wharf.localhost"),
    ] {
        assert_eq!(send(&world, post(body.clone(), from)).await.0, StatusCode::FORBIDDEN, "{body} {from}");
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_open_a_websocket_with_a_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let (cookie, _) = world.session(Who::Owner);
    for (from, expected) in [("http://evil.example", StatusCode::FORBIDDEN), ("http://wharf.localhost", StatusCode::OK)]
    {
        let request = Request::get("/me").header(HOST, "wharf.localhost").header(ORIGIN, from);
        let request = request.header("upgrade", "websocket").header(COOKIE, format!("wharf_session={cookie}"));
        assert_eq!(send(&world, request.body(Body::empty()).expect("a request")).await.0, expected, "{from}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_slowed_down_by_address() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let router = table(&world).into_router();
    let ask = async |address: &str, token: &str| {
        let request = Request::get("/me").header("x-forwarded-for", address);
        let request = request.header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).expect("a request");
        router.clone().oneshot(request).await.expect("answers")
    };
    for _ in 0..60 {
        assert_eq!(ask("192.0.2.1", "wrong").await.status(), StatusCode::UNAUTHORIZED);
    }
    let limited = ask("192.0.2.1", "wrong").await;
    assert_eq!(
        (limited.status(), limited.headers()["retry-after"].as_bytes()),
        (StatusCode::TOO_MANY_REQUESTS, &b"2"[..])
    );
    assert_eq!(ask("192.0.2.2", world.token(Who::Owner)).await.status(), StatusCode::OK);
    world.clock.advance_ms(2_000);
    assert_eq!(ask("192.0.2.1", world.token(Who::Owner)).await.status(), StatusCode::OK);
}
