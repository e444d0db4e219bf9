//! A whole architecture as one thing: six services from one Compose file, planned, applied, rolled back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::done;
use crate::harness::{World, until};
use crate::http;

const APP: &str = "microshop";
/// What is promised for the way back to instances that were kept warm.
const WAY_BACK: Duration = Duration::from_secs(2);

fn copy_of_the_example(world: &World) -> PathBuf {
    let dir = world.directory(APP);
    let mut copy = Command::new("cp");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/microshop");
    copy.args(["--recursive", "--no-target-directory"]).arg(example).arg(&dir);
    done(copy, "").ok();
    dir
}

/// Orders something at the front; gives the order's number.
fn order(world: &World, product: &str) -> String {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut connection = http::Connection::open(world.http).unwrap();
    let host = format!("{APP}.localhost");
    let reply = connection.send("POST", &host, "/order", form, &format!("product={product}")).unwrap();
    assert_eq!(reply.status, 202, "{}", reply.body);
    let placed: Value = serde_json::from_str(&reply.body).unwrap();
    placed["id"].as_str().unwrap().to_owned()
}

/// Waits until an order has come through the queue and the worker into the database.
fn is_shipped(world: &World, order: &str, product: &str) {
    until("the order is in the database", || {
        let reply = world.get(APP, &format!("/api/orders/{order}"));
        (reply.status == 200).then(|| {
            assert!(reply.body.contains(product) && reply.body.contains("worker.1"), "{}", reply.body);
        })
    });
}

/// Rolls back while somebody looks at the front all the time; gives how long the command took, and when the new version
/// was seen for the last time, from the command's begin.
fn rolled_back(world: &World) -> (Duration, Duration) {
    let began = Instant::now();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut last_new = Duration::ZERO;
            while !ended.load(Ordering::SeqCst) {
                if world.get(APP, "/").body.contains("Microshop 2") {
                    last_new = began.elapsed();
                }
            }
            last_new
        });
        let back = world.cli(&["rollback", "--app", APP]).ok();
        assert!(world.get(APP, "/").body.contains("Microshop 1"));
        ended.store(true, Ordering::SeqCst);
        (back.took, looking.join().unwrap())
    })
}

#[test]
fn a_shop_of_six_services_is_applied_and_rolled_back_as_one() {
    let world = World::shared();
    world.cli(&["apps", "create", APP, "--no-remote"]).ok();
    let dir = copy_of_the_example(&world);
    let file = dir.join("compose.yaml").display().to_string();
    let first = world.cli(&["apply", "-f", &file, "--app", APP]).ok().says("v1 is live");
    eprintln!("microshop, six services: live {:.1?} after `wharf apply` began", first.took);
    assert!(world.get(APP, "/").body.contains("Microshop 1"));
    let before = order(&world, "Compass");
    is_shipped(&world, &before, "Compass");

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("VERSION: \"1\"", "VERSION: \"2\"")).unwrap();
    let saved = dir.with_extension("plan").display().to_string();
    let plan = world.cli(&["plan", "-f", &file, "--out", &saved, "--app", APP, "--json"]).ok().json();
    let changes: Vec<String> = plan["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| format!("{} {}", s["name"].as_str().unwrap(), s["change"].as_str().unwrap()))
        .collect();
    let expected = [
        "cache unchanged",
        "catalog replaced",
        "chores replaced",
        "db unchanged",
        "front replaced",
        "orders replaced",
        "worker replaced",
    ];
    assert_eq!(changes, expected);
    let load = world.load(APP, 200);
    let forth = world.cli(&["apply", &saved, "--app", APP]).ok().says("v2 is live");
    assert!(world.get(APP, "/").body.contains("Microshop 2"));
    world.cli(&["apply", &saved, "--app", APP]).fails_saying("Make a new plan");
    let (back, shown) = rolled_back(&world);
    eprintln!(
        "apply ({:.1?}, a canary in three steps) and rollback ({back:.1?}) of six services: 0 of {} requests failed; \
         {shown:.2?} after `wharf rollback` began, nobody saw the new version any more",
        forth.took,
        load.none_failed()
    );
    assert!(shown < WAY_BACK, "{shown:.2?}");

    is_shipped(&world, &before, "Compass");
    let after = order(&world, "Rope");
    is_shipped(&world, &after, "Rope");
    let diff = world.cli(&["diff", "1", "2", "--app", APP]).ok().out;
    assert!(diff.contains("~ front\n    environment VERSION changes"), "{diff}");
    let report = world.cli(&["workflows", "run", "report", "--param", "DAY=today", "--app", APP]).ok();
    for line in ["2 orders exported", "check[Rope] | Rope was ordered 1 times", "the report of today is ready"] {
        assert!(report.out.contains(line), "{line}:\n{}", report.out);
    }
    world.cli(&["jobs", "run", "chores", "--app", APP]).ok().says("orders shipped so far: 2");
    let volumes = world.cli(&["volumes", "--app", APP, "--json"]).ok().json();
    assert_eq!((volumes[0]["name"].as_str(), volumes[0]["services"][0].as_str()), (Some("db"), Some("db")));
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
}
