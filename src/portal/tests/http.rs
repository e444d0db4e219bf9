//! The portal as a browser meets it: who gets in, what is refused and how, and the way from set-up to a new app.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG};
use http::{Method, StatusCode};

use super::html::{Document, page_problems};
use super::world::{Browser, portal};
use crate::api::access::matrix::{Who, World, check};
use crate::api::access::{Entry, Schemes};
use crate::apps::accounts::SETUP_TOKEN;
use crate::kernel::clock::{Clock, Timestamp};
use crate::portal::assets;
use crate::portal::i18n::Language;
use crate::store::{Store, settings};
use crate::tenancy::credentials::hash_token;

#[tokio::test]
async fn every_route_admits_exactly_whom_it_declares() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let mounted = portal(dir.path(), world.store.clone(), world.clock.clone(), world.guard());
    let routes = mounted.entries().len();
    let tried = check(&world, mounted, Schemes::Session).await;
    assert!(routes > 40 && tried > routes * 8, "{tried} requests to {routes} routes");
}

/// Somebody's browser in a world with people, logged in.
async fn browser_of(folder: &std::path::Path, who: Who) -> Browser {
    let world = World::new(folder).await;
    let mut browser = Browser::new(portal(folder, world.store.clone(), world.clock.clone(), world.guard()));
    browser.remember("wharf_session", world.session(who).0);
    browser
}

/// Nobody's browser at a portal that waits for its set-up with the token `once`.
async fn fresh(folder: &std::path::Path) -> Browser {
    let store = Store::open(&folder.join("wharf.db")).await.expect("opens");
    let mut tx = store.write().await.expect("begins");
    settings::put(&mut tx, SETUP_TOKEN, &hash_token("once")).await.expect("puts");
    tx.commit().await.expect("commits");
    let clock = Clock::fake(Timestamp(1_800_000_000_000));
    let guard = crate::api::access::Guard::new(store.clone(), clock.clone());
    Browser::new(portal(folder, store, clock, guard))
}

const PASSWORD: &str = "correct horse battery";

async fn set_up(browser: &mut Browser) {
    let form =
        [("token", "once"), ("name", "Ann"), ("email", "ann@example.com"), ("password", PASSWORD), ("tenant", "acme")];
    let done = browser.post("/setup", &form).await;
    assert_eq!(done.location(), "/t/acme");
}

#[tokio::test]
async fn a_new_installation_leads_to_its_set_up_and_keeps_what_is_typed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    assert_eq!(browser.get("/").await.location(), "/login");
    assert_eq!(browser.get("/login").await.location(), "/setup");
    assert!(browser.get("/setup").await.text.contains("does not carry the right set-up token"));
    assert_eq!(browser.get("/setup?token=once").await.status, StatusCode::OK);

    let short =
        [("token", "once"), ("name", "Ann"), ("email", "ann@example.com"), ("password", "short"), ("tenant", "acme")];
    let refused = browser.post("/setup", &short).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("id=\"password-error\"") && refused.text.contains("value=\"ann@example.com\""));
    assert!(!refused.text.contains("\"short\""), "the password came back");
    let wrong = browser
        .post(
            "/setup",
            &[("token", "guess"), ("name", "Ann"), ("email", "a@b.c"), ("password", PASSWORD), ("tenant", "acme")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);

    set_up(&mut browser).await;
    let apps = browser.get("/t/acme").await;
    assert!(apps.text.contains("No apps yet") && apps.text.contains("Ann"));
    assert_eq!(browser.get("/setup?token=once").await.location(), "/login");
}

#[tokio::test]
async fn an_app_is_made_and_shows_its_first_push() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    set_up(&mut browser).await;
    browser.get("/t/acme/new").await;
    let bad = browser.post("/t/acme/new", &[("name", "My Shop")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.text.contains("value=\"My Shop\"") && bad.text.contains("id=\"name-error\""));
    let made = browser.post("/t/acme/new", &[("name", "shop")]).await;
    assert_eq!(made.location(), "/t/acme/shop/production");
    let taken = browser.post("/t/acme/new", &[("name", "shop")]).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.text.contains("id=\"name-error\""), "{}", taken.text);

    let page = browser.get("/t/acme/shop/production").await;
    assert!(page.text.contains("git remote add wharf http://wharf.localhost/git/acme/shop.git"), "{}", page.text);
    assert!(page.text.contains("The app is made."));
    assert!(!browser.get("/t/acme/shop/production").await.text.contains("The app is made."), "said twice");
    assert_eq!(browser.get("/t/acme/shop").await.location(), "/t/acme/shop/production");

    for tab in ["", "/deploys", "/releases", "/config", "/config/values", "/domains", "/logs", "/settings"] {
        let page = browser.get(&format!("/t/acme/shop/production{tab}")).await;
        assert_eq!(page.status, StatusCode::OK, "{tab}: {}", page.text);
        assert_eq!(page_problems(&page.page()), Vec::<String>::new(), "{tab}");
    }
    for path in ["/t/acme", "/t/acme/shop/production", "/t/acme/shop/production/deploys"] {
        let part = browser.part(path).await;
        assert!(part.status == StatusCode::OK && !part.text.contains("<html"), "{path}");
    }
}

#[tokio::test]
async fn variables_are_stored_hidden_and_shown_on_demand() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    set_up(&mut browser).await;
    browser.get("/t/acme/new").await;
    browser.post("/t/acme/new", &[("name", "shop")]).await;
    let config = "/t/acme/shop/production/config";
    let form = [("name", "TOKEN"), ("value", "s3cret"), ("name", ""), ("value", ""), ("dotenv", "A=1\nB='two words'")];
    assert_eq!(browser.post(config, &form).await.location(), config);
    let hidden = browser.get(config).await;
    assert!(hidden.text.contains("TOKEN") && !hidden.text.contains("s3cret"));
    let shown = browser.get("/t/acme/shop/production/config/values").await;
    assert!(shown.text.contains("s3cret") && shown.text.contains("two words"));
    let bad = browser.post(config, &[("name", "1BAD"), ("value", "keep me"), ("dotenv", "nonsense")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in ["keep me", "nonsense", "id=\"name-error\"", "id=\"dotenv-error\""] {
        assert!(bad.text.contains(kept), "{kept}");
    }
    assert_eq!(browser.post(config, &[("unset", "A"), ("set.TOKEN", "")]).await.location(), config);
    let shown = browser.get("/t/acme/shop/production/config/values").await;
    assert!(shown.text.contains("s3cret") && !shown.text.contains("set.A\""));
}

#[tokio::test]
async fn somebody_unknown_is_sent_to_the_log_in_and_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    set_up(&mut browser).await;
    browser.get("/account").await;
    assert_eq!(browser.post("/logout", &[]).await.location(), "/login");
    let page = "/t/acme/shop/production/logs?service=web";
    assert_eq!(browser.get(page).await.location(), "/login?next=/t/acme/shop/production/logs%3Fservice%3Dweb");
    assert_eq!(browser.part("/t/acme").await.headers["hx-redirect"], "/login");

    let wrong =
        browser.post("/login", &[("email", "ann@example.com"), ("password", "wrong password"), ("next", page)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("do not match an account") && wrong.text.contains("value=\"ann@example.com\""));
    let right = |next| [("email", "ann@example.com"), ("password", PASSWORD), ("next", next)];
    assert_eq!(browser.post("/login", &right("//evil.example")).await.location(), "/");
    assert_eq!(browser.post("/login", &right(page)).await.location(), page);
    let foreign = browser.post_exactly("/login", &right("/"), "https://evil.example").await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn forms_need_the_token_of_the_session_and_refusals_are_pages() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = browser_of(dir.path(), Who::Owner).await;
    let stale =
        browser.post_exactly("/t/acme/new", &[("name", "shop"), ("csrf_token", "no")], "http://wharf.localhost").await;
    assert_eq!(stale.status, StatusCode::FORBIDDEN);
    assert!(stale.text.contains("the page is too old to do this"));
    assert_eq!(page_problems(&stale.page()), Vec::<String>::new());

    let missing = browser.get("/t/acme/nothing/production").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.contains("there is no app `nothing`"));
    let unthinkable = browser.get("/t/acme/NOT%20A%20NAME/production").await;
    assert_eq!(unthinkable.status, StatusCode::NOT_FOUND);
    assert_eq!(page_problems(&unthinkable.page()), Vec::<String>::new());
    assert_eq!(browser.get("/no/such/page").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/t/acme/shop/production/deploys/nonsense").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_viewer_sees_no_buttons_and_gets_no_values() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = browser_of(dir.path(), Who::Viewer).await;
    let apps = browser.get("/t/acme").await;
    assert!(apps.status == StatusCode::OK && !apps.text.contains("/t/acme/new"));
    assert_eq!(browser.get("/t/acme/new").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/t/acme/shop/production/config/values").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/t/rival").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn language_and_theme_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    set_up(&mut browser).await;
    assert_eq!(
        browser.post("/preferences", &[("language", "zh-Hans"), ("next", "/account")]).await.location(),
        "/account"
    );
    browser.post("/preferences", &[("theme", "dark"), ("next", "https://evil.example")]).await;
    let page = browser.get("/account").await;
    assert!(page.text.contains("<html lang=\"zh-Hans\" data-theme=\"dark\">") && page.text.contains("账户与访问凭据"));
}

#[tokio::test]
async fn pages_carry_the_policy_and_files_are_kept_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = fresh(dir.path()).await;
    let page = browser.get("/setup?token=once").await;
    let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers[CACHE_CONTROL], "no-store");

    let style = browser.get(&assets::url("wharf.css")).await;
    assert_eq!((style.status, style.headers["content-type"].to_str().ok()), (StatusCode::OK, Some("text/css")));
    assert_eq!(style.headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert!(style.headers.contains_key(ETAG));
    let packed = browser.get_with(&assets::url("wharf.css"), "accept-encoding", "gzip").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let page = browser.get_with("/setup?token=once", "accept-encoding", "gzip").await;
    assert!(!page.headers.contains_key("content-encoding"), "a page with a token is compressed");
    let old = browser.get("/static/0123456789abcdef/wharf.css").await;
    assert_eq!(old.headers[CACHE_CONTROL], "no-cache");
    assert_eq!(browser.get("/static/0123456789abcdef/nothing.css").await.status, StatusCode::NOT_FOUND);
}

/// Whether a path is one of a route's, parameter by parameter; what other rooms answer is theirs to test.
fn leads_to(path: &str, method: &Method, entries: &[Entry]) -> bool {
    let fits = |pattern: &str| {
        let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len() && wanted.iter().zip(given).all(|(w, g)| w.starts_with('{') || *w == g)
    };
    path.starts_with("/api/") || entries.iter().any(|e| e.method.as_ref() == Some(method) && fits(&e.path))
}

#[tokio::test]
async fn every_link_and_form_of_every_page_leads_to_a_route() {
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::new(dir.path()).await;
    let mounted = portal(dir.path(), world.store.clone(), world.clock.clone(), world.guard());
    let mut tried = 0;
    for sample in super::all(Language::English) {
        let document = Document::parse(&sample.html).expect("it is well-formed");
        for tag in &document.tags {
            // Forms that only choose what is shown say so.
            let asks = tag.get("method") == Some("get");
            let form = tag.get("action").map(|path| (path, if asks { Method::GET } else { Method::POST }));
            let links = ["href", "src", "hx-get", "data-log"].into_iter().filter_map(|name| tag.get(name));
            for (link, method) in links.map(|path| (path, Method::GET)).chain(form) {
                let path = link.split(['?', '#']).next().unwrap_or_default();
                if !path.starts_with('/') {
                    continue;
                }
                tried += 1;
                assert!(leads_to(path, &method, mounted.entries()), "{}: {method} {link} leads nowhere", sample.name);
            }
        }
    }
    assert!(tried > 500, "{tried} links");
}

#[tokio::test]
async fn the_gateway_page_sets_and_takes_back_and_keeps_what_was_typed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut browser = browser_of(dir.path(), Who::Owner).await;
    browser.get("/t/acme/new").await;
    assert_eq!(browser.post("/t/acme/new", &[("name", "shop")]).await.location(), "/t/acme/shop/production");
    let page = "/t/acme/shop/production/gateway";
    assert_eq!(browser.get(page).await.status, StatusCode::OK);
    let saved = browser.post(&format!("{page}/maintenance/on"), &[("message", "back at noon")]).await;
    assert_eq!(saved.location(), page);
    let shown = browser.get(page).await;
    assert!(shown.text.contains("back at noon") && shown.text.contains("Let visitors in again"), "{}", shown.text);
    browser.post(&format!("{page}/maintenance/off"), &[]).await;
    let visitor = [("name", "ann"), ("password", "correct horse")];
    browser.post(&format!("{page}/visitors"), &visitor).await;
    let rules = [("deny", "198.51.100.7\n10.0.0.0/8"), ("rate_requests", "600"), ("robots", "deny")];
    assert_eq!(browser.post(page, &rules).await.location(), page);
    let shown = browser.get(page).await.text;
    assert!(
        ["198.51.100.7\n10.0.0.0/8", "600", "<strong>ann</strong>"].iter().all(|text| shown.contains(text)),
        "{shown}"
    );
    assert!(!shown.contains("back at noon") && !shown.contains("correct horse") && !shown.contains("argon2"));
    let refused = browser.post(page, &[("allow", "10.0.0.0/99"), ("redirect", "https://a.test")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("10.0.0.0/99") && refused.text.contains("https://a.test"), "typed input is kept");
    let refused = browser.post(page, &[("rate_requests", "many")]).await;
    assert!(refused.text.contains("write a whole number"), "{}", refused.text);
}
