//! What a Compose file says arrives in the container: the keys that public files use most, each looked at in the
//! running container, from inside and with Docker's own eyes. What is not possible is refused by its name.
//!
//! To add a key: put it into `stack_keys/source/compose.yaml`, and a line into [`expected`].

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::command::done;
use crate::harness::{World, docker, until};

const APP: &str = "keys";
/// Keys of the Compose Specification that this story promises.
const PROMISED: usize = 40;

/// What was seen of the running stack.
struct Seen {
    /// As the container of `web` sees itself.
    inside: Value,
    /// As Docker sees the containers of each service.
    web: Value,
    back: Vec<Value>,
    scaled: Vec<Value>,
    debug: Vec<Value>,
    /// The content id of the image `python:3.13-slim`.
    python: Value,
    volume_labels: Value,
}

/// For each key what is there, and what must be.
fn expected(seen: &Seen) -> Vec<(&'static str, Value, Value)> {
    let mut all = of_process(seen);
    all.extend(of_confinement(seen));
    all.extend(of_network_and_data(seen));
    all.extend(of_platform(seen));
    all
}

fn of_process(Seen { inside, web, .. }: &Seen) -> Vec<(&'static str, Value, Value)> {
    let variable = |name: &str| inside["environment"][name].clone();
    vec![
        ("build", json!([inside["greeting"], inside["other_stage"]]), json!(["hello", false])),
        ("environment", variable("PLAIN"), json!("yes")),
        ("environment from the configuration", variable("FROM_CONFIG"), json!("sesame")),
        ("environment with a default", variable("WITH_DEFAULT"), json!("fallback")),
        ("environment with a dollar sign", variable("DOLLAR"), json!("$5")),
        ("env_file", variable("EXTRA"), json!("more")),
        ("command", inside["argv"].clone(), json!(["python", "-u", "main.py"])),
        ("entrypoint", web["Config"]["Entrypoint"].clone(), json!(["/usr/bin/env"])),
        ("working_dir", inside["folder"].clone(), json!("/srv")),
        ("user", inside["user"].clone(), json!([1000, 1000])),
        ("group_add", json!(inside["groups"].as_array().unwrap().contains(&json!(2000))), json!(true)),
        ("hostname", inside["host"][0].clone(), json!("box")),
        ("domainname", inside["host"][1].clone(), json!("box.example.test")),
        ("init", inside["first_process"].clone(), json!("python")),
        ("tty", inside["terminal"].clone(), json!(true)),
        ("stdin_open", web["Config"]["OpenStdin"].clone(), json!(true)),
        ("labels", web["Config"]["Labels"]["team"].clone(), json!("blue")),
        ("stop_signal", web["Config"]["StopSignal"].clone(), json!("SIGINT")),
        ("stop_grace_period", web["Config"]["StopTimeout"].clone(), json!(3)),
    ]
}

fn of_confinement(Seen { inside, web, back, .. }: &Seen) -> Vec<(&'static str, Value, Value)> {
    let host = |key: &str| web["HostConfig"][key].clone();
    vec![
        ("read_only", inside["root"].clone(), json!("Read-only file system")),
        ("tmpfs", inside["scratch"].clone(), json!(["written", 8 << 20])),
        ("shm_size", inside["shm"].clone(), json!(16 << 20)),
        ("ulimits", inside["open_files"].clone(), json!([1024, 2048])),
        // Bit 10 is CAP_NET_BIND_SERVICE; `cap_drop: [ALL]` leaves nothing else.
        ("cap_drop", inside["capabilities"].clone(), json!(1 << 10)),
        ("cap_add", host("CapAdd"), json!(["NET_BIND_SERVICE"])),
        ("security_opt", inside["new_privileges"].clone(), json!("1")),
        ("sysctls", inside["backlog"].clone(), json!("256")),
        ("oom_score_adj", inside["killed_first"].clone(), json!("100")),
        ("mem_limit", host("Memory"), json!(96 << 20)),
        ("cpus", host("CpuQuota"), json!(50_000)),
        ("pids_limit", host("PidsLimit"), json!(80)),
        ("deploy.replicas", json!(back.len()), json!(2)),
        (
            "deploy.resources",
            json!([
                back[0]["HostConfig"]["Memory"],
                back[0]["HostConfig"]["CpuQuota"],
                back[0]["HostConfig"]["PidsLimit"]
            ]),
            json!([64 << 20, 25_000, 50]),
        ),
    ]
}

fn of_network_and_data(seen: &Seen) -> Vec<(&'static str, Value, Value)> {
    let (inside, web) = (&seen.inside, &seen.web);
    let own = |c: &Value| {
        let networks = c["NetworkSettings"]["Networks"].as_object().unwrap();
        networks.values().next().unwrap()["IPAddress"].clone()
    };
    let mut backs: Vec<String> = seen.back.iter().map(|c| own(c).as_str().unwrap().to_owned()).collect();
    backs.sort();
    let resolver = inside["resolver"].as_str().unwrap();
    vec![
        ("networks", inside["shop"].clone(), json!([own(web)])),
        ("container_name", inside["front_door"].clone(), json!([own(web)])),
        ("expose", inside["reaches_back"].clone(), json!(true)),
        ("links", inside["store"].clone(), json!(backs)),
        ("the name of a service", inside["back"].clone(), json!(backs)),
        ("the name of a service below `internal`", inside["back_internal"].clone(), json!(backs)),
        ("network_mode", json!(seen.back[0]["NetworkSettings"]["Networks"].as_object().unwrap().len()), json!(1)),
        ("extra_hosts", inside["printer"].clone(), json!(["10.1.2.3"])),
        ("dns", web["HostConfig"]["Dns"].clone(), json!(["9.9.9.9"])),
        ("dns_search", json!(resolver.contains("search example.test")), json!(true)),
        ("dns_opt", json!(resolver.contains("ndots:2")), json!(true)),
        ("volumes", json!([inside["data"], inside["logs"]]), json!(["written", "Read-only file system"])),
        ("labels of a volume", seen.volume_labels["kind"].clone(), json!("test")),
        ("configs", inside["page"].clone(), json!(["a page", "0o440"])),
        ("secrets", inside["token"].clone(), json!(["t0ken", "0o400"])),
    ]
}

fn of_platform(seen: &Seen) -> Vec<(&'static str, Value, Value)> {
    let (inside, web) = (&seen.inside, &seen.web);
    let started = |c: &Value| c["State"]["StartedAt"].as_str().unwrap().to_owned();
    let first_back = seen.back.iter().map(started).min().unwrap();
    vec![
        ("image", seen.scaled[0]["Image"].clone(), seen.python.clone()),
        // Pinned when the revision was made, whatever the policy.
        ("pull_policy", web["Image"].clone(), web["Config"]["Image"].clone()),
        ("platform", web["Platform"].clone(), json!("linux")),
        ("ports", inside["environment"]["PORT"].clone(), json!("8000")),
        ("healthcheck", inside["asked"].clone(), json!(true)),
        ("healthcheck is the platform's", web["Config"]["Healthcheck"]["Test"].clone(), json!(["NONE"])),
        ("depends_on", json!(first_back < started(web)), json!(true)),
        // The platform does the upkeep; see the story of the crash.
        ("restart", web["HostConfig"]["RestartPolicy"]["Name"].clone(), json!("no")),
        ("logging", web["HostConfig"]["LogConfig"]["Config"]["max-size"].clone(), json!("10m")),
        ("scale", json!(seen.scaled.len()), json!(2)),
        ("profiles", json!([seen.debug.len(), inside["debug"].is_string()]), json!([0, true])),
        ("extends", seen.back[0]["Config"]["Cmd"].clone(), json!(["python", "-u", "-m", "http.server", "9000"])),
        ("privileged", web["HostConfig"]["Privileged"].clone(), json!(false)),
        ("devices", json!(web["HostConfig"]["Devices"].as_array().is_none_or(Vec::is_empty)), json!(true)),
        ("no bind mounts", web["HostConfig"]["Binds"].clone(), json!(null)),
    ]
}

/// What no Compose file gets, and the word of the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("privileged: true", "owns the machine"),
    ("devices: ['/dev/kvm:/dev/kvm']", "devices of the machine"),
    ("network_mode: host", "another network"),
    ("pid: host", "namespace of the machine"),
    ("volumes: ['/var/run/docker.sock:/var/run/docker.sock']", "owns the machine"),
    ("volumes: ['./data:/data']", "bind mount"),
    ("security_opt: ['seccomp:unconfined']", "is refused"),
    ("cap_add: [SYS_ADMIN]", "reaches beyond the container"),
    ("sysctls: {kernel.panic: '1'}", "belongs to the machine"),
    ("volumes_from: [other]", "volumes nobody named"),
    ("runtime: nvidia", "isolates tenants"),
    ("cgroup_parent: /docker", "control group"),
];

fn copy(world: &World) -> PathBuf {
    let dir = world.directory(APP);
    let mut copy = Command::new("cp");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stories/stack_keys/source");
    done(
        {
            copy.args(["--recursive", "--no-target-directory"]).arg(source).arg(&dir);
            copy
        },
        "",
    )
    .ok();
    dir
}

fn inspect(world: &World, service: &str) -> Vec<Value> {
    let filter = format!("label=wharf.service={service}");
    let ids = world.in_docker("container", Some(&filter));
    if ids.is_empty() {
        return Vec::new();
    }
    let mut command: Command = docker(Path::new("/var/run/docker.sock"));
    command.arg("inspect").args(ids);
    let all: Value = serde_json::from_str(&done(command, "").ok().out).unwrap();
    let here = |c: &&Value| c["Config"]["Labels"]["wharf.app"] != "" && c["State"]["Running"] == true;
    all.as_array().unwrap().iter().filter(here).cloned().collect()
}

fn docker_json(arguments: &[&str]) -> Value {
    let mut command = docker(Path::new("/var/run/docker.sock"));
    command.args(arguments);
    serde_json::from_str(&done(command, "").ok().out).unwrap()
}

#[test]
fn what_a_compose_file_says_arrives_in_the_container() {
    let world = World::start();
    world.cli(&["apps", "create", APP, "--no-remote"]).ok();
    world.cli(&["config", "set", "SECRET_WORD=sesame", "--app", APP]).ok();
    let dir = copy(&world);
    world.cli(&["up", &dir.display().to_string(), "--app", APP]).ok().says("v1 is live");
    let volume = world.in_docker("volume", Some("label=wharf.volume=data"));
    let seen = Seen {
        inside: serde_json::from_str(&world.get(APP, "/").body).unwrap(),
        web: inspect(&world, "web").remove(0),
        back: inspect(&world, "back"),
        scaled: inspect(&world, "scaled"),
        debug: inspect(&world, "debug"),
        python: docker_json(&["image", "inspect", "python:3.13-slim"])[0]["Id"].clone(),
        volume_labels: docker_json(&["volume", "inspect", &volume[0]])[0]["Labels"].clone(),
    };
    let all = expected(&seen);
    let wrong: Vec<String> = all
        .iter()
        .filter(|(_, found, wanted)| found != wanted)
        .map(|(key, found, wanted)| format!("{key}: {found} instead of {wanted}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() >= PROMISED);
    eprintln!("Compose keys: {} things that a file says were found in running containers", all.len());

    // Secrets never stand in a listing.
    let listed = world.cli(&["secrets", "list", "--app", APP, "--json"]).ok().out;
    assert!(listed.contains("token") && !listed.contains("t0ken"), "{listed}");
    a_killed_instance_comes_back(&world);
    what_is_not_possible_is_refused(&world);
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
    world.until_nothing_is_left();
}

/// `restart`, as the platform does it.
fn a_killed_instance_comes_back(world: &World) {
    let before = inspect(world, "scaled");
    let victim = before[0]["Id"].as_str().unwrap().to_owned();
    let mut kill = docker(Path::new("/var/run/docker.sock"));
    kill.args(["kill", &victim]);
    done(kill, "").ok();
    let killed_at = before[0]["State"]["StartedAt"].clone();
    until("both instances run again", || {
        let now = inspect(world, "scaled");
        (now.len() == 2 && now.iter().all(|c| c["State"]["StartedAt"] != killed_at)).then_some(())
    });
}

fn what_is_not_possible_is_refused(world: &World) {
    let dir = world.directory("refused");
    let file = dir.join("compose.yaml");
    for (line, why) in REFUSED {
        let text =
            format!("services:\n  web:\n    image: python:3.13-slim\n    {line}\n  other:\n    image: redis:7\n");
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        for command in ["plan", "apply"] {
            let done = world.cli(&[command, "-f", &path, "--app", APP]);
            // Long sentences stand on several lines.
            let said = format!("{}{}", done.out, done.err).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(done.code != 0 && said.contains(why), "`{why}` is not in what {command} said:\n{said}");
        }
    }
}
