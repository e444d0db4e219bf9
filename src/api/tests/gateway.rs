//! Settings of the gateway through the API: changed bit by bit, refused with the field, never telling a password.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Who, World, mounted, request, send};

const SHOP: &str = "/api/v1/tenants/acme/projects/shop/environments/production";

async fn world(folder: &std::path::Path) -> (World, axum::Router) {
    let world = World::new(folder).await;
    let router = mounted(folder, &world).into_router();
    let projects = "/api/v1/tenants/acme/projects";
    let new = request(Method::POST, projects, Some(world.token(Who::Owner)), Some(json!({"name": "shop"})));
    assert_eq!(send(&router, new).await.status, StatusCode::CREATED);
    (world, router)
}

#[tokio::test]
async fn an_apps_settings_are_changed_bit_by_bit() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world(dir.path()).await;
    let path = format!("{SHOP}/gateway");
    let patch = async |query: &str, who: Who, change: Value| {
        send(&router, request(Method::PATCH, &format!("{path}{query}"), Some(world.token(who)), Some(change))).await
    };
    let get = async |who: Who| send(&router, request(Method::GET, &path, Some(world.token(who)), None)).await.json();
    let empty = get(Who::Viewer).await;
    assert_eq!((&empty["app"], &empty["hosts"]), (&json!({}), &json!({})));
    assert_eq!(empty["effective"].as_object().map(serde_json::Map::len), Some(1));

    let users = json!({"ann": {"password": "correct horse"}});
    let change = json!({"maintenance": {"message": "soon"}, "basic_auth": {"users": users}, "deny": ["10.0.0.1"]});
    let changed = patch("", Who::Developer, change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert!(!changed.text.contains("argon2") && !changed.text.contains("correct"), "{}", changed.text);
    let want = json!({"maintenance": {"message": "soon"}, "basic_auth": {"users": {"ann": {}}}, "deny": ["10.0.0.1"]});
    assert_eq!(get(Who::Viewer).await["app"], want);
    // One more user; the first one's password stays.
    let more =
        json!({"basic_auth": {"users": {"bob": {"password": "long enough"}}}, "maintenance": null, "deny": null});
    assert_eq!(
        patch("", Who::Developer, more).await.json()["app"],
        json!({"basic_auth": {"users": {"ann": {}, "bob": {}}}})
    );

    let last = json!({"basic_auth": {"users": {"ann": null, "bob": null}}});
    assert_eq!(
        patch("", Who::Developer, last).await.json()["app"],
        json!({}),
        "the last one gone opens the site again"
    );

    let host = get(Who::Owner).await["effective"].as_object().and_then(|m| m.keys().next().cloned()).expect("a host");
    let query = format!("?host={host}");
    let of_host = patch(&query, Who::Owner, json!({"robots": "deny"})).await.json();
    assert_eq!(
        (&of_host["hosts"][&host], &of_host["effective"][&host]["robots"]),
        (&json!({"robots": "deny"}), &json!("deny"))
    );
    let gone = patch(&query, Who::Owner, json!({"robots": null})).await.json();
    assert_eq!(gone["hosts"], json!({}), "empty settings leave nothing");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_nothing_is_stored() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world(dir.path()).await;
    let owner = Some(world.token(Who::Owner));
    let path = format!("{SHOP}/gateway");
    for (change, word) in [
        (json!({"allow": ["10.0.0.0/99"]}), "10.0.0.0/99"),
        (json!({"rate_limit": {"requests": "many", "per_seconds": 1}}), "rate_limit.requests"),
        (json!({"no_such": 1}), "no_such"),
        (json!({"basic_auth": {"users": {"ann": {"hash": "$argon2id$v=19$m=1,t=1,p=1$a$b"}}}}), "hashed here"),
        (json!({"basic_auth": {"users": {"ann": {"password": "short"}}}}), "8 to 256"),
        (json!({"request_headers": {"connection": "close"}}), "connection"),
        (json!({"error_pages": {"503": "x".repeat(70_000)}}), "at most 65536"),
    ] {
        let refused = send(&router, request(Method::PATCH, &path, owner, Some(change.clone()))).await;
        assert_eq!(refused.problem(), (422, "invalid".to_owned()), "{change}");
        assert!(
            refused.json()["detail"].as_str().is_some_and(|text| text.contains(word)),
            "{change}: {}",
            refused.text
        );
    }
    let other = format!("{path}?host=other.example.com");
    assert_eq!(send(&router, request(Method::PATCH, &other, owner, Some(json!({})))).await.problem().0, 404);
    let viewer = request(Method::PATCH, &path, Some(world.token(Who::Viewer)), Some(json!({})));
    assert_eq!(send(&router, viewer).await.problem().0, 403);
    assert_eq!(send(&router, request(Method::GET, &path, owner, None)).await.json()["app"], json!({}));
}

#[tokio::test]
async fn the_platforms_settings_are_the_operators() {
    let dir = tempfile::tempdir().expect("a folder");
    let (world, router) = world(dir.path()).await;
    let operator = Some(world.token(Who::Operator));
    let change = json!({"trusted_proxies": ["10.0.0.0/8"], "access_log": "errors", "defaults": {"compression": false}});
    let changed = send(&router, request(Method::PATCH, "/api/v1/gateway", operator, Some(change.clone()))).await;
    assert_eq!((changed.status, changed.json()), (StatusCode::OK, change));
    let shop =
        send(&router, request(Method::GET, &format!("{SHOP}/gateway"), Some(world.token(Who::Owner)), None)).await;
    let effective = shop.json()["effective"].as_object().and_then(|all| all.values().next().cloned());
    assert_eq!(effective, Some(json!({"compression": false})), "defaults reach apps that say nothing else");
    let bad = json!({"proxy_protocol_from": ["nowhere"]});
    let refused = send(&router, request(Method::PATCH, "/api/v1/gateway", operator, Some(bad))).await;
    assert!(refused.problem().0 == 422 && refused.text.contains("nowhere"), "{}", refused.text);
    // No ingress runs here: what asks it says so, and is no mystery.
    let silent = send(&router, request(Method::GET, "/api/v1/gateway/table", operator, None)).await;
    assert_eq!(silent.problem(), (500, "internal".to_owned()));
}
