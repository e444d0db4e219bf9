//! Several files and services in one.

use super::{good, grave, read, read_with, service};
use crate::stack::compose::{InMemory, Request, parse};

fn first(files: &[(&str, &str)]) -> crate::stack::model::Service {
    let mut services = good(read_with(files, &[])).stack.services;
    services.remove(&"s".parse().expect("a name")).expect("a service `s`")
}

#[test]
fn anchors_and_merges_are_written_out() {
    let s = service(
        "
x-base: &base {restart: on-failure, environment: {A: base, B: base}}
x-more: &more {user: '7', restart: 'no'}
services:
  s:
    <<: [*base, *more]
    image: i
    environment: {B: own}
",
    );
    assert_eq!(s.restart.condition, crate::stack::model::RestartCondition::OnFailure);
    assert_eq!(s.container.user.as_deref(), Some("7"));
    assert_eq!(s.environment.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["B=own"]);
}

#[test]
fn a_merge_of_a_single_value_is_refused() {
    let outcome = read("x-a: &a 5\nservices:\n  s:\n    <<: *a\n    image: i\n");
    assert_eq!(grave(&outcome), ["error[yaml] 1:9 `<<` takes a mapping, or a list of mappings"]);
}

#[test]
fn an_override_follows_the_merge_rules_of_compose() {
    let base = "
services:
  s:
    image: i:1
    command: [a, b]
    environment: [A=1, B=1]
    ports: ['80:80', '443:443']
    expose: ['9']
    dns: 1.1.1.1
    volumes: ['data:/data', 'logs:/logs']
    depends_on: [db]
    healthcheck: {test: [CMD, a], interval: 5s}
    networks: [front]
  db: {image: postgres}
volumes: {data: {}, logs: {}, other: {}}
networks: {front: {}, back: {}}
";
    let over = "
services:
  s:
    image: i:2
    command: [c]
    environment: {B: '2', C: '2'}
    ports: ['80:80', '8443:443']
    expose: ['10']
    dns: [9.9.9.9]
    volumes: ['other:/data']
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, b, c]}
    networks: {back: {aliases: [x]}}
";
    let s = first(&[("compose.yaml", base), ("compose.override.yaml", over)]);
    assert_eq!(s.image.name, "i:2");
    assert_eq!(s.command.as_deref(), Some(&["c".to_owned()][..]));
    assert_eq!(s.environment.iter().map(|(k, v)| format!("{k}{v}")).collect::<Vec<_>>(), ["A1", "B2", "C2"]);
    assert_eq!(s.ports.iter().map(|p| p.port).collect::<Vec<_>>(), [9, 10, 80, 443]);
    assert_eq!(s.container.dns.len(), 2);
    let mounts: Vec<String> = s.mounts.iter().map(|m| format!("{}:{}", m.volume, m.target)).collect();
    assert_eq!(mounts, ["other:/data", "logs:/logs"]);
    assert_eq!(s.health.command, Some(vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(s.health.interval_ms, 5_000);
    assert_eq!(s.networks.len(), 2);
    let condition = s.depends_on.values().next().expect("one").condition;
    assert_eq!(condition, crate::stack::model::DependencyCondition::Healthy);
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let base = "services: {s: {image: i, user: '1', environment: {A: '1', B: '1'}, expose: ['1', '2'], tmpfs: [/a]}}";
    let over = "
services:
  s:
    user: !reset null
    environment: {B: !reset null}
    expose: !override ['3']
    tmpfs: !reset []
";
    let s = first(&[("compose.yml", base), ("compose.override.yml", over)]);
    assert_eq!(s.container.user, None);
    assert_eq!(s.environment.keys().collect::<Vec<_>>(), ["A"]);
    assert_eq!(s.ports.iter().map(|p| p.port).collect::<Vec<_>>(), [3]);
    assert!(s.container.tmpfs.is_empty());
}

#[test]
fn a_service_extends_one_of_the_same_file_and_of_another() {
    let files = [
        (
            "compose.yaml",
            "services:
  s: {extends: {service: mid}, environment: {C: s}}
  mid: {extends: {file: shared/base.yaml, service: base}, environment: {B: mid}, expose: ['2']}
",
        ),
        (
            "shared/base.yaml",
            "services: {base: {build: ./app, env_file: base.env, environment: {A: base, B: base}, expose: ['1']}}",
        ),
        ("shared/base.env", "FROM_FILE=yes\nA=file\n"),
    ];
    let s = first(&files);
    assert_eq!(s.build.expect("a build").context, "shared/app");
    let all: Vec<String> = s.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(all, ["A=base", "B=mid", "C=s", "FROM_FILE=yes"]);
    assert_eq!(s.ports.iter().map(|p| p.port).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_cannot_be_extended_is_reported() {
    let circle = read("services: {a: {extends: b}, b: {extends: a}}");
    assert!(
        grave(&circle).iter().any(|l| l.contains("extend each other in a circle: a → b → a")),
        "{:?}",
        grave(&circle)
    );
    let unknown = read("services:\n  a: {extends: wob}\n  web: {image: i}\n");
    assert!(unknown.findings.iter().any(|f| f.help.as_deref() == Some("did you mean `web`?")), "{:?}", grave(&unknown));
    let outside = read("services: {a: {extends: {file: ../x.yaml, service: b}}}");
    assert!(grave(&outside)[0].starts_with("error[outside]"));
}

#[test]
fn an_included_file_belongs_to_the_stack() {
    let files = [
        ("compose.yaml", "include: [db/compose.yaml]\nservices: {s: {image: i, depends_on: [db]}}"),
        (
            "db/compose.yaml",
            "services: {db: {build: ., image: 'i:$TAG', volumes: ['data:/data']}}\nvolumes: {data: {}}",
        ),
        ("db/.env", "TAG=5"),
    ];
    let stack = good(read_with(&files, &[])).stack;
    let db = &stack.services[&"db".parse().expect("a name")];
    assert_eq!((db.image.name.as_str(), db.build.as_ref().map(|b| b.context.as_str())), ("i:5", Some("db")));
    assert_eq!(stack.volumes.len(), 1);
}

#[test]
fn an_include_may_have_overrides_and_may_not_collide_or_go_in_circles() {
    let files = [
        ("compose.yaml", "include: [{path: [a.yaml, b.yaml]}]\nservices: {s: {image: i}}"),
        ("a.yaml", "services: {x: {image: 'i:1', user: '1'}}"),
        ("b.yaml", "services: {x: {image: 'i:2'}}"),
    ];
    let stack = good(read_with(&files, &[])).stack;
    let x = &stack.services[&"x".parse().expect("a name")];
    assert_eq!((x.image.name.as_str(), x.container.user.as_deref()), ("i:2", Some("1")));

    let files =
        [("compose.yaml", "include: [a.yaml]\nservices: {s: {image: i}}"), ("a.yaml", "services: {s: {image: j}}")];
    assert!(grave(&read_with(&files, &[]))[0].starts_with("error[duplicate-key] 2:12 the service `s`"));

    let files =
        [("compose.yaml", "include: [a.yaml]\nservices: {s: {image: i}}"), ("a.yaml", "include: [compose.yaml]\n")];
    assert!(grave(&read_with(&files, &[]))[0].contains("files include each other in a circle"));
}

#[test]
fn profiles_choose_services() {
    let file = "services: {s: {image: i}, tool: {image: i, profiles: [tools]}, x: {image: i, profiles: [a, b]}}";
    let count = |files: &[(&str, &str)], profiles: &[&str]| {
        let files = InMemory(files.iter().map(|(p, t)| ((*p).to_owned(), t.as_bytes().to_vec())).collect());
        let profiles = profiles.iter().map(|p| (*p).to_owned()).collect();
        good(parse(&files, &Request { profiles, ..Request::default() })).stack.services.len()
    };
    assert_eq!(count(&[("compose.yaml", file)], &[]), 1);
    assert_eq!(count(&[("compose.yaml", file)], &["tools"]), 2);
    assert_eq!(count(&[("compose.yaml", file)], &["*"]), 3);
    assert_eq!(count(&[("compose.yaml", file), (".env", "COMPOSE_PROFILES=b, tools")], &[]), 3);
    let outcome = read("services: {s: {image: i, depends_on: [tool]}, tool: {image: i, profiles: [tools]}}");
    assert_eq!(grave(&outcome), ["error[unknown-name] 1:39 there is no service `tool`"]);
}

#[test]
fn env_files_in_all_their_forms() {
    let files = [
        (
            "compose.yaml",
            "services: {s: {image: i, env_file: [a.env, {path: raw.env, format: raw}, {path: none.env, required: false}], \
             environment: {B: own}}, t: {image: i, env_file: a.env, environment: [LEFT]}}",
        ),
        (
            "a.env",
            "A=1\nB=2\n  C = \"two\\nlines\"  \nD='$A'\nE=$A-x # comment\nexport F=\nG=\"more\nlines\"\nLEFT\n\n#x\nY: yaml\n",
        ),
        ("raw.env", "H=\"$A\" # kept\n"),
    ];
    let outcome = read_with(&files, &[("LEFT", "l")]);
    let stack = good(outcome).stack;
    let s = &stack.services[&"s".parse().expect("a name")].environment;
    let pairs: Vec<String> = s.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let expected =
        ["A=1", "B=own", "C=two\nlines", "D=$A", "E=1-x", "F=", "G=more\nlines", "H=\"$A\" # kept", "LEFT=l", "Y=yaml"];
    assert_eq!(pairs, expected);
    let missing = read("services:\n  s:\n    image: i\n    env_file: none.env\n");
    assert_eq!(grave(&missing), ["error[file] 4:15 `none.env`: the file does not exist"]);
}

#[test]
fn labels_come_from_files_too() {
    let files =
        [("compose.yaml", "services: {s: {image: i, label_file: l, labels: {a: own}}}"), ("l", "a=file\nb=2\n#c\n")];
    let s = first(&files);
    assert_eq!(s.container.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["a=own", "b=2"]);
}
