//! What a Compose file says arrives in the container: one file with the most used keys, looked at with Docker's own eyes.

use std::process::Command;

use serde_json::Value;

use crate::command::done;
use crate::harness::{World, docker};

const APP: &str = "keys";

const COMPOSE: &str = r#"
services:
  web:
    build:
      context: ./app
      args: {GREETING: hello}
      target: run
    image: example/web
    ports: ["8080:8000"]
    expose: ["9000"]
    environment: [PLAIN=yes, "FROM_CONFIG=${SECRET_WORD}"]
    env_file: [extra.env]
    command: [python, -u, main.py]
    entrypoint: [/usr/bin/env]
    working_dir: /srv
    user: "1000:1000"
    group_add: ["2000"]
    hostname: box
    domainname: example.test
    labels: {team: blue}
    init: false
    tty: true
    stdin_open: true
    read_only: true
    tmpfs: ["/scratch:size=8m"]
    shm_size: 16m
    ulimits: {nofile: {soft: 1024, hard: 2048}}
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    extra_hosts: ["printer:10.1.2.3"]
    dns: [9.9.9.9]
    dns_search: [example.test]
    dns_opt: ["ndots:2"]
    sysctls: {net.core.somaxconn: "256"}
    stop_signal: SIGINT
    stop_grace_period: 3s
    mem_limit: 96m
    cpus: 0.5
    pids_limit: 80
    oom_score_adj: 100
    restart: unless-stopped
    healthcheck: {test: [CMD, test, -f, /run/secrets/token], interval: 2s}
    volumes: ["data:/data", "logs:/logs:ro"]
    configs: [{source: page, target: /srv/page.txt, mode: 0440, uid: "1000"}]
    secrets: [{source: token, uid: "1000", mode: 0400}]
    networks: {default: {aliases: [shop]}}
    depends_on: {back: {condition: service_started}}
    x-wharf: {port: 8000, criticality: high}
  back:
    image: python:3.13-slim
    command: sleep 600
    deploy: {replicas: 2, resources: {limits: {cpus: "0.25", memory: 64M}}}
    scale: 2
volumes: {data: {labels: {kind: test}}, logs: {}}
configs: {page: {content: "a page\n"}}
secrets: {token: {file: ./token.txt}}
networks: {default: {}}
"#;

const DOCKERFILE: &str = r#"FROM python:3.13-slim AS run
ARG GREETING
RUN mkdir /srv /data /logs 2>/dev/null; echo "$GREETING" > /srv/greeting
COPY main.py /srv/
FROM run AS other
RUN touch /never
"#;

const MAIN: &str = r#"import http.server, os, socket
text = "\n".join([
    open("/srv/greeting").read().strip(), open("/srv/page.txt").read().strip(), open("/run/secrets/token").read().strip(),
    os.environ["FROM_CONFIG"], os.environ["EXTRA"], str(os.path.exists("/never")),
    str(len(socket.gethostbyname_ex("back")[2])), socket.gethostbyname("back.internal")[:3],
])


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
"#;

/// Where Docker says it, and what it must say.
fn expected() -> Vec<(&'static str, Value)> {
    use serde_json::json;
    vec![
        ("/Config/Entrypoint", json!(["/usr/bin/env"])),
        ("/Config/Cmd", json!(["python", "-u", "main.py"])),
        ("/Config/WorkingDir", json!("/srv")),
        ("/Config/User", json!("1000:1000")),
        ("/Config/Hostname", json!("box")),
        ("/Config/Domainname", json!("example.test")),
        ("/Config/Labels/team", json!("blue")),
        ("/Config/Labels/wharf.service", json!("web")),
        ("/Config/Tty", json!(true)),
        ("/Config/OpenStdin", json!(true)),
        ("/Config/StopSignal", json!("SIGINT")),
        ("/Config/StopTimeout", json!(3)),
        ("/Config/Healthcheck/Test", json!(["NONE"])),
        ("/HostConfig/Init", json!(false)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/ShmSize", json!(16 << 20)),
        ("/HostConfig/Ulimits/0/Soft", json!(1024)),
        ("/HostConfig/Ulimits/0/Hard", json!(2048)),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/CapAdd", json!(["NET_BIND_SERVICE"])),
        ("/HostConfig/ExtraHosts", json!(["printer:10.1.2.3"])),
        ("/HostConfig/Dns", json!(["9.9.9.9"])),
        ("/HostConfig/DnsSearch", json!(["example.test"])),
        ("/HostConfig/DnsOptions", json!(["ndots:2"])),
        ("/HostConfig/Sysctls/net.core.somaxconn", json!("256")),
        ("/HostConfig/GroupAdd", json!(["2000"])),
        ("/HostConfig/Memory", json!(96 << 20)),
        ("/HostConfig/CpuQuota", json!(50_000)),
        ("/HostConfig/PidsLimit", json!(80)),
        ("/HostConfig/OomScoreAdj", json!(100)),
        ("/HostConfig/RestartPolicy/Name", json!("no")),
        ("/HostConfig/Privileged", json!(false)),
        ("/HostConfig/Binds", json!(null)),
    ]
}

#[test]
fn what_a_compose_file_says_arrives_in_the_container() {
    let world = World::shared();
    world.cli(&["apps", "create", APP, "--no-remote"]).ok();
    world.cli(&["config", "set", "SECRET_WORD=sesame", "--app", APP]).ok();
    let dir = world.directory(APP);
    std::fs::create_dir(dir.join("app")).unwrap();
    for (name, text) in [
        ("compose.yaml", COMPOSE),
        ("extra.env", "EXTRA=more\n"),
        ("token.txt", "t0ken"),
        ("app/Dockerfile", DOCKERFILE),
        ("app/main.py", MAIN),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    world.cli(&["up", &dir.display().to_string(), "--app", APP]).ok().says("v1 is live");
    let body = world.get(APP, "/").body;
    assert_eq!(body.lines().collect::<Vec<_>>(), ["hello", "a page", "t0ken", "sesame", "more", "False", "2", "172"]);

    let seen = inspect(&world, "web");
    for (place, value) in expected() {
        let found = seen.pointer(place).cloned().unwrap_or_default();
        assert_eq!(found, value, "{place}");
    }
    assert!(seen["HostConfig"]["Tmpfs"]["/scratch"].as_str().unwrap().contains("size=8m"));
    let mounts: Vec<(&str, bool)> = seen["HostConfig"]["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["Target"].as_str().unwrap(), m["ReadOnly"].as_bool().unwrap_or_default()))
        .collect();
    assert_eq!(mounts, [("/data", false), ("/logs", true)]);
    let network = seen["NetworkSettings"]["Networks"].as_object().unwrap().values().next().unwrap().clone();
    let aliases = network["Aliases"].to_string();
    for name in ["web", "web.internal", "shop"] {
        assert!(aliases.contains(&format!("\"{name}\"")), "{aliases}");
    }
    // Secrets and references to the configuration never stand in a revision or a listing.
    let listed = world.cli(&["secrets", "list", "--app", APP, "--json"]).ok().out;
    assert!(listed.contains("token") && !listed.contains("t0ken"), "{listed}");
    assert_eq!(inspect(&world, "back")["HostConfig"]["Memory"], 64 << 20);
    world.cli(&["apps", "destroy", APP, "--confirm", APP]).ok();
}

fn inspect(world: &World, service: &str) -> Value {
    let ids = world.in_docker("container", Some(&format!("label=wharf.service={service}")));
    let mut command: Command = docker(std::path::Path::new("/var/run/docker.sock"));
    command.arg("inspect").args(ids);
    let all: Value = serde_json::from_str(&done(command, "").ok().out).unwrap();
    let one = all
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["Config"]["Labels"]["wharf.revision"] == "1" && c["State"]["Running"] == true);
    one.unwrap_or_else(|| panic!("no container of {service}")).clone()
}
