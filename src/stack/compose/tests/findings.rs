//! What is said, where, and how it looks.

use insta::assert_snapshot;

use super::{grave, read, said};
use crate::stack::compose::{Severity, excerpt};

/// All findings as a terminal without colours shows them.
fn shown(text: &str) -> String {
    let outcome = read(text);
    let all: Vec<String> = outcome.findings.iter().map(|f| excerpt::render(f, &outcome.files, false)).collect();
    for line in all.iter().flat_map(|r| r.lines()) {
        assert!(line.chars().count() <= excerpt::COLUMNS, "{} columns: {line}", line.chars().count());
    }
    all.join("\n")
}

#[test]
fn findings_show_the_line_with_a_mark() {
    assert_snapshot!(shown(
        "services:
  web:
    image: nginx
    privileged: true
    enviroment:
      A: b
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
      - ./a/rather/long/folder/of/this/machine/with/many/parts/that/goes/on/and/on:/srv/data
    restart: always
    image: apache
"
    ), @r#"
    error[refused]: `privileged` is refused: a privileged container owns the
      machine, and with it all tenants
     --> compose.yaml:4:5
      |
    4 |     privileged: true
      |     ^^^^^^^^^^
      = help: name what it needs with `cap_add`; most images run without

    error[unknown-key]: the key `enviroment` is not known here
     --> compose.yaml:5:5
      |
    5 |     enviroment:
      |     ^^^^^^^^^^
      = help: did you mean `environment`?

    error[refused]: the engine's socket is refused: it owns the machine
     --> compose.yaml:8:9
      |
    8 |       - /var/run/docker.sock:/var/run/docker.sock
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: use Wharf's API with a token; what a service needs to know is in its
              environment

    error[refused]: the bind mount of
      `./a/rather/long/folder/of/this/machine/with/many/parts/that/goes/on/and/on`
      is refused: folders of the machine belong to all tenants
     --> compose.yaml:9:9
      |
    9 |       - ./a/rather/long/folder/of/this/machine/with/many/parts/that/goes/o…
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: for data use a named volume: `on:/srv/data`; for code or settings copy
              the folder into the image

    note[no-effect]: every service is kept running
      --> compose.yaml:10:14
       |
    10 |     restart: always
       |              ^^^^^^
       = help: an instance that ends is replaced, with a growing wait between tries

    error[duplicate-key]: the key `image` is here twice
      --> compose.yaml:11:5
       |
    11 |     image: apache
       |     ^^^^^
      --> compose.yaml:3:5
       |
     3 |     image: nginx
       |     ^^^^^ it is here first
       = help: keep one of the two
    "#);
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let outcome = read("services: {s: {image: i, pid: host}}");
    let plain = excerpt::render(&outcome.findings[0], &outcome.files, false);
    let colours = excerpt::render(&outcome.findings[0], &outcome.files, true);
    assert!(!plain.contains('\u{1b}') && colours.contains("\u{1b}[1;31m"));
}

#[test]
fn control_characters_of_a_file_never_reach_the_terminal() {
    let outcome = read("services: {s: {image: i, \"bad\\e[31mkey\": 1, volumes: [\"/\\e]0;x\\a:/x\"]}}");
    for finding in &outcome.findings {
        assert!(!excerpt::render(finding, &outcome.files, false).contains('\u{1b}'));
    }
}

#[test]
fn places_are_exact_through_quotes_anchors_and_lists() {
    let text = "x-a: &a
  privileged: true
services:
  s:
    <<: *a
    image: \"nginx:${TAG:?now}\"
    ports:
      - \"80:80\"
      - 'nine'
    cap_add: [CHOWN, SYS_ADMIN]
    environment: ['A=1', 'B=${X!}']
";
    let places: Vec<(u32, u32, u32)> = read(text)
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| (f.at.line, f.at.column, f.at.length))
        .collect();
    assert_eq!(places, [(2, 3, 10), (6, 21, 3), (9, 9, 6), (10, 22, 9), (11, 32, 1)]);
}

#[test]
fn broken_yaml_is_reported_with_its_place() {
    for (text, place) in [("services:\n  s: [a\n", "2:6"), ("a: b: c\n", "1:5"), ("a: *none\n", "1:4")] {
        let said = grave(&read(text)).join("; ");
        assert!(said.starts_with("error[yaml]") && said.contains(place), "{text:?}: {said}");
    }
    assert!(grave(&read("a: 1\n---\nb: 2\n"))[0].contains("a second document"));
    assert!(grave(&read("- a\n"))[0].contains("a Compose file is a mapping"));
    assert!(grave(&read(""))[0].contains("a Compose file is a mapping"));
    assert!(grave(&read("services: {}\n"))[0].contains("there is no service"));
    assert!(grave(&super::read_with(&[("other.yaml", "")], &[]))[0].contains("there is no Compose file"));
}

#[test]
fn a_key_twice_names_the_first_one() {
    let outcome = read("services:\n  s:\n    image: a\n    image: b\n");
    assert_eq!(grave(&outcome), ["error[duplicate-key] 4:5 the key `image` is here twice"]);
    assert_eq!(outcome.findings[0].also.as_ref().map(|(p, _)| p.line), Some(3));
}

#[test]
fn unknown_keys_get_a_suggestion() {
    for (key, meant) in [
        ("enviroment", "environment"),
        ("volume", "volumes"),
        ("dependsOn", "depends_on"),
        ("portz", "ports"),
        ("comand", "command"),
        ("imgae", "image"),
    ] {
        let outcome = read(&format!("services: {{s: {{image: i, {key}: x}}}}"));
        let help = outcome.findings.iter().find(|f| f.code == "unknown-key").and_then(|f| f.help.clone());
        assert_eq!(help.as_deref(), Some(format!("did you mean `{meant}`?").as_str()), "{key}");
    }
    let far = read("services: {s: {image: i, completely_else: x, x-own: {any: thing}}}");
    assert_eq!(grave(&far).len(), 1);
    assert!(far.findings[0].help.as_deref().is_some_and(|h| h.contains("`x-`")));
}

#[test]
fn one_mistake_hides_no_other() {
    let outcome = read(
        "services:
  a: {image: i, ports: [x], deploy: {replicas: many}, privilegd: true}
  b: {volumes: ['/etc:/etc'], depends_on: [c]}
  c: {image: i, healthcheck: {interval: 5}, networks: [nowhere]}
volumes: {v: {driver: nfs}}
",
    );
    let codes: Vec<String> =
        grave(&outcome).iter().map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        codes,
        [
            "error[bad-value] 2:25",
            "error[bad-value] 2:48",
            "error[unknown-key] 2:55",
            "error[missing-key] 3:3",
            "error[refused] 3:17",
            "error[bad-value] 4:41",
            "error[unknown-name] 4:56",
            "error[refused] 5:15",
        ]
    );
}

#[test]
fn what_means_something_else_is_warned_of_and_what_does_nothing_is_noted() {
    let outcome = read(
        "version: '3.8'
services:
  web: {image: i, ports: ['80:80'], container_name: shop, restart: always, logging: {driver: syslog}}
  db: {image: postgres, ports: ['5432:5432'], labels: {traefik.enable: 'true'}}
networks: {proxy: {external: true}}
",
    );
    assert_snapshot!(said(&outcome).join("\n"), @r#"
    note[no-effect] 1:1 `version` has no effect here
    warning[other-meaning] 3:27 the port 80 is reached over the app's own domains, not over a port of the machine
    warning[other-meaning] 3:37 `container_name` means something else here
    note[no-effect] 3:68 every service is kept running
    note[no-effect] 3:76 `logging` has no effect here
    warning[other-meaning] 4:33 the TCP port 5432 is exposed by the ingress, on the port you wish for if it is free
    warning[other-meaning] 4:56 labels route nothing here
    warning[other-meaning] 5:20 `external` means something else here
    "#);
}

#[test]
fn circles_are_named_with_their_lines() {
    let outcome = read(
        "services:
  a:
    image: i
    depends_on:
      - b
  b:
    image: i
    depends_on: {c: {condition: service_healthy}}
  c: {image: i, links: [a]}
",
    );
    assert_eq!(
        grave(&outcome),
        ["error[cycle] 5:9 services wait for each other, so none can start: a (line 5) → b (line 8) → c (line 9) → a"]
    );
}

#[test]
fn a_critical_service_on_a_lesser_one_is_warned_of() {
    let outcome = read(
        "services:\n  web: {image: i, depends_on: [db], x-wharf: {criticality: critical}}\n  db: {image: postgres}\n",
    );
    assert_eq!(
        grave(&outcome),
        ["warning[criticality] 2:32 `web` is critical and depends on `db`, which is only normal"]
    );
}

#[test]
fn aliases_of_aliases_are_cut_off() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        let of = format!("*a{}", i - 1);
        text.push_str(&format!("a{i}: &a{i} [{}]\n", vec![of; 10].join(", ")));
    }
    assert!(grave(&read(&text))[0].contains("more than 100000 values"));
    assert!(grave(&read("a: &a [*a]\n"))[0].contains("error[yaml]"));
    assert!(grave(&read(&"[".repeat(5_000)))[0].contains("error[yaml]"));
    let deep: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert!(grave(&read(&deep))[0].starts_with("error["));
    assert!(grave(&read(&"x".repeat(2_000_000)))[0].contains("larger than 1024 KiB"));
}
