//! What services become: short forms, kinds, ports, routes, health, limits.

use super::{good, grave, read, said, service, stack};
use crate::stack::model::*;

fn one<'a>(stack: &'a Stack, name: &str) -> &'a Service {
    &stack.services[&name.parse().expect("a name")]
}

#[test]
fn ports_in_short_and_long_forms() {
    let s = service(
        "
services:
  s:
    image: i
    ports:
      - 3000
      - '8080:80'
      - '127.0.0.1:9229:9229'
      - '5000-5001:6000-6001/udp'
      - '[::1]:7000:7000'
      - {target: 5432, published: '15432', protocol: tcp, app_protocol: postgresql}
",
    );
    let ports: Vec<(u16, Transport)> = s.ports.iter().map(|p| (p.port, p.transport)).collect();
    use Transport::{Tcp, Udp};
    assert_eq!(ports, [(80, Tcp), (3000, Tcp), (5432, Tcp), (6000, Udp), (6001, Udp), (7000, Tcp), (9229, Tcp)]);
    let routes: Vec<(u16, &RouteHost)> = s.routes.iter().map(|r| (r.port, &r.host)).collect();
    assert_eq!(routes, [(3000, &RouteHost::Environment), (80, &RouteHost::Service)]);
    let exposed: Vec<(u16, Option<u16>)> = s.exposures.iter().map(|e| (e.port, e.published)).collect();
    assert_eq!(exposed, [(5432, Some(15432)), (6000, Some(5000)), (6001, Some(5001))]);
    assert_eq!(s.port, Some(3000));
}

#[test]
fn ports_that_are_none() {
    for (port, part) in [
        ("'80:'", "`` is not a port"),
        ("'0:80'", "`0` is not a port"),
        ("'70000'", "`70000` is not a port"),
        ("'1-3:1-2'", "publishes 3 ports to 2"),
        ("'1-900'", "not a range"),
        ("'80/sctp'", "`sctp` is not possible"),
        ("'web'", "`web` is not a port"),
        ("{published: 1}", "`target` is missing"),
    ] {
        let said = grave(&read(&format!("services: {{s: {{image: i, ports: [{port}]}}}}"))).join("; ");
        assert!(said.contains(part), "{port}: {said}");
    }
}

#[test]
fn volumes_in_short_and_long_forms() {
    let s = service(
        "
services:
  s:
    image: i
    volumes:
      - data:/a
      - data:/b:ro
      - data:/c:rw,nocopy,z
      - /anonymous/place
      - {type: volume, source: data, target: /d, read_only: true, volume: {nocopy: true, subpath: up/load}}
      - {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: '0700'}}
volumes: {data: }
",
    );
    let mounts: Vec<String> = s
        .mounts
        .iter()
        .map(|m| format!("{}:{} {} {} {:?}", m.volume, m.target, m.read_only, m.no_copy, m.subpath))
        .collect();
    assert_eq!(
        mounts,
        [
            "data:/a false false None",
            "data:/b true false None",
            "data:/c false true None",
            "s-anonymous-place:/anonymous/place false false None",
            "data:/d true true Some(\"up/load\")",
        ]
    );
    assert_eq!(s.container.tmpfs[0].size_mib, Some(64));
    assert_eq!(s.container.tmpfs[0].mode.map(FileMode::bits), Some(0o700));
    assert_eq!(s.care, Care::Pet);
}

#[test]
fn nothing_of_the_machine_can_be_mounted() {
    for (volume, part) in [
        ("./data:/data", "the bind mount of `./data` is refused"),
        ("/etc:/etc:ro", "the bind mount of `/etc` is refused"),
        ("~/x:/x", "the bind mount of `~/x` is refused"),
        ("../x:/x", "the bind mount of `../x` is refused"),
        ("/var/run/docker.sock:/var/run/docker.sock", "the engine's socket is refused"),
        ("{type: bind, source: /x, target: /x}", "the bind mount of `/x` is refused"),
        ("{type: npipe, source: x, target: /x}", "volumes of type `npipe` are refused"),
        ("{type: image, source: x, target: /x}", "volumes of type `image` are refused"),
        ("data:/a/../../etc", "is not a place inside a container"),
        ("data:/", "is not a place inside a container"),
        ("{type: volume, source: data, target: /x, volume: {subpath: ../y}}", "does not lie inside the volume"),
        ("a/b:/x", "the bind mount of `a/b` is refused"),
    ] {
        let quoted = if volume.starts_with('{') { volume.to_owned() } else { format!("'{volume}'") };
        let text = format!("services: {{s: {{image: i, volumes: [{quoted}]}}}}\nvolumes: {{data: {{}}}}");
        let outcome = read(&text);
        let said = grave(&outcome).join("; ");
        assert!(said.contains(part), "{volume}: {said}");
        assert!(outcome.manifest.is_none(), "{volume}");
    }
}

#[test]
fn capabilities_sysctls_ulimits_and_options_are_from_short_lists() {
    for (text, part) in [
        ("cap_add: [SYS_ADMIN]", "the capability `SYS_ADMIN` is refused"),
        ("cap_add: [ALL]", "the capability `ALL` is refused"),
        ("cap_add: [CAP_NET_ADMIN]", "the capability `NET_ADMIN` is refused"),
        ("sysctls: {vm.max_map_count: 262144}", "the kernel setting `vm.max_map_count` is refused"),
        ("sysctls: ['kernel.shmmax_evil=1']", "the kernel setting `kernel.shmmax_evil` is refused"),
        ("ulimits: {rtprio: 9}", "the limit `rtprio` is refused"),
        ("ulimits: {nofile: 99999999}", "is not a number from 0 to 1048576"),
        ("security_opt: ['seccomp:unconfined']", "the security option `seccomp:unconfined` is refused"),
        ("extra_hosts: ['host.docker.internal:host-gateway']", "`host-gateway` is refused"),
        ("labels: {wharf.tenant: other}", "the label `wharf.tenant` is refused"),
        ("network_mode: 'service:vpn'", "`network_mode` is refused"),
        ("oom_score_adj: -1000", "is not a whole number from 0 to 1000"),
        ("build: {context: 'https://example.org/x.git'}", "builds take their files from the source only"),
        ("build: ../other", "lies outside the source"),
        ("env_file: /etc/passwd", "lies outside the source"),
        ("command: {a: b}", "a command is a line or a list of words"),
    ] {
        let said = grave(&read(&format!("services: {{s: {{image: i, {text}}}}}"))).join("; ");
        assert!(said.contains(part), "{text}: {said}");
    }
    assert!(grave(&read("services: {s: {image: '-rm'}}"))[0].contains("is not the name of an image"));
    let fine = service(
        "services: {s: {image: i, cap_add: [CAP_SETUID, SYS_NICE], cap_drop: [ALL], security_opt: ['no-new-privileges:true'],
         sysctls: ['net.ipv4.tcp_syncookies=0'], ulimits: {nofile: {soft: 10, hard: 20}, memlock: -1}, network_mode: bridge}}",
    );
    assert_eq!(fine.container.cap_add.iter().collect::<Vec<_>>(), ["SETUID"]);
    assert_eq!(fine.container.sysctls["net.ipv4.tcp_syncookies"], "0");
    assert_eq!(fine.container.ulimits["nofile"], Ulimit { soft: 10, hard: 20 });
}

#[test]
fn kinds_follow_from_what_services_do() {
    let s = stack(
        "
services:
  web: {image: shop, ports: ['80:3000'], depends_on: {migrate: {condition: service_completed_successfully}}}
  api: {image: shop, expose: ['4000']}
  worker: {image: shop, command: work}
  migrate: {image: shop, command: migrate, restart: 'no'}
  nightly: {image: shop, x-wharf: {schedule: {cron: '15 3 * * MON', zone: europe/berlin, misfire: once}}}
  db: {image: 'docker.io/library/postgres:16-alpine@sha256:00', volumes: ['data:/var/lib/postgresql/data']}
  cache: {image: redis}
  batch: {image: shop, deploy: {mode: replicated-job, replicas: 3}}
  port: {image: shop, environment: {PORT: '9000'}}
volumes: {data: {}}
",
    );
    let kinds: Vec<String> = s.services.iter().map(|(n, s)| format!("{n}:{}", s.kind.as_str())).collect();
    assert_eq!(
        kinds,
        [
            "api:web",
            "batch:job",
            "cache:database",
            "db:database",
            "migrate:job",
            "nightly:cron",
            "port:web",
            "web:web",
            "worker:worker"
        ]
    );
    assert_eq!((one(&s, "db").port, one(&s, "db").care), (Some(5432), Care::Pet));
    assert_eq!((one(&s, "cache").port, one(&s, "cache").care), (Some(6379), Care::Cattle));
    assert_eq!(one(&s, "migrate").replicas, 0);
    assert_eq!(one(&s, "batch").job.as_ref().map(|j| (j.parallelism, j.completions)), Some((3, 3)));
    let job = one(&s, "nightly").job.as_ref().expect("a job");
    let schedule = job.schedule.as_ref().expect("a schedule");
    assert_eq!(
        (schedule.cron.as_str(), schedule.zone.as_str(), job.misfire),
        ("15 3 * * mon", "Europe/Berlin", Misfire::Once)
    );
    assert_eq!(one(&s, "web").routes[0].host, RouteHost::Environment);
    assert!(one(&s, "api").routes.is_empty());
    assert_eq!(one(&s, "web").health.protocol, Protocol::Tcp);
    assert_eq!(one(&s, "worker").health.protocol, Protocol::Process);
}

#[test]
fn the_front_service_is_web_or_who_asks_for_port_80_or_the_first() {
    let front = |text: &str| {
        let s = stack(text);
        let fits = |s: &Service| s.routes.iter().any(|r| r.host == RouteHost::Environment);
        s.services.iter().find(|(_, s)| fits(s)).map(|(n, _)| n.to_string())
    };
    let find = |services: &str| front(&format!("services: {{{services}}}"));
    assert_eq!(find("b: {image: i, ports: ['1:80']}, a: {image: i, ports: ['2:80']}").as_deref(), Some("b"));
    assert_eq!(find("b: {image: i, ports: ['1:80']}, a: {image: i, ports: ['80:80']}").as_deref(), Some("a"));
    assert_eq!(find("b: {image: i, ports: ['80:80']}, web: {image: i, ports: ['1:80']}").as_deref(), Some("web"));
    let said = "b: {image: i, ports: ['80:80']}, c: {image: i, expose: [3], x-wharf: {routes: [/]}}";
    assert_eq!(find(said).as_deref(), Some("c"));
}

#[test]
fn routes_in_short_and_long_forms() {
    let s = service(
        "
services:
  s:
    image: i
    x-wharf:
      port: 3000
      routes:
        - shop.example.org
        - shop.example.org/api/
        - /x
        - {domain: '*.example.org', path: /grpc, port: 4000, protocol: grpc, strip_path: true}
        - {domain: service}
",
    );
    let routes: Vec<String> = s
        .routes
        .iter()
        .map(|r| format!("{:?} {} {} {:?} {}", r.host, r.path, r.port, r.protocol, r.strip_path))
        .collect();
    assert_eq!(
        routes,
        [
            "Domain(HostName(\"shop.example.org\")) / 3000 Http false",
            "Domain(HostName(\"shop.example.org\")) /api 3000 Http false",
            "Environment /x 3000 Http false",
            "Domain(HostName(\"*.example.org\")) /grpc 4000 Grpc true",
            "Service / 3000 Http false",
        ]
    );
    for (routes, part) in [
        ("[bad host]", "domain"),
        ("[{path: relative}]", "`relative` is not a path"),
        ("[/a, /a]", "here twice"),
        ("[{path: /../x}]", "is not a path"),
    ] {
        let said =
            grave(&read(&format!("services: {{s: {{image: i, x-wharf: {{port: 1, routes: {routes}}}}}}}"))).join("; ");
        assert!(said.contains(part), "{routes}: {said}");
    }
    let none = grave(&read("services: {s: {image: i, x-wharf: {routes: [/]}}}"));
    assert_eq!(none, ["error[missing-key] 1:12 the service `s` has routes and no port"]);
}

#[test]
fn health_checks_in_all_forms() {
    let check = |text: &str| service(&format!("services: {{s: {{image: i, expose: [80], {text}}}}}")).health;
    let command = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
    assert_eq!(check("healthcheck: {test: [CMD, a, 'b c']}").command, command(&["a", "b c"]));
    assert_eq!(check("healthcheck: {test: [CMD-SHELL, 'a || b']}").command, command(&["/bin/sh", "-c", "a || b"]));
    assert_eq!(check("healthcheck: {test: a && b}").command, command(&["/bin/sh", "-c", "a && b"]));
    for none in ["{disable: true}", "{test: [NONE]}", "{test: NONE}"] {
        let check = check(&format!("healthcheck: {none}"));
        assert_eq!((check.protocol, check.command), (Protocol::Process, None), "{none}");
    }
    let timed = check(
        "healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 10s, retries: 5, start_period: 2m, start_interval: 500ms}",
    );
    assert_eq!((timed.interval_ms, timed.timeout_ms, timed.failures), (90_000, 10_000, 5));
    assert_eq!((timed.start_deadline_ms, timed.start_interval_ms), (120_000 + 5 * 100_000, Some(500)));
    let http = check("x-wharf: {health: {path: /up, port: 81, interval: 2s, settle: 1s, start_period: 20s}}");
    assert_eq!((http.protocol, http.path.as_deref(), http.port), (Protocol::Http, Some("/up"), Some(81)));
    assert_eq!((http.interval_ms, http.settle_ms, http.start_deadline_ms), (2_000, 1_000, 20_000));
    assert_eq!(check("x-wharf: {health: /up?x=1}").path.as_deref(), Some("/up?x=1"));
    let both = check("healthcheck: {test: [CMD, a]}, x-wharf: {health: {interval: 1s}}");
    assert_eq!((both.protocol, both.interval_ms, both.command), (Protocol::Tcp, 1_000, command(&["a"])));
    let wrong = grave(&read("services: {s: {image: i, healthcheck: {test: [curl, x]}}}"));
    assert!(wrong[0].contains("a test begins with `CMD`, `CMD-SHELL` or `NONE`"), "{wrong:?}");
}

#[test]
fn resources_and_updates() {
    let s = service(
        "
services:
  s:
    image: i
    deploy:
      replicas: 3
      resources: {limits: {cpus: '1.5', memory: 1G, pids: 200}, reservations: {cpus: '0.5', memory: 256M}}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 4, window: 2m}
      update_config: {parallelism: 2, delay: 10s, order: start-first, monitor: 30s, failure_action: pause}
      placement: {constraints: ['node.labels.disk==ssd'], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 2}
",
    );
    assert_eq!(s.limits, Limits { cpu_millis: 1_500, memory_mib: 1_024, pids: 200 });
    assert_eq!(s.reservation, Reservation { cpu_millis: 500, memory_mib: 256 });
    assert_eq!(s.restart.max_attempts, Some(4));
    assert_eq!((s.rollout.max_surge, s.rollout.delay_seconds), (Some(Amount::Count(2)), 10));
    assert_eq!((s.rollout.min_healthy_seconds, s.rollout.on_failure), (Some(30), FailureAction::Pause));
    assert_eq!(s.placement.constraints, ["node.labels.disk == ssd"]);
    assert_eq!((s.replicas, s.placement.max_per_node), (3, Some(2)));
    let old = service(
        "services: {s: {image: i, scale: 2, cpus: 0.25, mem_limit: 64m, pids_limit: -1, restart: 'on-failure:3'}}",
    );
    assert_eq!(old.limits, Limits { cpu_millis: 250, memory_mib: 64, pids: 512 });
    assert_eq!((old.replicas, old.restart.max_attempts), (2, Some(3)));
    for (text, part) in [
        ("deploy: {mode: global}", "`global` is not possible for `mode`"),
        ("deploy: {replicas: two}", "`two` is not a whole number"),
        ("deploy: {resources: {limits: {memory: 1m}}}", "at least 6m"),
        ("deploy: {resources: {reservations: {memory: 2g}}}", "more is set aside"),
        ("deploy: {update_config: {failure_action: continue}}", "`continue` is refused"),
        ("deploy: {placement: {constraints: [disk=ssd]}}", "is not a constraint"),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", "`devices` is refused"),
        ("cpus: lots", "`lots` is not a number"),
        ("stop_grace_period: 30", "`30` has no unit"),
        ("restart: sometimes", "`sometimes` is not possible"),
    ] {
        let said = grave(&read(&format!("services: {{s: {{image: i, {text}}}}}"))).join("; ");
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn configs_and_secrets_become_files_and_variables() {
    let manifest = good(super::read_with(
        &[
            (
                "compose.yaml",
                "
services:
  s:
    image: i
    configs: [inline, {source: file, target: /etc/app.conf, uid: '10', gid: '20', mode: 0440}]
    secrets: [token, {source: key, target: tls.key, mode: '0400'}, {source: far, target: /far}]
    x-wharf: {secret_env: {API_TOKEN: token}}
configs: {inline: {content: \"a=${A}\"}, file: {file: ./app.conf}}
secrets: {token: {environment: TOKEN}, key: {file: tls.key}, far: {external: true, name: FAR_KEY}}
",
            ),
            ("app.conf", "x"),
            ("tls.key", "pem"),
        ],
        &[("A", "1"), ("*TOKEN", "t")],
    ));
    let s = one(&manifest.stack, "s");
    let files: Vec<String> =
        s.files.iter().map(|f| format!("{:?} {} {:?}", f.source, f.target, f.mode.map(FileMode::bits))).collect();
    assert_eq!(
        files,
        [
            "Config(ResourceName(\"inline\")) /inline None",
            "Config(ResourceName(\"file\")) /etc/app.conf Some(288)",
            "Secret(ResourceName(\"token\")) /run/secrets/token None",
            "Secret(ResourceName(\"key\")) /run/secrets/tls.key Some(256)",
            "Secret(ResourceName(\"far\")) /far None",
        ]
    );
    assert_eq!((s.files[1].uid, s.files[1].gid), (Some(10), Some(20)));
    let named = |n: &str| manifest.stack.secrets[&n.parse::<ResourceName>().expect("a name")].name.to_string();
    assert_eq!((named("token"), named("key"), named("far")), ("TOKEN".into(), "key".into(), "FAR_KEY".into()));
    assert_eq!(manifest.stack.configs[&"inline".parse::<ResourceName>().expect("a name")].content, "a=1");
    let supplied: Vec<_> = manifest.supplied.iter().map(|(n, v)| (n.to_string(), v.expose().clone())).collect();
    assert_eq!(supplied, [("key".to_owned(), b"pem".to_vec())]);
    let variable: Vec<String> =
        s.secret_environment.iter().map(|(n, r)| format!("{}={}", n.as_str(), r.name)).collect();
    assert_eq!(variable, ["API_TOKEN=TOKEN"]);
}

#[test]
fn commands_are_cut_into_words_without_a_shell() {
    let words = |text: &str| service(&format!("services: {{s: {{image: i, command: {text}}}}}")).command;
    let expected = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
    assert_eq!(words("a 'b c' \"d $$e\" f\\ g ''"), expected(&["a", "b c", "d $e", "f g", ""]));
    assert_eq!(words("[a, 'b c', 3, true]"), expected(&["a", "b c", "3", "true"]));
    assert_eq!(words("sh -c 'a && b'"), expected(&["sh", "-c", "a && b"]));
    assert_eq!(words("[]"), expected(&[]));
    let open = grave(&read("services: {s: {image: i, command: \"a 'b\"}}"));
    assert_eq!(open, ["error[bad-value] 1:35 a `'` is not closed"]);
}

#[test]
fn a_name_of_a_link_is_given_to_one_service_only() {
    let text =
        "services: {x: {image: i}, y: {image: i}, a: {image: i, links: ['x:db']}, b: {image: i, links: ['y:db']}}";
    let told = said(&read(text));
    assert!(told.iter().any(|t| t.contains("the name `db` stands for `x` and for `y`")), "{told:?}");
}

#[test]
fn who_speaks_https_by_itself_is_refused() {
    let text = "services: {s: {image: i, ports: [{target: 443, published: '443', app_protocol: https}]}}";
    let told = said(&read(text));
    assert!(told.iter().any(|t| t.starts_with("error[refused]") && t.contains("speaks HTTPS by itself")), "{told:?}");
}

#[test]
fn services_that_share_no_network_are_told_that_they_can_talk() {
    let text = "services: {a: {image: i, networks: [n]}, b: {image: i, networks: [m]}}\nnetworks: {n: {}, m: {}}";
    let told = said(&read(text));
    assert!(told.iter().any(|t| t.contains("`a` and `b` share no network")), "{told:?}");
}

#[test]
fn names_the_platform_cannot_have_become_near_ones() {
    let s = stack("services: {My_DB: {image: i}, s: {image: i, depends_on: [My_DB], links: ['My_DB:db']}}");
    let db = one(&s, "my-db");
    assert_eq!(db.aliases.iter().collect::<Vec<_>>(), ["My_DB", "db"]);
    assert!(one(&s, "s").depends_on.contains_key(&"my-db".parse().expect("a name")));
    let same = grave(&read("services: {a_b: {image: i}, a.b: {image: i}}"));
    assert_eq!(same, ["error[bad-name] 1:29 the services `a_b` and `a.b` would both be called `a-b`"]);
}

#[test]
fn scale_rollout_traffic_and_backup() {
    let s = service(
        "
services:
  s:
    image: i
    x-wharf:
      port: 80
      criticality: critical
      scale: {min: 0, max: 9, target: {concurrency: 20, cpu: 70%, query: {query: q, per_instance: 2.5}},
              schedule: [{at: '0 8 * * 1-5', zone: Asia/Shanghai, min: 3}], cooldown: 2m, idle: 10m}
      rollout: {strategy: canary, steps: [{weight: 5, pause: {requests: 100}}, {weight: 50%, pause: {time: 5m, manual: true}}],
                target: {cookie: canary, value: always}, analysis: {error_rate: 0.5%, latency: 120%}, deadline: 30m}
      slo: {availability: 99.95%, latency: {share: 99%, within: 250ms}, window: 28d}
      limits: {rate: {requests: 100, per: 10s, key: 'header:X-Key'}, concurrency: 50, body: 1m, timeouts: {request: 30s}}
      resilience: {retries: {attempts: 3}, breaker: {}, outlier: {failures: 7}}
      release: {command: rake db:migrate, deadline: 5m}
",
    );
    let scale = s.scale.expect("a scale");
    assert_eq!((scale.min, scale.max, scale.metrics.len(), s.replicas), (0, 9, 3, 1));
    assert_eq!(scale.metrics[2], Metric::Query { query: "q".to_owned(), target_permille: 2_500 });
    assert_eq!((scale.schedule[0].min, scale.schedule[0].max, scale.idle_seconds), (3, 9, Some(600)));
    assert_eq!(s.rollout.steps.iter().map(|s| s.weight).collect::<Vec<_>>(), [5, 50]);
    let analysis = s.rollout.analysis.expect("an analysis");
    assert_eq!((analysis.error_rate_permille, analysis.latency_permille), (5, 1_200));
    let slo = s.slo.expect("an objective");
    assert_eq!((slo.availability, slo.window_days), (99_950, 28));
    assert_eq!(s.traffic.rate.expect("a rate").key, RateKey::Header("x-key".to_owned()));
    assert_eq!(s.traffic.body_bytes, Some(1024 * 1024));
    assert_eq!(s.resilience.breaker.expect("a breaker").error_percent, 50);
    assert_eq!(s.release.expect("a release").command, ["rake", "db:migrate"]);
    for (text, part) in [
        ("scale: {min: 5, max: 2}", "`min` is 5 and `max` is 2"),
        ("scale: {min: 1}", "`max` is missing"),
        ("rollout: {steps: [{weight: 5}]}", "`steps` is for canaries only"),
        ("rollout: {strategy: canary, steps: [{weight: 50}, {weight: 5}]}", "less weight than the one before"),
        ("slo: {availability: 101}", "is not a share"),
        ("limits: {rate: fast}", "is not a rate"),
        ("schedule: '1 2 3'", "has 3 fields"),
        ("schedule: {cron: '@daily', zone: Mars/Base}", "is not a time zone"),
        ("backup: {schedule: '@daily'}", "there is nothing to save"),
        ("kind: cron", "a cron service without a schedule"),
        ("kind: web, schedule: '@daily'", "runs to its end, both at once"),
        ("kind: worker, scale: {min: 0, max: 2}", "cannot scale to zero"),
    ] {
        let said = grave(&read(&format!("services: {{s: {{image: i, x-wharf: {{{text}}}}}}}"))).join("; ");
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn what_writes_to_a_volume_runs_alone() {
    for text in [
        "deploy: {replicas: 2}",
        "x-wharf: {port: 80, scale: {max: 3}}",
        "x-wharf: {port: 80, rollout: {strategy: blue-green}}",
        "x-wharf: {port: 80, care: cattle, rollout: {strategy: canary}}",
    ] {
        let outcome = read(&format!("services: {{s: {{image: i, volumes: ['d:/d'], {text}}}}}\nvolumes: {{d: {{}}}}"));
        assert!(grave(&outcome)[0].starts_with("error[two-writers]"), "{text}: {:?}", grave(&outcome));
    }
    good(read("services: {s: {image: i, volumes: ['d:/d:ro'], deploy: {replicas: 2}}}\nvolumes: {d: {}}"));
}

#[test]
fn workflows_are_read_and_their_circles_found() {
    let w = stack(
        "
services: {s: {image: i}}
x-wharf:
  name: Shop
  workflows:
    nightly:
      schedule: {cron: '0 2 * * *', zone: Europe/Berlin}
      parameters: {MODE: {default: full}}
      steps:
        dump: {service: s, command: dump all, artifacts: [out/dump.sql], retries: 2, retry_delay: 10s}
        load: {service: s, needs: [dump], for_each: [a, b], when: MODE == full, deadline: 10m, allow_failure: true}
",
    );
    assert_eq!(w.about.name.as_deref(), Some("Shop"));
    let nightly = w.workflows.values().next().expect("one");
    let load = &nightly.steps["load"];
    assert_eq!((load.needs[0].as_str(), load.for_each.len(), load.deadline_seconds), ("dump", 2, 600));
    assert_eq!(load.condition.as_ref().map(|c| (c.value.as_str(), c.differs)), Some(("full", false)));
    let circle = read(
        "services: {s: {image: i}}\nx-wharf: {workflows: {w: {steps: {a: {service: s, needs: [b]}, b: {service: s, needs: [a]}}}}}",
    );
    assert_eq!(grave(&circle), ["error[cycle] 2:35 steps wait for each other: a → b → a"]);
    let unknown = read(
        "services: {s: {image: i}}\nx-wharf: {workflows: {w: {steps: {one: {service: s}, b: {service: s, needs: [ome]}}}}}",
    );
    assert!(unknown.findings.iter().any(|f| f.help.as_deref() == Some("did you mean `one`?")));
}
