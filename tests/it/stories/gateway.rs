//! What happens on an app's host names before the app is asked, each with a real client: set, seen, taken away.

use std::process::Command;

use serde_json::{Value, json};

use crate::apps;
use crate::command::done;
use crate::harness::{World, until};

/// What curl gets from an app, with its own options; the status stands in the last line.
fn curl(world: &World, host: &str, path: &str, options: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    world.clean(&mut command);
    let to = format!("{host}:{}:127.0.0.1", world.http);
    command.args(["-sS", "-m", "20", "--resolve", &to, "-w", "\n%{http_code}"]).args(options);
    command.arg(format!("http://{host}:{}{path}", world.http));
    let out = done(command, "").ok().out;
    let (text, status) = out.trim_end().rsplit_once('\n').unwrap_or(("", out.trim_end()));
    (status.parse().unwrap(), text.to_owned())
}

/// Waits until the app answers like that; a change reaches the ingress in a moment.
fn until_status(world: &World, host: &str, options: &[&str], status: u16) -> String {
    until(&format!("{host} answers {status} to {options:?}"), || {
        let (got, text) = curl(world, host, "/", options);
        (got == status).then_some(text)
    })
}

#[test]
fn every_setting_of_the_gateway_takes_effect_at_once_and_leaves_again() {
    let world = World::shared();
    let shop = world.app("gatehouse", &apps::server("hello"));
    shop.push().ok();
    let host = "gatehouse.localhost";
    let set = |words: &[&str]| world.cli(&[&["gateway", "set", "--app", "gatehouse"], words].concat()).ok();
    let unset = |words: &[&str]| world.cli(&[&["gateway", "unset", "--app", "gatehouse"], words].concat()).ok();
    until_status(&world, host, &[], 200);

    world.cli(&["maintenance", "on", "--app", "gatehouse", "--message", "Back at noon", "--retry-after", "1h"]).ok();
    let page = until_status(&world, host, &["-i", "-H", "Accept: text/html"], 503);
    assert!(page.contains("Back at noon") && page.to_lowercase().contains("retry-after: 3600"), "{page}");
    world.cli(&["maintenance:off", "--app", "gatehouse"]).ok();
    until_status(&world, host, &[], 200);

    let user = ["gateway", "user-add", "ann", "--app", "gatehouse", "--password-stdin"];
    world.cli_with(&user, &[], "correct horse").ok();
    until_status(&world, host, &[], 401);
    assert_eq!(curl(&world, host, "/", &["-u", "ann:correct horse"]).0, 200);
    assert_eq!(curl(&world, host, "/", &["-u", "ann:wrong"]).0, 401);
    world.cli(&["gateway", "user-remove", "ann", "--app", "gatehouse"]).ok();
    until_status(&world, host, &[], 200);

    set(&["deny=127.0.0.0/8"]);
    until_status(&world, host, &[], 403);
    unset(&["deny"]);
    until_status(&world, host, &[], 200);

    set(&["rate-limit=2/1h"]);
    until_status(&world, host, &[], 429);
    unset(&["rate-limit"]);
    until_status(&world, host, &[], 200);

    set(&["redirect=https://www.example.com/new 307"]);
    let head = until_status(&world, host, &["-i"], 307);
    assert!(head.to_lowercase().contains("location: https://www.example.com/new/"), "{head}");
    unset(&["redirect"]);

    set(&["response-header.x-frame-options=DENY", "response-header.server=", "robots=deny"]);
    until("the headers are there", || {
        let head = curl(&world, host, "/", &["-i"]).1.to_lowercase();
        (head.contains("x-frame-options: deny")
            && head.contains("x-robots-tag: noindex")
            && !head.contains("\nserver:"))
        .then_some(())
    });
    let (status, robots) = curl(&world, host, "/robots.txt", &[]);
    assert_eq!((status, robots.contains("Disallow: /")), (200, true), "{robots}");
    let shown = world.cli(&["gateway", "--app", "gatehouse"]).ok().out;
    assert!(shown.contains("robots=deny") && shown.contains("response-header.x-frame-options=DENY"), "{shown}");
    unset(&["robots", "response-header.x-frame-options", "response-header.server"]);

    set(&["max-body=1K"]);
    let large = "x".repeat(4_000);
    until_status(&world, host, &["--data", &large], 413);
    unset(&["max-body"]);

    let traffic: Value = world.cli(&["gateway", "routes", "--app", "gatehouse", "--json"]).ok().json();
    assert!(traffic[0]["denied"].as_u64() > Some(0) && traffic[0]["limited"].as_u64() > Some(0), "{traffic}");
    world.cli(&["gateway", "set", "allow=10.0.0.0/40", "--app", "gatehouse"]).fails_saying("10.0.0.0/40");
    until_status(&world, host, &[], 200);
}

#[test]
fn a_domain_has_settings_of_its_own_and_they_go_with_it() {
    let world = World::shared();
    let app = world.app("twohosts", &apps::page("two hosts"));
    app.push().ok();
    let (usual, own) = ("twohosts.localhost", "second.twohosts.example.com");
    world.cli(&["domains", "add", own, "--app", "twohosts"]).ok();
    until_status(&world, own, &[], 200);
    world.cli(&["gateway", "set", "deny=127.0.0.1", "--host", own, "--app", "twohosts"]).ok();
    until_status(&world, own, &[], 403);
    assert_eq!(curl(&world, usual, "/", &[]).0, 200);
    world.cli(&["domains", "remove", own, "--app", "twohosts"]).ok();
    world.cli(&["domains", "add", own, "--app", "twohosts"]).ok();
    until_status(&world, own, &[], 200);
    let shown = world.cli(&["gateway", "show", "--app", "twohosts", "--json"]).ok().json();
    assert_eq!(shown["hosts"], json!({}));
}

#[test]
fn operators_see_and_steer_the_whole_data_plane() {
    let world = World::start();
    let app = world.app("steered", &apps::page("steered"));
    app.push().ok();
    let host = "steered.localhost";
    until_status(&world, host, &[], 200);
    // Defaults of all apps; the portal stays open, so that they can be taken back.
    world.cli(&["maintenance", "on", "--platform", "--message", "moving house"]).ok();
    until_status(&world, host, &[], 503);
    world.cli(&["maintenance", "off", "--platform"]).ok();
    until_status(&world, host, &[], 200);
    // The word of a trusted proxy is believed.
    world.cli(&["gateway", "set", "--platform", "trusted-proxies=127.0.0.0/8"]).ok();
    world.cli(&["gateway", "set", "--app", "steered", "deny=203.0.113.9"]).ok();
    until_status(&world, host, &["-H", "X-Forwarded-For: 203.0.113.9"], 403);
    assert_eq!(curl(&world, host, "/", &["-H", "X-Forwarded-For: 203.0.113.8"]).0, 200);
    world.cli(&["gateway", "unset", "--platform", "trusted-proxies"]).ok();
    until_status(&world, host, &["-H", "X-Forwarded-For: 203.0.113.9"], 200);

    let table = world.cli(&["gateway", "table"]).ok().json();
    let route = table["routes"].as_array().unwrap().iter().find(|r| r["hosts"][0] == host).unwrap().clone();
    let found = world.cli(&["gateway", "match", &format!("{host}/cart?x=1"), "--method", "POST"]).ok().json();
    assert_eq!(found["id"], route["id"]);
    let mut other = table.clone();
    other["routes"].as_array_mut().unwrap().retain(|r| r["id"] != route["id"]);
    let file = world.directory("diff").join("table.json");
    std::fs::write(&file, other.to_string()).unwrap();
    let diff = world.cli(&["gateway", "diff", file.to_str().unwrap()]).ok().json();
    assert_eq!(diff["removed"], json!([route["id"]]));
    assert_eq!(world.cli(&["gateway", "diff"]).ok().json()["changed"], json!([]));

    let portal = table["routes"].as_array().unwrap().iter().find(|r| r["hosts"][0] == "wharf.localhost").unwrap();
    let portal = portal["upstreams"][0]["id"].as_str().unwrap();
    world.cli(&["gateway", "drain", portal]).ends_with(5).says("is the portal itself");
    // The only instance out of traffic: nobody answers until it is back.
    let instance = route["upstreams"][0]["id"].as_str().unwrap();
    world.cli(&["gateway", "drain", instance]).ok();
    until_status(&world, host, &[], 503);
    world.cli(&["gateway", "drain", instance, "--undo"]).ok();
    until_status(&world, host, &[], 200);
    world.cli(&["gateway", "purge", "limits"]).ok();
    world.cli(&["gateway", "log-level", "info,wharf::ingress=debug"]).ok();
    let level = world.cli(&["gateway", "log-level"]).ok().out;
    assert!(level.contains("wharf::ingress=debug"), "{level}");

    // Only failures are logged from now on.
    world.cli(&["gateway", "set", "--platform", "access-log=errors"]).ok();
    let log = world.data().join("telemetry/access.log");
    until("good requests leave no line", || {
        let mark = format!("/mark-{}", std::fs::metadata(&log).map_or(0, |m| m.len()));
        curl(&world, host, &mark, &[]);
        curl(&world, host, "/missing-on-purpose", &["-H", "Host: nobody.localhost"]);
        let seen = std::fs::read_to_string(&log).unwrap_or_default();
        (seen.contains("/missing-on-purpose") && !seen.contains(&mark)).then_some(())
    });

    // None of this is for those who do not run the platform.
    let person = ["people", "create", "bob@example.com", "--name", "Bob", "--password-stdin"];
    world.cli_with(&person, &[], "correct horse battery").ok();
    let login = ["login", "--url", &world.portal(), "--email", "bob@example.com", "--password-stdin"];
    world.cli_with(&login, &[("WHARF_TOKEN", "")], "correct horse battery").ok();
    for words in [&["gateway", "table"][..], &["gateway", "show", "--platform"], &["maintenance", "on", "--platform"]] {
        world.cli_with(words, &[("WHARF_TOKEN", "")], "").ends_with(3);
    }
}
