//! Every honoured key of the tables is read: its example, put where it belongs, gives a valid manifest, and another one
//! than without it.

use super::super::keys::{Key, Rule, Section};
use super::super::schema::sections;
use super::{good, read_with, said};

/// Keys whose example changes nothing, each with a test of its own elsewhere: an empty list, a default, what is already so.
const CHANGE_NOTHING: [&str; 20] = [
    "compose.include",
    "service.security_opt",
    "service.profiles",
    "service.label_file",
    "service.env_file",
    "env_file.path",
    "env_file.required",
    "env_file.format",
    "extends.file",
    "mount.type",
    "port.host_ip",
    "include.path",
    "include.project_directory",
    "include.env_file",
    "volume.external",
    "network.external",
    "build.platforms",
    "x_generate.kind",
    "x_breaker.min_requests",
    "dependency.required",
];

/// A whole file in flow style with these keys in a mapping of this section, beside what that mapping needs anyway.
fn document(section: &Section, keys: &[(&str, &str)]) -> String {
    let (before, base, after): (&str, &[(&str, &str)], &str) = place(section.name);
    let mut inside: Vec<String> = Vec::new();
    for (name, value) in base.iter().filter(|(n, _)| !keys.iter().any(|(k, _)| k == n)).chain(keys) {
        if !value.is_empty() {
            inside.push(format!("{name}: {value}"));
        }
    }
    let body = format!("{before}{}{after}", inside.join(", "));
    match section.name {
        "compose" => body,
        // The section is one of the resources itself: the others go where nobody looks.
        _ if after.ends_with("x-rest: {") => format!("{{{body}{RESOURCES}}}}}"),
        _ => format!("{{{body}, {RESOURCES}}}"),
    }
}

const OTHER: &str = "other: {image: postgres, command: [x]}";
const RESOURCES: &str = "volumes: {data: {}}, networks: {front: {}}, configs: {settings: {content: 'a=b'}}, \
     secrets: {token: {environment: TOKEN}}";

type Place = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// What stands before, in and after a mapping of a section.
fn place(section: &str) -> Place {
    match section {
        "compose" => ("{", &[("services", "{s: {image: nginx}}")], "}"),
        "service" => ("services: {s: {", &[("image", "nginx")], "}, other: {image: postgres, command: [x]}}"),
        "build" => ("services: {s: {build: {", &[("context", ".")], "}}}"),
        "env_file" => ("services: {s: {image: i, env_file: [{", &[("path", "none.env"), ("required", "false")], "}]}}"),
        "extends" => (
            "services: {s: {image: i, extends: {",
            &[("service", "other")],
            "}}, other: {image: postgres, command: [x]}}",
        ),
        "dependency" => ("services: {s: {image: i, depends_on: {other: {", &[], "}}}, other: {image: i}}"),
        "healthcheck" => ("services: {s: {image: i, healthcheck: {", &[("test", "[CMD, x]")], "}}}"),
        "port" => ("services: {s: {image: i, ports: [{", &[("target", "22"), ("published", "5001")], "}]}}"),
        "mount" => ("services: {s: {image: i, volumes: [{", &[("target", "/d"), ("type", "volume")], "}]}}"),
        "mount_volume" => {
            ("services: {s: {image: i, volumes: [{type: volume, source: data, target: /d, volume: {", &[], "}}]}}")
        }
        "mount_tmpfs" => ("services: {s: {image: i, volumes: [{type: tmpfs, target: /d, tmpfs: {", &[], "}}]}}"),
        "file_mount" => ("services: {s: {image: i, configs: [{", &[("source", "settings")], "}]}}"),
        "attachment" => ("services: {s: {image: i, networks: {front: {", &[], "}}}}"),
        "ulimit" => ("services: {s: {image: i, ulimits: {nofile: {", &[("soft", "10"), ("hard", "20")], "}}}}"),
        "deploy" => ("services: {s: {image: i, deploy: {", &[], "}}}"),
        "resources" => ("services: {s: {image: i, deploy: {resources: {", &[], "}}}}"),
        "resource_limits" => ("services: {s: {image: i, deploy: {resources: {limits: {", &[], "}}}}}"),
        "resource_reservations" => ("services: {s: {image: i, deploy: {resources: {reservations: {", &[], "}}}}}"),
        "restart_policy" => ("services: {s: {image: i, deploy: {restart_policy: {", &[], "}}}}"),
        "update_config" => ("services: {s: {image: i, deploy: {update_config: {", &[], "}}}}"),
        "placement" => ("services: {s: {image: i, deploy: {placement: {", &[], "}}}}"),
        "placement_preference" => ("services: {s: {image: i, deploy: {placement: {preferences: [{", &[], "}]}}}}"),
        "include" => ("services: {s: {image: i}}, include: [{", &[("path", "more.yaml")], "}]"),
        "volume" => ("services: {s: {image: i}}, volumes: {data: {", &[], "}}, x-rest: {"),
        "network" => ("services: {s: {image: i}}, networks: {front: {", &[], "}}, x-rest: {"),
        "config" => ("services: {s: {image: i}}, configs: {settings: {", &[], "}}, x-rest: {"),
        "secret" => ("services: {s: {image: i}}, secrets: {token: {", &[("external", "true")], "}}, x-rest: {"),
        name => wharf(name),
    }
}

fn wharf(section: &str) -> Place {
    match section {
        "x_stack" => ("services: {s: {image: i}}, x-wharf: {", &[], "}"),
        "x_input" => ("services: {s: {image: i}}, x-wharf: {inputs: {A: {", &[], "}}}"),
        "x_generate" => ("services: {s: {image: i}}, x-wharf: {inputs: {A: {generate: {", &[], "}}}}"),
        "x_volume" => ("services: {s: {image: i}}, volumes: {data: {x-wharf: {", &[], "}}}, x-rest: {"),
        "x_service" => ("services: {s: {image: i, volumes: ['data:/data:ro'], x-wharf: {", &[("port", "80")], "}}}"),
        "x_route" => ("services: {s: {image: i, x-wharf: {port: 80, routes: [{", &[], "}]}}}"),
        "x_health" => ("services: {s: {image: i, x-wharf: {port: 80, health: {", &[], "}}}}"),
        "x_slo" => ("services: {s: {image: i, x-wharf: {slo: {", &[("availability", "99%")], "}}}}"),
        "x_latency" => {
            ("services: {s: {image: i, x-wharf: {slo: {availability: 99%, latency: {", &[("within", "1s")], "}}}}}")
        }
        "x_limits" => ("services: {s: {image: i, x-wharf: {limits: {", &[], "}}}}"),
        "x_rate" => ("services: {s: {image: i, x-wharf: {limits: {rate: {", &[("requests", "5")], "}}}}}"),
        "x_timeouts" => ("services: {s: {image: i, x-wharf: {limits: {timeouts: {", &[], "}}}}}"),
        "x_resilience" => ("services: {s: {image: i, x-wharf: {resilience: {", &[], "}}}}"),
        "x_retries" => ("services: {s: {image: i, x-wharf: {resilience: {retries: {", &[], "}}}}}"),
        "x_breaker" => ("services: {s: {image: i, x-wharf: {resilience: {breaker: {", &[], "}}}}}"),
        "x_outlier" => ("services: {s: {image: i, x-wharf: {resilience: {outlier: {", &[], "}}}}}"),
        "x_scale" => ("services: {s: {image: i, x-wharf: {port: 80, scale: {", &[("max", "4")], "}}}}"),
        "x_target" => ("services: {s: {image: i, x-wharf: {scale: {max: 4, target: {", &[], "}}}}}"),
        "x_query" => (
            "services: {s: {image: i, x-wharf: {scale: {max: 4, target: {query: {",
            &[("query", "q"), ("per_instance", "1")],
            "}}}}}}",
        ),
        "x_scale_schedule" => {
            ("services: {s: {image: i, x-wharf: {scale: {max: 9, schedule: [{", &[("at", "'@daily'")], "}]}}}}")
        }
        "x_rollout" => ("services: {s: {image: i, x-wharf: {port: 80, rollout: {", &[], "}}}}"),
        "x_step" => (
            "services: {s: {image: i, x-wharf: {port: 80, rollout: {strategy: canary, steps: [{",
            &[("weight", "5")],
            "}]}}}}",
        ),
        "x_pause" => (
            "services: {s: {image: i, x-wharf: {port: 80, rollout: {strategy: canary, steps: [{weight: 5, pause: {",
            &[],
            "}}]}}}}",
        ),
        "x_targeting" => (
            "services: {s: {image: i, x-wharf: {port: 80, rollout: {strategy: canary, target: {",
            &[("header", "x-a")],
            "}}}}}",
        ),
        "x_analysis" => ("services: {s: {image: i, x-wharf: {port: 80, rollout: {analysis: {", &[], "}}}}}"),
        "x_release" => ("services: {s: {image: i, x-wharf: {release: {", &[("command", "[a]")], "}}}}"),
        "x_schedule" => ("services: {s: {image: i, x-wharf: {schedule: {", &[("cron", "'@daily'")], "}}}}"),
        "x_job" => ("services: {s: {image: i, x-wharf: {job: {", &[], "}}}}"),
        "x_backup" => (
            "services: {s: {image: i, volumes: ['data:/data'], x-wharf: {backup: {",
            &[("schedule", "'@hourly'")],
            "}}}}",
        ),
        "x_workflow" => {
            ("services: {s: {image: i}}, x-wharf: {workflows: {w: {", &[("steps", "{one: {service: s}}")], "}}}")
        }
        "x_parameter" => (
            "services: {s: {image: i}}, x-wharf: {workflows: {w: {steps: {one: {service: s}}, parameters: {DAY: {",
            &[],
            "}}}}}",
        ),
        "x_workflow_step" => (
            "services: {s: {image: i}}, x-wharf: {workflows: {w: {parameters: {DAY: {}}, steps: {first: {service: s}, two: {",
            &[("service", "s")],
            "}}}}}",
        ),
        other => panic!("the section {other} has no place in a file here"),
    }
}

/// What a document gives: the stack and what goes with it, or nothing.
fn outcome(text: &str) -> (Option<String>, Vec<String>) {
    let files = [
        ("compose.yaml", text),
        ("more.yaml", "services: {more: {image: i}}"),
        ("common.yaml", "services: {other: {image: i, command: [y]}}"),
        ("app.conf", "x=1"),
        ("token.txt", "t"),
        ("sub/.env", ""),
    ];
    let outcome = read_with(&files, &[("*TOKEN", "t"), ("*SETTINGS", "u")]);
    let said = said(&outcome);
    let manifest = outcome.manifest.map(|m| {
        let supplied: Vec<_> = m.supplied.keys().collect();
        format!("{}{supplied:?}", serde_json::to_string(&m.stack).expect("JSON"))
    });
    (manifest, said)
}

/// What a key needs beside it to mean something.
fn beside(section: &str, key: &str) -> Vec<(&'static str, &'static str)> {
    match (section, key) {
        ("mount", "volume" | "read_only") => vec![("source", "data")],
        ("mount", "tmpfs") => vec![("type", "tmpfs")],
        ("extends", "file") => vec![],
        ("secret", "environment" | "file") => vec![("external", "")],
        ("x_service", "backup") => vec![("care", "pet")],
        ("x_service", "schedule" | "job") => vec![("port", "")],
        ("x_rollout", "steps" | "target") => vec![("strategy", "canary")],
        ("x_health", "settle" | "interval" | "timeout" | "retries" | "start_period" | "port") => vec![("tcp", "true")],
        ("x_targeting", "cookie") => vec![("header", "")],
        ("config", "name" | "labels") => vec![("content", "a")],
        _ => vec![],
    }
}

fn check(section: &'static Section, key: &'static Key) -> Result<(), String> {
    let name = format!("{}.{}", section.name, key.name);
    let mut extra = beside(section.name, key.name);
    // An empty value takes a key of the base away.
    let without = outcome(&document(section, &[extra.clone(), vec![(key.name, "")]].concat()));
    extra.retain(|(k, _)| *k != key.name);
    extra.push((key.name, key.example));
    let text = document(section, &extra);
    let (with, said) = outcome(&text);
    let Some(with) = with else { return Err(format!("{name} is not taken in {text}:\n  {}", said.join("\n  "))) };
    if Some(&with) == without.0.as_ref() && !CHANGE_NOTHING.contains(&name.as_str()) {
        return Err(format!("{name} changes nothing in {text}"));
    }
    let warned = said.iter().any(|l| l.contains("[other-meaning]"));
    if matches!(key.rule, Rule::Differs(_)) && !warned {
        return Err(format!("{name} says nothing of its other meaning in {text}"));
    }
    Ok(())
}

#[test]
fn every_honoured_key_is_read() {
    let wrong: Vec<String> = sections()
        .into_iter()
        .flat_map(|s| s.keys.iter().map(move |k| (s, k)))
        .filter(|(_, k)| k.is_read())
        .filter_map(|(s, k)| check(s, k).err())
        .collect();
    assert!(wrong.is_empty(), "{} keys:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_refused_key_is_refused_by_name_with_what_to_do() {
    for section in sections() {
        for key in section.keys {
            let Rule::Refused { why, instead, unless } = key.rule else { continue };
            let name = format!("{}.{}", section.name, key.name);
            assert!(!why.is_empty() && !instead.is_empty(), "{name}");
            let outcome = read_with(&[("compose.yaml", &document(section, &[(key.name, "[anything]")]))], &[]);
            let found = outcome.findings.iter().find(|f| f.code == "refused" && f.message.contains(key.name));
            let found = found.unwrap_or_else(|| panic!("{name} is not refused: {:?}", super::said(&outcome)));
            assert_eq!(found.help.as_deref(), Some(instead), "{name}");
            assert!(outcome.manifest.is_none(), "{name}");
            for harmless in unless.iter().filter(|v| !v.is_empty()) {
                let mut keys = vec![(key.name, *harmless)];
                keys.extend(beside(section.name, "name"));
                let text = document(section, &keys);
                let outcome = read_with(&[("compose.yaml", &text)], &[("*TOKEN", "t")]);
                let refused = outcome.findings.iter().any(|f| f.code == "refused");
                assert!(!refused, "{name}: {harmless} is harmless in {text}");
            }
        }
    }
}

#[test]
fn keys_without_effect_are_said_to_have_none() {
    for section in sections() {
        for key in section.keys.iter().filter(|k| matches!(k.rule, Rule::NoEffect(_))) {
            let mut keys = vec![(key.name, "anything")];
            keys.extend(beside(section.name, key.name));
            let outcome = read_with(&[("compose.yaml", &document(section, &keys))], &[]);
            let found = outcome.findings.iter().any(|f| f.code == "no-effect" && f.message.contains(key.name));
            assert!(found, "{}.{}: {:?}", section.name, key.name, super::said(&outcome));
        }
    }
}

/// The keys of the present Compose schema, by section. None of them may be unknown.
const COMPOSE: [(&str, &str); 9] = [
    ("compose", "version name include services models networks volumes secrets configs"),
    (
        "service",
        "develop deploy annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command configs \
         container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus cpuset \
         credential_spec depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file \
         label_file environment expose extends provider external_links extra_hosts gpus group_add healthcheck hostname \
         image init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness \
         memswap_limit network_mode models networks oom_kill_disable oom_score_adj pid pids_limit platform ports \
         post_start pre_stop privileged profiles pull_policy pull_refresh_after read_only restart runtime scale \
         security_opt shm_size secrets sysctls stdin_open stop_grace_period stop_signal storage_opt tmpfs tty ulimits \
         use_api_socket user uts userns_mode volumes volumes_from working_dir",
    ),
    (
        "build",
        "context dockerfile dockerfile_inline entitlements args ssh labels cache_from cache_to no_cache \
         additional_contexts network pull target shm_size extra_hosts isolation privileged secrets tags ulimits platforms",
    ),
    ("healthcheck", "disable interval retries test timeout start_period start_interval"),
    ("deploy", "mode endpoint_mode replicas labels rollback_config update_config resources restart_policy placement"),
    ("update_config", "parallelism delay failure_action monitor max_failure_ratio order"),
    ("network", "name driver driver_opts ipam external internal enable_ipv4 enable_ipv6 attachable labels"),
    ("volume", "name driver driver_opts external labels"),
    ("port", "name mode host_ip target published protocol app_protocol"),
];

#[test]
fn no_key_of_compose_is_unknown() {
    for (name, keys) in COMPOSE {
        let section = sections().into_iter().find(|s| s.name == name).expect("a section");
        for key in keys.split_whitespace() {
            assert!(section.key(key).is_some(), "{name}.{key} stands in no table");
        }
    }
    assert_eq!(COMPOSE[1].1.split_whitespace().count(), 92);
}

/// The 40 keys used most in public Compose files; all but what breaks tenancy are taken.
#[test]
fn the_most_used_keys_are_taken_or_refused_for_tenancy() {
    let taken = "image environment healthcheck volumes depends_on command restart entrypoint container_name ports expose \
                 deploy user cap_add networks ulimits platform shm_size pull_policy logging security_opt env_file labels \
                 extra_hosts build links stop_grace_period tty stdin_open sysctls read_only tmpfs secrets profiles init \
                 dns group_add pids_limit cap_drop stop_signal working_dir hostname configs extends";
    let refused = "network_mode privileged devices pid runtime volumes_from";
    let service = sections().into_iter().find(|s| s.name == "service").expect("the section");
    for key in taken.split_whitespace() {
        let row = service.key(key).unwrap_or_else(|| panic!("{key}"));
        assert!(!matches!(row.rule, Rule::Refused { .. }), "{key}");
    }
    for key in refused.split_whitespace() {
        let row = service.key(key).unwrap_or_else(|| panic!("{key}"));
        assert!(matches!(row.rule, Rule::Refused { .. }), "{key}");
    }
}

#[test]
fn the_skeletons_are_valid_by_themselves() {
    let text = document(sections()[1], &[]);
    good(read_with(&[("compose.yaml", &text)], &[("*TOKEN", "t")]));
    assert!(text.contains(OTHER), "{text}");
}
