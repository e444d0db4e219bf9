//! Pushes that go through.

use wharf::git::Limits;

use crate::backend::Script;
use crate::world::{World, eventually, noise};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_push_deploys_and_its_branch_is_the_one_from_then_on() {
    let world = World::new().await;
    let shop = world.shop().await;
    let done = shop.push(&["main"]).await.ok();
    let done = done.says(&["remote: Building…", "remote: Live at http://shop.localhost", "add index.html"]);
    assert!(done.err.contains("main -> main"), "{}", done.err);
    let deployed = world.backend.deployed();
    assert_eq!(deployed.len(), 1);
    let first = &deployed[0];
    assert_eq!((first.repo.as_str(), first.by.as_str()), ("acme/shop.git", "ann"));
    assert_eq!(first.commit.id, shop.head().await);
    assert_eq!((first.commit.branch.as_str(), first.commit.previous.as_deref()), ("main", None));
    assert_eq!((first.commit.subject.as_str(), first.commit.author.as_str()), ("add index.html", "Ann Example"));
    assert!(!first.commit.no_cache);
    assert_eq!(first.files.get("index.html"), Some(&13));
    assert_eq!(world.server_ref("refs/heads/main").await, Some(shop.head().await));
    assert_eq!((world.backend.held(), world.backend.begun()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn master_may_be_the_deploy_branch_and_main_is_then_another() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main:master"]).await.ok();
    shop.commit("b", "b").await;
    shop.push(&["main"]).await.refused(&["Wharf deploys `master`; run: git push wharf main:master"]);
    let (done, back) = world.clone("back", &[&world.url("ann", "acme/shop.git")]).await;
    done.ok();
    assert_eq!(back.git(&["branch", "--show-current"]).await.ok().out.trim(), "master");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_without_anything_new_asks_for_no_deploy() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    shop.push(&["main"]).await.ok().says(&["Everything up-to-date"]);
    assert_eq!(world.backend.deployed().len(), 1);
    assert_eq!(world.backend.held(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_knows_the_commit_before_and_another_environment_is_another_repository() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    let before = shop.head().await;
    shop.commit("b", "b").await;
    shop.push(&["main"]).await.ok();
    assert_eq!(world.backend.deployed()[1].commit.previous.as_deref(), Some(before.as_str()));
    shop.git(&["push", &world.url("ann", "acme/shop/staging.git"), "main"]).await.ok();
    let third = &world.backend.deployed()[2];
    assert_eq!((third.repo.as_str(), third.commit.previous.as_deref()), ("acme/shop/staging.git", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_push_deploys() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    shop.git(&["commit", "--quiet", "--amend", "-m", "rewritten"]).await.ok();
    shop.push(&["main"]).await.refused(&["non-fast-forward"]);
    shop.push(&["--force", "main"]).await.ok();
    assert_eq!(world.backend.deployed()[1].commit.subject, "rewritten");
    assert_eq!(world.server_ref("refs/heads/main").await, Some(shop.head().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn push_options_are_understood() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["-o", "skip-deploy", "main"]).await.ok().says(&["remote: Stored", "push option skip-deploy"]);
    assert!(world.backend.deployed().is_empty());
    assert_eq!(world.server_ref("refs/heads/main").await, Some(shop.head().await));
    shop.commit("b", "b").await;
    shop.push(&["-o", "no-cache", "main"]).await.ok();
    assert!(world.backend.deployed()[0].commit.no_cache);
    shop.commit("c", "c").await;
    let done = shop.push(&["-o", "fast", "main"]).await;
    done.refused(&["The push option `fast` is not known", "`skip-deploy`", "`no-cache`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_stored_without_a_deploy_and_go_along_with_a_branch() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.git(&["tag", "v1"]).await.ok();
    shop.push(&["v1"]).await.ok().says(&["Tags stored"]);
    assert!(world.backend.deployed().is_empty());
    shop.git(&["tag", "v2"]).await.ok();
    shop.push(&["main", "--tags"]).await.ok();
    assert_eq!(world.backend.deployed().len(), 1);
    assert!(world.server_ref("refs/tags/v2").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_pack_goes_through_in_chunks() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.commit("big.bin", noise(30 * 1024 * 1024)).await;
    shop.push(&["main"]).await.ok();
    assert_eq!(world.backend.deployed()[0].files.get("big.bin"), Some(&(30 * 1024 * 1024)));
    // The probe before the chunks is no push of its own.
    assert_eq!(world.backend.begun(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_can_be_pushed_and_later_a_full_one() {
    let world = World::new().await;
    let origin = world.shop().await;
    for n in 0..4 {
        origin.commit("n", n.to_string()).await;
    }
    let address = format!("file://{}", origin.path.display());
    let (done, shallow) = world.clone("shallow", &["--depth", "1", &address]).await;
    done.ok();
    shallow.git(&["remote", "add", "wharf", &world.url("ann", "acme/shop.git")]).await.ok();
    shallow.push(&["main"]).await.ok();
    assert_eq!(world.backend.deployed()[0].commit.subject, "add n");
    shallow.commit("m", "m").await;
    shallow.push(&["main"]).await.ok();
    origin.commit("o", "o").await;
    origin.push(&["--force", "main"]).await.ok();
    assert_eq!(world.backend.deployed().len(), 3);
    let (done, back) = world.clone("back", &[&world.url("ann", "acme/shop.git")]).await;
    done.ok();
    assert!(back.path.join("o").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_arrives_line_by_line_while_the_deploy_runs() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let world = World::new().await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(3));
    let mut client = shop.command(&["push", "wharf", "main"]).spawn().expect("git runs");
    let mut lines = BufReader::new(client.stderr.take().expect("stderr")).lines();
    for step in 1..=3 {
        // The backend goes on only after the client has shown this step: buffering anywhere would hang here.
        let wanted = format!("remote: step {step}");
        let shown = tokio::time::timeout(crate::world::PATIENCE, async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.trim_end().ends_with(&wanted) {
                    return true;
                }
            }
            false
        });
        assert!(shown.await.expect("in time"), "{wanted}");
        world.backend.go_on();
    }
    assert!(client.wait().await.expect("ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_packs_are_made_into_one_outside_of_pushes() {
    let world = World::with(Limits { packs: 2, ..Limits::default() }).await;
    let shop = world.shop().await;
    for n in 0..3 {
        shop.commit("n", n.to_string()).await;
        shop.push(&["main"]).await.ok();
    }
    let packs = world.bare().join("objects/pack");
    let count = || {
        let names = std::fs::read_dir(&packs).expect("packs").flatten();
        names.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack")).count()
    };
    eventually("one pack is left", || count() == 1).await;
    shop.commit("after", "after").await;
    shop.push(&["main"]).await.ok();
    let (done, back) = world.clone("back", &[&world.url("ann", "acme/shop.git")]).await;
    done.ok();
    assert_eq!(back.head().await, shop.head().await);
}
