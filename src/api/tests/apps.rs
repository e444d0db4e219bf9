//! Apps through the API: made, configured, deployed to, followed.

use std::time::Duration;

use axum::body::Body;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::{ApiState, Who, World, mounted, request, router, send, state};

const PROJECTS: &str = "/api/v1/tenants/acme/projects";
const SHOP: &str = "/api/v1/tenants/acme/projects/shop/environments/production";
/// Longer than anything here takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn world_with_shop(folder: &std::path::Path) -> (World, axum::Router) {
    let world = World::new(folder).await;
    let router = mounted(folder, &world).into_router();
    let made =
        send(&router, request(Method::POST, PROJECTS, Some(world.token(Who::Owner)), Some(json!({"name": "shop"}))))
            .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    (world, router)
}

#[tokio::test]
async fn an_app_is_made_configured_and_looked_at() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world_with_shop(dir.path()).await;
    let owner = Some(world.token(Who::Owner));
    let get = async |path: &str| send(&router, request(Method::GET, path, owner, None)).await.json();

    let again = send(&router, request(Method::POST, PROJECTS, owner, Some(json!({"name": "shop"})))).await;
    assert_eq!(again.problem(), (409, "conflict".to_owned()));
    let staging =
        request(Method::POST, &format!("{PROJECTS}/shop/environments"), owner, Some(json!({"name": "staging"})));
    assert_eq!(send(&router, staging).await.status, StatusCode::CREATED);
    let list = get(PROJECTS).await;
    let names: Vec<_> = list["items"].as_array().expect("items").iter().map(|a| a["environment"].as_str()).collect();
    assert_eq!(names, [Some("production"), Some("staging")]);
    assert_eq!(get(SHOP).await["state"], "empty");

    let change = json!({"set": {"GREETING": "hello"}, "unset": []});
    let changed = send(&router, request(Method::PATCH, &format!("{SHOP}/config"), owner, Some(change))).await;
    assert_eq!((changed.status, changed.json()["version"].as_i64()), (StatusCode::ACCEPTED, Some(1)));
    assert_eq!(get(&format!("{SHOP}/config")).await["values"], json!({"GREETING": "hello"}));
    let names =
        send(&router, request(Method::GET, &format!("{SHOP}/config/names"), Some(world.token(Who::Viewer)), None))
            .await;
    assert_eq!(names.json(), json!({"items": ["GREETING"]}));
    let hidden =
        send(&router, request(Method::GET, &format!("{SHOP}/config"), Some(world.token(Who::Viewer)), None)).await;
    assert_eq!(hidden.problem().0, 403);

    let added = send(
        &router,
        request(Method::POST, &format!("{SHOP}/domains"), owner, Some(json!({"host": "shop.example.com"}))),
    )
    .await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    assert_eq!(get(&format!("{SHOP}/domains")).await["items"].as_array().map(Vec::len), Some(2));
    let removed =
        send(&router, request(Method::DELETE, &format!("{SHOP}/domains/shop.example.com"), owner, None)).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    for (method, path) in [(Method::POST, "restart"), (Method::POST, "rollback"), (Method::POST, "start")] {
        let answer = send(&router, request(method, &format!("{SHOP}/{path}"), owner, None)).await;
        assert_eq!(answer.problem().0, 409, "nothing is deployed: {path}: {}", answer.text);
    }
    let missing = send(&router, request(Method::GET, &SHOP.replace("shop", "shap"), owner, None)).await;
    assert_eq!(missing.problem(), (404, "not-found".to_owned()));
}

#[tokio::test]
async fn a_request_sent_twice_with_one_key_is_carried_out_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world_with_shop(dir.path()).await;
    let deploy = |key: &str, who: Who| {
        let body = Some(json!({"image": "ghcr.io/acme/shop:1.2"}));
        let mut request = request(Method::POST, &format!("{SHOP}/deployments"), Some(world.token(who)), body);
        request.headers_mut().insert("idempotency-key", key.parse().expect("a header"));
        request
    };
    let first = send(&router, deploy("k1", Who::Owner)).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    assert!(first.headers.get("idempotency-replayed").is_none());
    let second = send(&router, deploy("k1", Who::Owner)).await;
    assert_eq!((second.status, second.json()["id"].clone()), (StatusCode::ACCEPTED, first.json()["id"].clone()));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let other = send(&router, deploy("k1", Who::Developer)).await;
    assert!(other.headers.get("idempotency-replayed").is_none(), "another person's key");
    let long = send(&router, deploy(&"k".repeat(201), Who::Owner)).await;
    assert_eq!(long.problem(), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn an_operation_is_followed_to_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world_with_shop(dir.path()).await;
    let owner = Some(world.token(Who::Owner));
    let body = Some(json!({"image": "ghcr.io/acme/shop:1.2"}));
    let begun = send(&router, request(Method::POST, &format!("{SHOP}/deployments"), owner, body)).await.json();
    let operation = format!("{SHOP}/operations/{}", begun["id"].as_str().expect("an id"));
    // It may have failed already, which is an end as good as any.
    let cancelled = send(&router, request(Method::POST, &format!("{operation}/cancel"), owner, None)).await;
    assert!([StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(&cancelled.status), "{}", cancelled.text);
    let log = request(Method::GET, &format!("{operation}/log?follow=true"), owner, None);
    let log = timeout(PATIENCE, send(&router, log)).await.expect("ends");
    assert_eq!(log.headers[CONTENT_TYPE], "application/x-ndjson");
    let last: Value = serde_json::from_str(log.text.lines().last().expect("a line")).expect("JSON");
    assert!(last["end"]["finished_at"].is_string(), "{}", log.text);
    let lines = log.text.lines().count() - 1;

    let events =
        timeout(PATIENCE, send(&router, request(Method::GET, &format!("{operation}/events"), owner, None))).await;
    let events = events.expect("ends");
    assert_eq!(events.headers[CONTENT_TYPE], "text/event-stream");
    assert_eq!(events.text.matches("event: line\n").count(), lines, "{}", events.text);
    assert_eq!(events.text.matches("event: end\n").count(), 1, "{}", events.text);
    let present = send(&router, request(Method::GET, &format!("{operation}/log"), owner, None)).await;
    assert_eq!(present.text.lines().count(), lines, "{}", present.text);
    let list = send(&router, request(Method::GET, &format!("{SHOP}/operations?limit=1"), owner, None)).await.json();
    assert_eq!(list["items"][0]["id"], begun["id"]);
}

#[tokio::test]
async fn an_upload_larger_than_the_limit_is_refused_while_it_is_streamed() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, _) = world_with_shop(dir.path()).await;
    let state = state(dir.path(), world.store.clone(), world.clock.clone());
    let router = router(ApiState { upload_limit: 100_000, ..state }).into_router();
    let upload = |body: Body| {
        let request = Request::post(format!("{SHOP}/sources?message=m")).header(CONTENT_TYPE, "application/x-tar");
        request.header(AUTHORIZATION, format!("Bearer {}", world.token(Who::Owner))).body(body).expect("a request")
    };
    // No length is known in advance, so that the limit must be found on the way.
    let chunks = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![1_u8; 10_000])));
    let answer = send(&router, upload(Body::from_stream(chunks))).await;
    assert_eq!(answer.problem(), (413, "too-large".to_owned()), "{}", answer.text);
    let broken = futures_util::stream::iter([Ok(vec![1_u8; 10]), Err(std::io::Error::other("cut off"))]);
    assert_eq!(send(&router, upload(Body::from_stream(broken))).await.problem().0, 422);
}

#[tokio::test]
async fn a_one_off_command_is_asked_for_over_a_websocket() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world_with_shop(dir.path()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move { axum::serve(listener, router).await });
    for (first, expected) in [
        (Message::text(r#"{"command": ["ls"]}"#), "nothing is deployed"),
        (Message::text(r#"{"comand": ["ls"]}"#), "unknown field `comand`"),
        (Message::binary("ls"), "first frame must be text"),
    ] {
        let mut request = format!("ws://{address}{SHOP}/run").into_client_request().expect("a request");
        let bearer = format!("Bearer {}", world.token(Who::Developer)).parse().expect("a header");
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("connects");
        socket.send(first).await.expect("sends");
        let last = timeout(PATIENCE, socket.next()).await.expect("answers").expect("a frame").expect("good");
        let last: Value = serde_json::from_str(last.to_text().expect("text")).expect("JSON");
        assert!(last["error"].as_str().is_some_and(|e| e.contains(expected)), "{last}");
        assert!(matches!(timeout(PATIENCE, socket.next()).await, Ok(Some(Ok(Message::Close(_))))));
    }
    let refused = tokio_tungstenite::connect_async(format!("ws://{address}{SHOP}/run")).await;
    assert!(refused.expect_err("no credential").to_string().contains("401"));
    served.abort();
}
