//! Canary and blue-green, seen from the visitor's side.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apps;
use crate::command::Done;
use crate::harness::{World, until};
use crate::http::Connection;

/// Requests by which a share is looked at.
const LOOKED_AT: usize = 600;

const SERVER: &str = r#"import os, random, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = os.environ["VERSION"].encode()
        fails = random.random() * 100 < float(os.environ["FAILS"])
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"#;

/// An app with a manifest, and what people do to it.
struct Shop<'a> {
    world: &'a World,
    app: &'static str,
    dir: PathBuf,
}

impl<'a> Shop<'a> {
    /// With its first version live.
    fn open(world: &'a World, app: &'static str) -> Self {
        world.cli(&["apps", "create", app, "--no-remote"]).ok();
        let dir = world.directory(app);
        for (path, text) in apps::program(SERVER) {
            std::fs::write(dir.join(path), text).unwrap();
        }
        let shop = Self { world, app, dir };
        shop.apply("one", 0, "{}").ok().says("v1 is live");
        shop
    }

    /// Applies a version that fails so many of a hundred requests, in this way.
    fn apply(&self, version: &str, fails: u32, rollout: &str) -> Done {
        let manifest = format!(
            "services:\n  web:\n    build: .\n    environment: {{VERSION: {version}, FAILS: '{fails}'}}\n    deploy: {{replicas: 2}}\n    \
             x-wharf:\n      kind: web\n      port: 8080\n      rollout: {rollout}\n"
        );
        let file = self.dir.join("compose.yaml");
        std::fs::write(&file, manifest).unwrap();
        self.world.cli(&["apply", "-f", file.to_str().unwrap(), "--app", self.app])
    }

    fn rollout(&self, words: &[&str]) -> Done {
        self.world.cli(&[&["rollout"], words, &["--app", self.app]].concat())
    }

    fn status(&self) -> Value {
        self.rollout(&["status", "--json"]).ok().json()
    }

    /// Waits until the new version has this share, as the platform says.
    fn until_share(&self, percent: u64) {
        until(&format!("the new version has {percent} %"), || {
            (self.status()["services"][0]["percent"].as_u64() == Some(percent)).then_some(())
        });
        // The table with it is in use a moment later.
        until("the report waits for nothing else", || {
            let text = self.status().to_string();
            (!text.contains("has not applied")).then_some(())
        });
    }

    /// How many of so many requests with these header lines are answered by this version.
    fn answers(&self, version: &str, headers: &str, requests: usize) -> usize {
        let mut connection = Connection::open(self.world.http).unwrap();
        let host = format!("{}.localhost", self.app);
        let ask = |_: &usize| connection.send("GET", &host, "/", headers, "").unwrap().body == version;
        (0..requests).filter(ask).count()
    }

    fn share_is_about(&self, version: &str, percent: usize) {
        let got = self.answers(version, "", LOOKED_AT);
        let expected = LOOKED_AT * percent / 100;
        // Six standard deviations and a little.
        let spread = 6.0 * (LOOKED_AT as f64 * percent as f64 / 100.0 * (1.0 - percent as f64 / 100.0)).sqrt() + 1.0;
        eprintln!("{}: {got} of {LOOKED_AT} requests went to {version}, {expected} expected", self.app);
        assert!(got.abs_diff(expected) as f64 <= spread, "{got} of {LOOKED_AT} at {percent} %");
    }
}

/// Takes a rollout that waits for a person back when a check failed: the one who applies it would wait for ever.
struct TakenBack<'a>(&'a Shop<'a>);

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.rollout(&["abort"]);
        }
    }
}

#[test]
fn a_canary_gets_its_share_its_testers_and_waits_for_a_person() {
    let world = World::shared();
    let shop = Shop::open(&world, "canary");
    let load = world.load("canary", 100);
    std::thread::scope(|scope| {
        let _rescue = TakenBack(&shop);
        let way = "{strategy: canary, target: {header: x-canary, value: 'yes'}, steps: [\
                   {weight: 20%, pause: {manual: true}}, {weight: 60%, pause: {manual: true}}]}";
        let apply = scope.spawn(|| shop.apply("two", 0, way));
        shop.until_share(20);
        shop.share_is_about("two", 20);
        assert_eq!(shop.answers("two", "X-Canary: yes\r\n", 50), 50, "testers come to the new version");
        assert!(shop.answers("two", "X-Canary: no\r\n", 50) < 50, "others do not");
        shop.rollout(&["pause"]).ok();
        until("the pause is said", || (shop.status()["paused_by"] == "ann@example.com").then_some(()));
        shop.share_is_about("two", 20);
        shop.rollout(&["resume"]).ok();
        shop.rollout(&["promote"]).ok();
        shop.until_share(60);
        shop.share_is_about("two", 60);
        shop.rollout(&["promote"]).ok();
        apply.join().unwrap().ok().says("v2 is live");
    });
    assert_eq!(shop.answers("two", "", 50), 50);
    assert_eq!(shop.answers("two", "X-Canary: yes\r\n", 10), 10);
    eprintln!("canary by hand: 0 of {} requests failed", load.none_failed());

    // Nobody but those with the cookie; then it is taken back.
    std::thread::scope(|scope| {
        let _rescue = TakenBack(&shop);
        let way = "{strategy: canary, target: {cookie: beta}, steps: [{weight: 1%, pause: {manual: true}}]}";
        let apply = scope.spawn(|| shop.apply("three", 0, way));
        shop.until_share(1);
        assert_eq!(shop.answers("three", "Cookie: a=b; beta=1\r\n", 50), 50);
        assert!(shop.answers("three", "", 100) < 20);
        shop.rollout(&["abort"]).ok();
        let apply = apply.join().unwrap();
        assert_ne!(apply.code, 0, "{}", apply.out);
    });
    assert_eq!(shop.answers("two", "Cookie: beta=1\r\n", 50), 50, "the old version serves everybody");
}

#[test]
fn a_canary_that_does_worse_is_taken_back_with_the_figures() {
    let world = World::shared();
    let shop = Shop::open(&world, "worse");
    let ended = AtomicBool::new(false);
    let apply = std::thread::scope(|scope| {
        // Some of these requests fail, and that is what is looked for.
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(world.http).unwrap();
                while !ended.load(Ordering::SeqCst) {
                    let _ = connection.get("worse.localhost", "/");
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let way = "{strategy: canary, steps: [{weight: 30%, pause: {time: 5m}}], \
                   analysis: {error_rate: 2%, min_requests: 30, window: 2s, failures: 2}}";
        let apply = shop.apply("bad", 40, way);
        ended.store(true, Ordering::SeqCst);
        apply
    });
    let apply = apply.fails_saying("of its").says("requests with an error");
    eprintln!("a canary that fails 40 % of its requests was taken back after {:.1?}", apply.took);
    assert!(apply.took < Duration::from_secs(60), "{:?}", apply.took);
    assert_eq!(shop.answers("one", "", 50), 50);
    world.cli(&["releases", "--app", "worse"]).ok().says("requests with an error");
}

#[test]
fn a_blue_green_switch_is_instant_and_so_is_the_way_back() {
    let world = World::shared();
    let shop = Shop::open(&world, "blue");
    let load = world.load("blue", 200);
    let switch = |act: &(dyn Fn() -> Done + Sync), from: &str, to: &str| {
        std::thread::scope(|scope| {
            let acting = scope.spawn(act);
            let mut connection = Connection::open(world.http).unwrap();
            let (mut first_new, mut last_old) = (None, Instant::now());
            // Until the switch is over for good.
            while !acting.is_finished() || first_new.is_none() {
                let body = connection.get("blue.localhost", "/").unwrap().body;
                match body.as_str() {
                    new if new == to => drop(first_new.get_or_insert_with(Instant::now)),
                    old if old == from => last_old = Instant::now(),
                    other => panic!("{other}"),
                }
            }
            let done = acting.join().unwrap().ok();
            let both = last_old.saturating_duration_since(first_new.expect("it was waited for"));
            (done.took, both)
        })
    };
    let forth = switch(&|| shop.apply("two", 0, "{strategy: blue-green, keep_warm: 5m}"), "one", "two");
    let back = switch(&|| world.cli(&["rollback", "--app", "blue"]), "two", "one");
    let failed = load.none_failed();
    eprintln!(
        "blue-green: apply {:.1?}, both versions for {:.1?}; rollback {:.2?}, both for {:.1?}; 0 of {failed} requests failed",
        forth.0, forth.1, back.0, back.1
    );
    assert!(back.0 < Duration::from_secs(2), "the way back took {:?}", back.0);
    for both in [forth.1, back.1] {
        assert!(both < Duration::from_secs(1), "both versions answered for {both:?}");
    }
}
