//! The translations, without Docker.

use crate::engine::docker::labels::{self, Installation};
use crate::engine::docker::{convert, errors};
use crate::engine::{ContainerState, InstanceKey, InstanceSpec, Owner, Role};
use crate::stack::Limits;
use crate::stack::model::Container;

fn id<T: std::str::FromStr<Err = String>>(prefix: &str) -> T {
    format!("{prefix}_{}", "0123456789abcdef".repeat(2)).parse().unwrap()
}

fn installation() -> Installation {
    "main".parse().unwrap()
}

fn spec() -> InstanceSpec {
    let owner = Owner { tenant: id("ten"), project: id("prj"), environment: id("env") };
    InstanceSpec {
        key: InstanceKey {
            environment: owner.environment.clone(),
            service: "web".parse().unwrap(),
            revision: 12,
            generation: 3,
            slot: 2,
        },
        owner,
        role: Role::Instance,
        image: "sha256:1234".to_owned(),
        entrypoint: None,
        command: Some(vec!["serve".to_owned(), "--fast".to_owned()]),
        environment: [("PORT".to_owned(), "8080".to_owned()), ("EMPTY".to_owned(), String::new())].into(),
        limits: Limits { cpu_millis: 250, memory_mib: 128, pids: 100 },
        container: Container::default(),
        mounts: Vec::new(),
        files: Vec::new(),
        stop_grace_seconds: 10,
        network: "wharf-shop".to_owned(),
        aliases: vec!["web".to_owned()],
        hostname: "web-2".to_owned(),
        tty: false,
        operation: None,
    }
}

#[test]
fn a_container_is_written_from_scratch() {
    let body = serde_json::to_value(convert::container_body(&installation(), &spec(), false)).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn names_are_derived_from_the_identity_alone() {
    let name = |spec: &InstanceSpec| convert::container_name(&installation(), spec);
    insta::assert_snapshot!(name(&spec()), @"wharf-main.web.2.v12.g3.env_0123456789abcdef0123456789abcdef");
    let task = InstanceSpec { role: Role::Task, operation: Some(id("op")), ..spec() };
    insta::assert_snapshot!(name(&task), @"wharf-main.web.2.v12.g3.env_0123456789abcdef0123456789abcdef.task.op_0123456789abcdef0123456789abcdef");
}

#[test]
fn labels_are_read_back_as_they_were_written() {
    for (role, operation) in [(Role::Instance, None), (Role::Task, Some(id("op")))] {
        let spec = InstanceSpec { role, operation, ..spec() };
        let written = labels::of_instance(&installation(), &spec);
        assert_eq!(labels::parse(&written), Some(labels::Identity::of(&spec)));
        assert!(installation().owns(Some(&written)));
        assert!(!"other".parse::<Installation>().unwrap().owns(Some(&written)));
        for key in written
            .keys()
            .filter(|k| !k.ends_with("installation") && !k.ends_with("owner") && !k.ends_with("operation"))
        {
            let mut broken = written.clone();
            broken.insert(key.clone(), "?".to_owned());
            assert_eq!(labels::parse(&broken), None, "{key}");
        }
    }
}

#[test]
fn installation_ids_are_checked() {
    for bad in ["", "-a", "A", "a=b", "a,b", &"a".repeat(33)] {
        assert!(bad.parse::<Installation>().is_err(), "{bad}");
    }
}

#[test]
fn times_are_parsed_and_zero_times_are_none() {
    assert_eq!(convert::timestamp("2026-01-02T03:04:05.678901234Z").map(|t| t.0), Some(1_767_323_045_678));
    assert_eq!(convert::timestamp("2026-01-02T05:04:05.678+02:00").map(|t| t.0), Some(1_767_323_045_678));
    assert_eq!(convert::timestamp("0001-01-01T00:00:00Z"), None);
    assert_eq!(convert::timestamp("soon"), None);
}

#[test]
fn states_are_translated() {
    let state = |json: &str| convert::container_state(&serde_json::from_str(json).unwrap());
    assert_eq!(state(r#"{"Status":"created"}"#), ContainerState::Created);
    let running = state(r#"{"Status":"running","StartedAt":"2026-01-02T03:04:05Z"}"#);
    assert!(matches!(running, ContainerState::Running { started_at } if started_at.0 == 1_767_323_045_000));
    let ended = state(r#"{"Status":"exited","ExitCode":137,"OOMKilled":true,"FinishedAt":"2026-01-02T03:04:05Z"}"#);
    assert!(matches!(ended, ContainerState::Exited { code: 137, oom_killed: true, .. }));
}

#[test]
fn causes_come_first() {
    let start =
        errors::explain_start("OCI runtime create failed: exec: \"x\": executable file not found in $PATH: unknown");
    assert!(start.starts_with("the image has no such program"), "{start}");
    let pull = errors::explain_pull(
        "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host",
    );
    assert!(pull.starts_with("the registry cannot be reached"), "{pull}");
}
