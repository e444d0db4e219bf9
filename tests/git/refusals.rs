//! Pushes that are turned away, and the sentences that say why.

use crate::backend::Script;
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deploy_rejects_the_push_and_leaves_the_branch() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.push(&["main"]).await.ok();
    let live = shop.head().await;
    shop.commit("broken", "x").await;
    world.backend.script(Script::Fail(vec!["The app listens on port 3000, not on PORT (8080).".to_owned()]));
    let done = shop.push(&["main"]).await;
    done.refused(&["remote: The app listens on port 3000", "what ran before still runs", "[remote rejected]"]);
    assert_eq!(world.server_ref("refs/heads/main").await, Some(live));
    assert_eq!(world.backend.held(), 0);
    world.backend.script(Script::Succeed);
    shop.push(&["main"]).await.ok();
    assert_eq!(world.server_ref("refs/heads/main").await, Some(shop.head().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_that_fails_leaves_an_empty_repository() {
    let world = World::new().await;
    let shop = world.shop().await;
    world.backend.script(Script::Vanish);
    shop.push(&["main"]).await.refused(&["The deploy ended without a result"]);
    assert_eq!(world.server_ref("refs/heads/main").await, None);
    world.backend.script(Script::Succeed);
    // Nothing is settled yet, so the other name may still become the deploy branch.
    shop.push(&["main:master"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_is_told_at_once_that_one_is_running() {
    let world = World::new().await;
    let shop = world.shop().await;
    world.backend.script(Script::StepByStep(1));
    let mut first = shop.command(&["push", "wharf", "main"]).spawn().expect("git runs");
    eventually("the first deploy runs", || world.backend.deployed().len() == 1).await;
    let sentence = "another deploy of shop is running: deploy by ann, since 12 s";
    let second = world.shop().await;
    second.push(&["main"]).await.refused(&["fatal: remote error: ", sentence]);
    // Between a client's two requests another push may begin: then the upload is refused by the hook.
    *world.backend.0.look_free.lock().unwrap() = true;
    second.push(&["main"]).await.refused(&["remote: another deploy of shop is running", "[remote rejected]"]);
    assert_eq!((world.backend.begun(), world.backend.held()), (1, 1));
    // Another app is not held up.
    world.backend.script(Script::Succeed);
    second.git(&["push", &world.url("ann", "acme/blog.git"), "main"]).await.ok();
    world.backend.go_on();
    assert!(first.wait().await.expect("ends").success());
    eventually("the right is given back", || world.backend.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_branches_and_references_are_refused_with_the_command_to_run() {
    let world = World::new().await;
    let shop = world.shop().await;
    shop.git(&["branch", "feature"]).await.ok();
    shop.push(&["feature"]).await.refused(&["Wharf deploys `main`; run: git push wharf feature:main"]);
    shop.push(&["--all"]).await.refused(&["This push has 2 branches (feature, main)", "git push wharf main"]);
    shop.push(&["main"]).await.ok();
    shop.push(&["feature"]).await.refused(&["Wharf deploys `main`; run: git push wharf feature:main"]);
    shop.push(&["main:refs/notes/x"]).await.refused(&["Wharf keeps branches and tags only; `refs/notes/x`"]);
    shop.push(&["main:refs/wharf/x"]).await.refused(&["refs/wharf/x"]);
    shop.push(&["--delete", "main"]).await.refused(&["`main` is the branch Wharf deploys; it cannot be deleted"]);
    assert_eq!(world.backend.deployed().len(), 1);
    assert!(world.server_ref("refs/heads/main").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_lfs_are_refused_with_their_names() {
    let world = World::new().await;
    let shop = world.shop().await;
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
    );
    std::fs::write(shop.path.join("logo.png"), pointer).unwrap();
    shop.commit("doc.txt", "a text that is long enough to be looked at, but is no pointer at all, as one sees").await;
    // Without the attribute it is just a text file that looks odd.
    shop.push(&["main"]).await.ok();
    shop.commit("assets/.gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n").await;
    let done = shop.push(&["main"]).await;
    done.refused(&["1 file is kept in Git LFS: logo.png.", "placeholders", "git lfs migrate export"]);
    shop.push(&["-o", "skip-deploy", "main"]).await.ok();
    assert_eq!(world.backend.deployed().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_are_refused_with_their_paths() {
    let world = World::new().await;
    let shop = world.shop().await;
    let other = world.shop().await;
    let address = other.path.display().to_string();
    shop.git(&["-c", "protocol.file.allow=always", "submodule", "add", &address, "vendor/lib"]).await.ok();
    shop.git(&["commit", "--quiet", "-m", "submodule"]).await.ok();
    let done = shop.push(&["main"]).await;
    done.refused(&["1 submodule is in this commit: vendor/lib.", "not its files", "git rm --cached"]);
    assert!(world.backend.deployed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_viewers_get_no_further_than_they_may() {
    let world = World::new().await;
    let shop = world.shop().await;
    let push = async |url: String| shop.git(&["push", &url, "main"]).await;
    let bad = format!("http://ann:wrong@{}/git/acme/shop.git", world.http);
    push(bad).await.refused(&["Authentication failed"]);
    let none = format!("http://{}/git/acme/shop.git", world.http);
    push(none).await.refused(&["could not read Username"]);
    let foreign = push(world.url("ann", "other/secret.git")).await.refused(&["there is no such app"]);
    let missing = push(world.url("ann", "other/nothing.git")).await.refused(&["there is no such app"]);
    assert_eq!(foreign.err.replace("secret", "X"), missing.err.replace("nothing", "X"));
    push(world.url("ann", "acme/No_Name.git")).await.refused(&["there is no such app"]);
    push(world.url("vic", "acme/shop.git")).await.refused(&["vic may read acme but not deploy to it"]);
    assert_eq!(world.backend.begun(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_hash_is_refused_by_git_itself() {
    let world = World::new().await;
    let modern = world.empty("sha256").await;
    modern.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main", "sub"]).await.ok();
    let modern = world.at(modern.path.join("sub"));
    modern.commit("a", "a").await;
    let done = modern.git(&["push", &world.url("ann", "acme/shop.git"), "main"]).await;
    // git from 2.41 on understands what it is told; an older one takes it for nonsense.
    let told = ["does not support this repository's hash algorithm", "unexpected capabilities^{}"];
    let said = told.into_iter().find(|sentence| done.err.contains(sentence)).unwrap_or(told[0]);
    done.refused(&[said]);
}
