//! From a service to the specification of its container.

use std::collections::BTreeMap;

use crate::engine::{InstanceKey, InstanceSpec, Role};
use crate::kernel::clock::Timestamp;
use crate::kernel::secret::Secret;
use crate::scheduler::spec::{self, Source};
use crate::stack::model::{ConfigFile, FileMode, FileMount, FileSource, Mount, Origin, SecretRef};
use crate::stack::{Service, ServiceKind, Stack};

use super::fixtures::{environment, owner, service, stack_of};

/// The container of `web.2` of v7, with two variables and one secret in the environment.
fn made(stack: &Stack, secrets: &[(&str, &str)]) -> Result<InstanceSpec, String> {
    let (id, owner) = owner(1);
    let configuration = BTreeMap::from([
        ("PORT".to_owned(), Secret::new("9".to_owned())),
        ("KEY".to_owned(), Secret::new("theirs".to_owned())),
    ]);
    let everybody = BTreeMap::from([("KEY".to_owned(), "ours".to_owned()), ("CA".to_owned(), "x".to_owned())]);
    let secrets =
        secrets.iter().map(|(n, v)| (n.parse().expect("a name"), Secret::new(v.as_bytes().to_vec()))).collect();
    let key =
        InstanceKey { environment: id, service: "web".parse().expect("a name"), revision: 7, generation: 9, slot: 2 };
    let environment = environment(&owner);
    let source = Source {
        owner: &owner,
        environment: &environment,
        stack,
        everybody: &everybody,
        configuration: &configuration,
        secrets: &secrets,
    };
    source.instance(&key, &stack.services[&key.service])
}

fn listed(spec: &InstanceSpec) -> Vec<String> {
    let own = |(k, v): (&String, &String)| (!k.starts_with("WHARF_")).then(|| format!("{k}={v}"));
    spec.environment.iter().filter_map(own).collect()
}

#[test]
fn the_platforms_promises_win_over_an_apps_configuration() {
    let spec = made(&stack_of([("web", service(ServiceKind::Web, 1))]), &[]).expect("it has all");
    assert_eq!(listed(&spec), ["CA=x", "KEY=theirs", "PORT=8080"]);
    let promised =
        ["APP", "ENV", "INSTANCE", "REVISION", "SERVICE"].map(|n| spec.environment[&format!("WHARF_{n}")].as_str());
    assert_eq!(promised, ["shop", "production", "web.2", "7", "web"]);
    assert_eq!((spec.hostname.as_str(), spec.aliases), ("web-2", vec!["web".to_owned(), "web.internal".to_owned()]));
}

#[test]
fn a_service_of_a_manifest_gets_what_the_manifest_names() {
    let token: SecretRef = SecretRef { name: "token".parse().expect("a name"), version: Some(3) };
    let web = Service {
        environment: BTreeMap::from([
            ("URL".to_owned(), "db://${{KEY}}@db".to_owned()),
            ("PORT".to_owned(), "3000".to_owned()),
        ]),
        references: ["KEY".parse().expect("a name")].into(),
        secret_environment: [("TOKEN".parse().expect("a name"), token.clone())].into(),
        mounts: vec![Mount {
            volume: "data".parse().expect("a name"),
            target: "/data".to_owned(),
            read_only: true,
            subpath: None,
            no_copy: false,
        }],
        files: vec![
            FileMount {
                source: FileSource::Config("page".parse().expect("a name")),
                target: "/srv/page".to_owned(),
                uid: None,
                gid: None,
                mode: None,
            },
            FileMount {
                source: FileSource::Secret("tls".parse().expect("a name")),
                target: "/run/secrets/tls".to_owned(),
                uid: Some(1000),
                gid: None,
                mode: FileMode::new(0o400),
            },
        ],
        aliases: ["shop".to_owned()].into(),
        ..service(ServiceKind::Web, 1)
    };
    let stack = Stack {
        origin: Origin::Manifest,
        configs: [("page".parse().expect("a name"), ConfigFile { content: "hello".to_owned() })].into(),
        secrets: [("tls".parse().expect("a name"), token)].into(),
        ..stack_of([("web", web)])
    };
    let spec = made(&stack, &[("token", "t0ken")]).expect("it has all");
    assert_eq!(listed(&spec), ["CA=x", "KEY=ours", "PORT=3000", "TOKEN=t0ken", "URL=db://theirs@db"]);
    let files: Vec<String> = spec
        .files
        .iter()
        .map(|f| format!("{} {} {:o} {}", f.path, f.uid, f.mode, String::from_utf8_lossy(f.content.expose())))
        .collect();
    assert_eq!(files, ["/srv/page 0 444 hello", "/run/secrets/tls 1000 400 t0ken"]);
    let mounts: Vec<String> =
        spec.mounts.iter().map(|m| format!("{} {} {}", m.volume.name, m.target, m.read_only)).collect();
    assert_eq!(mounts, ["data /data true"]);
    assert_eq!(spec.aliases, ["web", "web.internal", "shop"]);
    let missing = made(&stack, &[]).expect_err("the secret has no value");
    assert_eq!(missing, "the secret `token` has no value; set it with: wharf secrets set token");
}

#[test]
fn a_task_replaces_the_entry_point_and_answers_to_no_name() {
    let (_, owner) = owner(1);
    let stack = stack_of([("web", service(ServiceKind::Web, 1))]);
    let (environment, none) = (environment(&owner), BTreeMap::new());
    let (configuration, secrets) = (BTreeMap::new(), BTreeMap::new());
    let source = Source {
        owner: &owner,
        environment: &environment,
        stack: &stack,
        everybody: &none,
        configuration: &configuration,
        secrets: &secrets,
    };
    let random = crate::kernel::random::Random::seeded(1);
    let operation = crate::kernel::id::OperationId::new(Timestamp(1), &random);
    let name = "web".parse().expect("a name");
    let web = &stack.services[&name];
    let key = spec::task_key(&owner, &name, 3, 0);
    let task = source.task(key, web, Some(vec!["ls".into(), "-l".into()]), &operation).expect("it has all");
    assert_eq!(task.entrypoint, Some(vec!["ls".to_owned(), "-l".to_owned()]));
    assert_eq!((task.command, task.aliases, task.role), (Some(vec![]), vec![], Role::Task));
    assert_eq!((task.limits, task.operation), (web.limits.clone(), Some(operation)));
}
