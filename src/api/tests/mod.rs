//! The whole API over a real database: who gets in, what is described, and how errors look.

mod apps;
mod gateway;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::access::matrix::{Who, World, check};
use super::access::{Access, Guard, Mounted, Public, Routes, Schemes};
use super::problem::FACE;
use super::{ApiState, SystemFuture, SystemInfo, SystemView, UPLOAD_LIMIT, openapi, router};
use crate::apps::accounts::SETUP_TOKEN;
use crate::apps::testing::over_fake_engine;
use crate::kernel::clock::{Clock, Timestamp};
use crate::kernel::random::Random;
use crate::store::{Store, settings};
use crate::tenancy::credentials::hash_token;

struct Quiet;

impl SystemInfo for Quiet {
    fn system(&self) -> SystemFuture<'_> {
        Box::pin(async { Ok(view()) })
    }
}

fn view() -> SystemView {
    serde_json::from_value(json!({
        "version": "1", "engine": {"name": "docker", "version": "20.10", "reachable": true, "detail": null},
        "ingress": {"reachable": false, "version": null, "generation": null, "wanted_generation": 3, "routes": 0, "detail": "down"},
        "builds": {"running": 0, "queue": []}, "data_dir_free_bytes": 1
    }))
    .expect("a view")
}

fn state(folder: &Path, store: Store, clock: Clock) -> ApiState {
    let guard = Guard::new(store.clone(), clock.clone());
    let random = Random::seeded(5);
    let apps = over_fake_engine(folder, store, clock.clone(), random.clone());
    ApiState::new(apps, guard, clock, random, Arc::new(Quiet), UPLOAD_LIMIT)
}

fn mounted(folder: &Path, world: &World) -> Mounted {
    router(state(folder, world.store.clone(), world.clock.clone()))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Status and code of an error.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        (self.status.as_u16(), body["code"].as_str().expect("a code").to_owned())
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = router.clone().oneshot(request).await.expect("answers").into_parts();
    let bytes = to_bytes(body, 1 << 24).await.expect("has a body");
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

fn request(method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    match body {
        Some(body) => request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .expect("a request")
}

#[tokio::test]
async fn every_route_admits_exactly_whom_it_declares() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let mounted = mounted(dir.path(), &world);
    let routes = mounted.entries().len();
    assert!(routes > 40, "{routes}");
    let tried = check(&world, mounted, Schemes::TokenOrSession).await;
    assert!(tried > routes * 19, "{tried} requests to {routes} routes");
}

#[tokio::test]
async fn the_description_and_the_table_name_the_same_paths() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let mounted = mounted(dir.path(), &world);
    let document = openapi::document(mounted.entries());
    let (mut described, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            operations.as_object().expect("operations").iter().filter(|(m, _)| *m != "parameters")
        {
            described.insert((method.to_uppercase(), path.clone()));
            assert!(operation["x-wharf-access"].is_string(), "{method} {path} is described but not mounted");
            assert!(ids.insert(operation["operationId"].to_string()), "{method} {path} has the id of another one");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        }
    }
    let api = mounted.entries().iter().filter(|e| e.path.starts_with("/api/v1"));
    let in_table: BTreeSet<_> =
        api.clone().map(|e| (e.method.as_ref().expect("one method").to_string(), e.path.clone())).collect();
    assert_eq!(described, in_table);
    for entry in api {
        let method = entry.method.as_ref().expect("one method").as_str().to_lowercase();
        let operation = &document["paths"][&entry.path][&method];
        let permission = match entry.access {
            Access::Tenant(permission) => serde_json::to_value(permission).expect("a word"),
            _ => Value::Null,
        };
        assert_eq!(operation["x-wharf-permission"], permission, "{method} {}", entry.path);
        for name in entry.path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
            let list = document["paths"][&entry.path]["parameters"].as_array().expect("parameters");
            assert_eq!(list.iter().filter(|p| p["name"] == name).count(), 1, "{} describes {name}", entry.path);
        }
    }
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                map.values().for_each(|v| references(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let document = openapi::document(mounted(dir.path(), &world).entries());
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn the_committed_description_is_current() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let document = openapi::document(mounted(dir.path(), &world).entries());
    let current = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("WHARF_UPDATE").is_some() {
        std::fs::write(&path, &current).expect("writes");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "docs/openapi.json is out of date; run this test with WHARF_UPDATE=1 and commit it");
}

#[tokio::test]
async fn a_new_installation_is_set_up_and_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
    let mut tx = store.write().await.expect("begins");
    settings::put(&mut tx, SETUP_TOKEN, &hash_token("once")).await.expect("writes");
    tx.commit().await.expect("commits");
    let router = router(state(dir.path(), store, Clock::system())).into_router();
    let post = |path: &str, token: Option<&str>, body: Value| request(Method::POST, path, token, Some(body));
    let get = |path: &str, token: &str| request(Method::GET, path, Some(token), None);

    let person = json!({"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"});
    let made =
        send(&router, post("/api/v1/setup", None, json!({"token": "once", "person": person, "tenant": "acme"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let again =
        send(&router, post("/api/v1/setup", None, json!({"token": "once", "person": person, "tenant": "acme"}))).await;
    assert_eq!(again.problem(), (422, "invalid".to_owned()));

    let login = json!({"email": "ann@example.com", "password": "correct horse battery"});
    let token =
        send(&router, post("/api/v1/login", None, login)).await.json()["token"].as_str().expect("a token").to_owned();
    let account = send(&router, get("/api/v1/account", &token)).await.json();
    assert_eq!(account["user"]["operator"], true);
    assert_eq!(account["tenants"], json!([{"slug": "acme", "name": "acme", "role": "owner"}]));

    let new = json!({"name": "ci", "scope": "deploy", "tenant": "acme", "expires_in_days": 30});
    let ci = send(&router, post("/api/v1/account/tokens", Some(&token), new)).await;
    assert_eq!(ci.status, StatusCode::CREATED, "{}", ci.text);
    let ci = ci.json();
    assert!(ci["token"].as_str().expect("a secret").starts_with("wharf_") && ci["expires_at"].is_string());
    let refused = send(&router, get("/api/v1/system", ci["token"].as_str().expect("a secret"))).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
    assert_eq!(send(&router, get("/api/v1/system", &token)).await.json(), serde_json::to_value(view()).expect("JSON"));

    // Three tokens in pages of two.
    let first = send(&router, get("/api/v1/account/tokens?limit=2", &token)).await.json();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let cursor = first["next_cursor"].as_str().expect("more");
    let second = send(&router, get(&format!("/api/v1/account/tokens?limit=2&cursor={cursor}"), &token)).await.json();
    assert_eq!(second["items"].as_array().map(Vec::len), Some(1));
    assert!(second.get("next_cursor").is_none());

    let bob = json!({"email": "bob@example.com", "name": "Bob", "password": "another long password"});
    assert_eq!(send(&router, post("/api/v1/people", Some(&token), bob)).await.status, StatusCode::CREATED);
    let member = json!({"email": "bob@example.com", "role": "viewer"});
    let put = send(&router, request(Method::PUT, "/api/v1/tenants/acme/members", Some(&token), Some(member))).await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{}", put.text);
    let members = send(&router, get("/api/v1/tenants/acme/members", &token)).await.json();
    let emails: Vec<_> = members["items"].as_array().expect("items").iter().map(|m| m["email"].as_str()).collect();
    assert_eq!(emails, [Some("ann@example.com"), Some("bob@example.com")]);

    let id = ci["id"].as_str().expect("an id");
    let revoked =
        send(&router, request(Method::DELETE, &format!("/api/v1/account/tokens/{id}"), Some(&token), None)).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        send(&router, get("/api/v1/account", ci["token"].as_str().expect("one"))).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn who_guesses_passwords_is_told_to_wait() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&dir.path().join("wharf.db")).await.expect("opens");
    let router = router(state(dir.path(), store, Clock::fake(Timestamp(1_000_000)))).into_router();
    let guess =
        || request(Method::POST, "/api/v1/login", None, Some(json!({"email": "a@example.com", "password": "?"})));
    for _ in 0..6 {
        assert_eq!(send(&router, guess()).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let told = send(&router, guess()).await;
    assert_eq!(told.problem(), (429, "too-many-failures".to_owned()));
    assert_eq!(told.headers["retry-after"], "2", "{}", told.text);
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong_and_where() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let router = mounted(dir.path(), &world).into_router();
    let token = world.token(Who::Owner);
    let raw = |kind: &str, body: &str| {
        let request = Request::post("/api/v1/account/tokens").header(AUTHORIZATION, format!("Bearer {token}"));
        request.header(CONTENT_TYPE, kind).body(Body::from(body.to_owned())).expect("a request")
    };
    let unknown = send(&router, request(Method::GET, "/api/v1/nothing", None, None)).await;
    assert_eq!(unknown.problem(), (404, "not-found".to_owned()));
    let method = send(&router, request(Method::PATCH, "/api/v1/account", None, None)).await;
    assert_eq!(method.problem(), (405, "method-not-allowed".to_owned()));
    assert!(method.headers["allow"].to_str().expect("text").contains("GET"));
    assert_eq!(send(&router, raw("text/plain", "{}")).await.problem().0, 415);
    let broken = send(&router, raw("application/json", "{\"name\": \"ci\",\n  oops}")).await;
    assert_eq!(broken.problem().0, 400);
    assert!(broken.text.contains("line 2 column 3"), "{}", broken.text);
    for (body, field) in [
        (r#"{"name": "ci", "scope": "everything"}"#, "scope"),
        (r#"{"name": "ci", "scope": "read", "tenant": "Acme!"}"#, "tenant"),
        (r#"{"name": "ci", "scope": "read", "more": 1}"#, "more"),
        (r#"{"name": "ci", "scope": "read", "expires_in_days": -1}"#, "expires_in_days"),
        (r#"{"name": "", "scope": "read"}"#, "name"),
    ] {
        let answer = send(&router, raw("application/json", body)).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{}", answer.text);
        assert_eq!(answer.json()["field"], field, "{}", answer.text);
    }
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    assert_eq!(send(&router, raw("application/json", &long)).await.problem(), (413, "too-large".to_owned()));
    for (query, field) in [("limit=x", "limit"), ("limit=0", "limit"), ("cursor=%21", "cursor"), ("limt=1", "limt")] {
        let path = format!("/api/v1/account/tokens?{query}");
        let answer = send(&router, request(Method::GET, &path, Some(token), None)).await;
        assert_eq!((answer.problem().0, answer.json()["field"].as_str()), (422, Some(field)), "{}", answer.text);
    }
    let confirm = "/api/v1/tenants/acme/projects/shop/environments/production";
    assert_eq!(send(&router, request(Method::DELETE, confirm, Some(token), None)).await.json()["field"], "confirm");
    let sources = request(Method::POST, &format!("{confirm}/sources"), Some(token), Some(json!({})));
    assert_eq!(send(&router, sources).await.problem().0, 415);
    let run = send(&router, request(Method::GET, &format!("{confirm}/run"), Some(token), None)).await;
    assert_eq!(run.problem(), (426, "upgrade-required".to_owned()));
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let router = mounted(dir.path(), &world).into_router();
    let get = |tag: Option<&str>| {
        let mut request = request(Method::GET, "/api/v1/account", Some(world.token(Who::Viewer)), None);
        tag.map(|t| request.headers_mut().insert(IF_NONE_MATCH, t.parse().expect("a header")));
        request
    };
    let first = send(&router, get(None)).await;
    let tag = first.headers[ETAG].to_str().expect("text").to_owned();
    assert_eq!(first.headers["cache-control"], "private, no-cache");
    for wanted in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let second = send(&router, get(Some(&wanted))).await;
        assert_eq!((second.status, second.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{wanted}");
    }
    assert_eq!(send(&router, get(Some("\"other\""))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_panic_is_an_error_with_an_id_and_no_detail_of_the_inside() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    async fn burst() -> &'static str {
        panic!("a secret of the inside")
    }
    let random = Random::seeded(1);
    let layer = axum::middleware::from_fn_with_state(random, super::reply::finish);
    let table = Routes::new(world.guard(), FACE, ()).get("/burst", Public, burst).finish();
    let router = table.wrap(|router| router.layer(layer)).into_router();
    let answer = send(&router, request(Method::GET, "/burst", None, None)).await;
    assert_eq!(answer.problem(), (500, "internal".to_owned()));
    assert!(answer.json()["error_id"].as_str().expect("an id").starts_with("err_"));
    assert!(!answer.text.contains("secret"), "{}", answer.text);
}
