//! Clones and fetches, and the protocol's edges.

use std::io::Write;

use wharf::git::{Access, http};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_app_can_be_cloned_and_a_deployed_one_comes_back() {
    let world = World::new().await;
    let url = world.url("vic", "acme/shop.git");
    let (done, _) = world.clone("nothing", &[&url]).await;
    done.ok();
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    let (done, back) = world.clone("back", &[&url]).await;
    done.ok();
    assert_eq!(back.head().await, shop.head().await);
    assert_eq!(std::fs::read_to_string(back.path.join("index.html")).unwrap(), "<h1>shop</h1>");
    shop.commit("b", "b").await;
    shop.push(&["main"]).await.ok();
    back.git(&["pull", "--quiet"]).await.ok();
    assert!(back.path.join("b").is_file());
    let (done, partial) = world.clone("partial", &["--filter=blob:none", "--no-checkout", &url]).await;
    done.ok();
    assert_eq!(partial.head().await, shop.head().await);
    for version in ["protocol.version=0", "protocol.version=2"] {
        back.git(&["-c", version, "ls-remote", "origin"]).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_negotiation_comes_compressed() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    let (done, back) = world.clone("back", &[&world.url("ann", "acme/shop.git")]).await;
    done.ok();
    // The client has many commits the server does not know; naming them makes a request worth compressing. They are
    // named newest first, and a tie ends the talk early, so each is given a second of its own.
    for n in 0..60 {
        let mut commit = back.command(&["commit", "--quiet", "--allow-empty", "-m", &n.to_string()]);
        commit.env("GIT_COMMITTER_DATE", format!("{} +0000", 4_000_000_000_u64 + n));
        crate::world::finish(commit).await.ok();
    }
    shop.commit("b", "b").await;
    shop.push(&["main"]).await.ok();
    let mut fetch = back.command(&["fetch", "--quiet", "origin"]);
    fetch.env("GIT_TRACE_CURL", "1");
    let done = crate::world::finish(fetch).await.ok();
    assert!(done.err.to_lowercase().contains("content-encoding: gzip"), "the client did not compress");
    assert_eq!(back.git(&["rev-parse", "origin/main"]).await.ok().out.trim(), shop.head().await);
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().build().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_decides_what_is_allowed_and_never_the_query() {
    let world = World::new().await;
    let (client, base) = (client(), format!("http://{}/git", world.http));
    let post = async |who: &str, path: &str, kind: &str| {
        let request = client.post(format!("{base}/{path}")).basic_auth("x", Some(format!("{who}-token")));
        request.header("content-type", format!("application/x-{kind}-request")).body("0000").send().await.unwrap()
    };
    // A viewer who says "upload-pack" in the query still posts to receive-pack.
    let path = "acme/shop.git/git-receive-pack?service=git-upload-pack";
    assert_eq!(post("vic", path, "git-receive-pack").await.status(), 403);
    assert_eq!(post("ann", path, "git-receive-pack").await.status(), 200);
    assert_eq!(post("bob", path, "git-receive-pack").await.status(), 404);
    assert_eq!(post("ann", "acme/shop.git/git-receive-pack", "git-upload-pack").await.status(), 403);
    let get = async |who: &str, query: &str| {
        let request = client.get(format!("{base}/acme/shop.git/info/refs{query}"));
        request.basic_auth("x", Some(format!("{who}-token"))).send().await.unwrap()
    };
    assert_eq!(get("vic", "?service=git-upload-pack").await.status(), 200);
    assert_eq!(get("vic", "?service=git-receive-pack").await.status(), 403);
    assert_eq!(get("bob", "?service=git-upload-pack").await.status(), 404);
    let dumb = get("ann", "").await;
    assert_eq!(dumb.status(), 403);
    assert!(dumb.text().await.unwrap().contains("smart HTTP"));
    assert_eq!(get("bob", "").await.status(), 404, "strangers learn nothing from the dumb protocol either");
    let refused = client.get(format!("{base}/acme/shop.git/info/refs")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["www-authenticate"], "Basic realm=\"Wharf: use an API token as password\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_route_is_there_and_asks_who_is_calling() {
    let world = World::new().await;
    let client = client();
    for route in http::ROUTES {
        let path =
            route.path.replace("{tenant}", "acme").replace("{project}", "shop").replace("{environment}", "staging");
        let method = route.method.parse::<reqwest::Method>().unwrap();
        let url = format!("http://{}{path}", world.http);
        let status = client.request(method.clone(), &url).send().await.unwrap().status();
        assert_eq!(status, 401, "{method} {path}");
        let as_viewer = client.request(method, &url).basic_auth("", Some("vic-token"));
        let status =
            as_viewer.header("content-type", "application/x-git-receive-pack-request").send().await.unwrap().status();
        if route.access == Access::Push {
            assert_eq!(status, 403, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_compressed_request_is_survived() {
    let world = World::new().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"0014command=ls-refs\n0000").unwrap();
    let good = encoder.finish().unwrap();
    let client = client();
    let send = async |body: Vec<u8>| {
        let request = client.post(format!("http://{}/git/acme/shop.git/git-upload-pack", world.http));
        let request = request.basic_auth("x", Some("ann-token")).header("git-protocol", "version=2");
        let request = request.header("content-type", "application/x-git-upload-pack-request");
        request.header("content-encoding", "gzip").body(body).send().await.unwrap().bytes().await
    };
    assert_eq!(send(good.clone()).await.unwrap(), "0000".as_bytes());
    let _ = send(good[..good.len() - 8].to_vec()).await;
    assert_eq!(send(good).await.unwrap(), "0000".as_bytes());
}
