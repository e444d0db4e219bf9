//! Variables in values.

use super::{good, grave, read, read_with, said};

/// `command` holds one word, which is what the text became.
#[track_caller]
fn filled(text: &str, variables: &[(&str, &str)]) -> String {
    let file = format!("services: {{s: {{image: i, command: ['{text}']}}}}");
    let manifest = good(read_with(&[("compose.yaml", &file)], variables));
    let service = manifest.stack.services.into_values().next().expect("a service");
    service.command.expect("a command").remove(0)
}

#[test]
fn every_form_of_a_variable_is_filled() {
    let known = &[("X", "x"), ("EMPTY", ""), ("Y", "y")];
    for (text, expected) in [
        ("$X", "x"),
        ("${X}", "x"),
        ("a${X}b$Y-c", "axby-c"),
        ("${X:-d}", "x"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${X:?e}", "x"),
        ("${EMPTY?e}", ""),
        ("${X:+a}", "a"),
        ("${EMPTY:+a}", ""),
        ("${EMPTY+a}", "a"),
        ("${NONE:+a}", ""),
        ("${NONE+a}", ""),
        ("${NONE:-${OTHER:-${X}}}", "x"),
        ("${NONE:-$Y}", "y"),
        ("${NONE:-a:b/c?d=e}", "a:b/c?d=e"),
        ("$$X", "$X"),
        ("$${X}", "${X}"),
        ("$$$X", "$x"),
        ("cost: 5$$", "cost: 5$"),
        ("${NONE:-}", ""),
        ("${X:-{}}", "x}"),
        ("${NONE:-a b}", "a b"),
    ] {
        assert_eq!(filled(text, known), expected, "{text}");
    }
}

#[test]
fn malformed_variables_are_reported_where_they_are() {
    for (text, offset) in [("a $ b", 2), ("${", 0), ("${X", 0), ("${}", 2), ("${1X}", 2), ("${X!}", 3), ("$(date)", 0)]
    {
        let outcome = read(&format!("services: {{s: {{image: i, command: ['{text}']}}}}"));
        let errors: Vec<_> = outcome.findings.iter().filter(|f| f.code == "interpolation").collect();
        assert_eq!(errors.len(), 1, "{text}: {:?}", said(&outcome));
        // The text begins in column 37.
        assert_eq!(errors[0].at.column, 37 + offset, "{text}");
    }
}

#[test]
fn a_required_variable_without_a_value_is_an_error_with_its_message() {
    let outcome = read("services:\n  s:\n    image: i:${TAG:?say which version}\n");
    assert_eq!(grave(&outcome), ["error[missing-variable] 3:16 the variable `TAG` has no value: say which version"]);
    assert!(outcome.findings[0].help.as_deref().is_some_and(|h| h.contains("wharf config set TAG=")));
}

#[test]
fn another_variable_without_a_value_is_empty_and_warned_of() {
    let outcome = read("services:\n  s:\n    image: i\n    environment:\n      A: x$NONE\n");
    assert_eq!(grave(&outcome), ["warning[missing-variable] 5:11 the variable `NONE` has no value; it is empty here"]);
    assert_eq!(good(outcome).stack.services.into_values().next().expect("one").environment["A"], "x");
}

#[test]
fn values_of_secrets_stay_references() {
    let file = "
services:
  s:
    image: redis:${TAG}
    command: redis-server --requirepass ${PASSWORD} --x '${NONE:-${PASSWORD}}'
    environment:
      URL: redis://:${PASSWORD}@s/${TAG}
      PLAIN: ${TAG}
      INHERITED:
      ABSENT:
    healthcheck:
      test: [CMD, redis-cli, -a, $PASSWORD, ping]
";
    let secrets = &[("*PASSWORD", "hunter2"), ("TAG", "7"), ("*INHERITED", "hunter3")];
    let manifest = good(read_with(&[("compose.yaml", file)], secrets));
    let s = manifest.stack.services.into_values().next().expect("one");
    let json = serde_json::to_string(&s).expect("JSON");
    assert!(!json.contains("hunter"), "{json}");
    assert_eq!(s.image.name, "redis:7");
    assert_eq!(s.environment["URL"], "redis://:${{PASSWORD}}@s/7");
    assert_eq!(s.environment["PLAIN"], "7");
    assert_eq!(s.environment["INHERITED"], "${{INHERITED}}");
    assert!(!s.environment.contains_key("ABSENT"));
    let names: Vec<&str> = s.references.iter().map(|r| r.as_str()).collect();
    assert_eq!(names, ["INHERITED", "PASSWORD"]);
    let filled = s.fill(&|n| Some(format!("<{}>", n.as_str()))).expect("all have values");
    assert_eq!(filled.environment["URL"], "redis://:<PASSWORD>@s/7");
    assert_eq!(filled.command.expect("one")[2], "<PASSWORD>");
    assert_eq!(filled.health.command.expect("one")[2], "<PASSWORD>");
}

#[test]
fn a_variable_cannot_change_the_structure() {
    let file = "services:\n  s:\n    image: i\n    environment:\n      A: ${X}\n";
    let manifest = good(read_with(&[("compose.yaml", file)], &[("X", "1\n    privileged: true")]));
    assert_eq!(manifest.stack.services.into_values().next().expect("one").environment["A"], "1\n    privileged: true");
}

#[test]
fn what_is_asked_for_is_listed() {
    let file = "services: {s: {image: 'i:${TAG:-1}', environment: {A: '${KEY:?no key}', B: $C}}}";
    let wanted = read_with(&[("compose.yaml", file)], &[("KEY", "k"), ("C", "c")]).manifest.expect("valid").variables;
    assert_eq!(wanted.keys().collect::<Vec<_>>(), ["C", "KEY", "TAG"]);
    assert!(wanted["KEY"].required && wanted["KEY"].known);
    assert_eq!(wanted["TAG"].default.as_deref(), Some("1"));
}

#[test]
fn offline_a_missing_variable_is_no_error_and_hides_none() {
    let file = "services: {s: {image: 'i:${TAG:?}', ports: ['${PORT:?}:80'], deploy: {replicas: $N}}}";
    let files = super::InMemory::single("compose.yaml", file);
    let outcome = super::parse(&files, &super::Request::default());
    assert_eq!(grave(&outcome), Vec::<String>::new());
    assert_eq!(outcome.count(crate::stack::compose::Severity::Note), 3);
}

#[test]
fn the_env_file_of_the_folder_gives_values_and_the_platform_wins() {
    let files = [
        ("compose.yaml", "services: {s: {image: 'i:$TAG', environment: {A: $A, B: $B}}}"),
        (".env", "# a comment\nTAG=1\nexport A=\"a ${TAG}\"\nB='$TAG' # end\n"),
    ];
    let s = good(read_with(&files, &[("TAG", "2")])).stack.services.into_values().next().expect("one");
    assert_eq!(
        (s.image.name.as_str(), s.environment["A"].as_str(), s.environment["B"].as_str()),
        ("i:2", "a 2", "$TAG")
    );
}
