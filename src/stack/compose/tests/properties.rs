//! What holds for any text.

use proptest::prelude::*;

use super::corpus::files;
use super::{read, read_with};
use crate::stack::compose::{Severity, excerpt};

/// One change to a text.
#[derive(Debug, Clone)]
enum Mutation {
    Remove(usize, usize),
    Insert(usize, String),
    Swap(usize, usize),
    Repeat(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces = prop::sample::select(vec![
        ":",
        "- ",
        "\n",
        "  ",
        "*a",
        "&a ",
        "${",
        "}",
        "$$",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "!reset ",
        "!override ",
        "<<: ",
        "null",
        "\t",
        "#",
        "|",
        ">",
        "é",
        "\u{0}",
        "99999999999999999999",
        "-1",
        "0",
        "x-wharf:",
        "extends:",
        "include:",
        "a=b",
        "%",
        "../",
        "/",
        "1e999",
        "NaN",
    ]);
    prop_oneof![
        (any::<usize>(), 0_usize..40).prop_map(|(at, n)| Mutation::Remove(at, n)),
        (any::<usize>(), pieces).prop_map(|(at, p)| Mutation::Insert(at, p.to_owned())),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        (any::<usize>(), 0_usize..60).prop_map(|(at, n)| Mutation::Repeat(at, n)),
    ]
}

fn apply(text: &str, mutations: &[Mutation]) -> String {
    let mut c: Vec<char> = text.chars().collect();
    for mutation in mutations {
        let length = c.len().max(1);
        match mutation {
            Mutation::Remove(at, n) => {
                let at = at % length;
                c.drain(at.min(c.len())..(at + n).min(c.len()));
            }
            Mutation::Insert(at, piece) => {
                let at = (at % length).min(c.len());
                c.splice(at..at, piece.chars());
            }
            Mutation::Swap(a, b) if !c.is_empty() => c.swap(a % length, b % length),
            Mutation::Repeat(at, n) => {
                let at = (at % length).min(c.len());
                let piece: Vec<char> = c[at..(at + n).min(c.len())].to_vec();
                c.splice(at..at, piece);
            }
            Mutation::Swap(..) => {}
        }
    }
    c.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_every_finding_has_a_place(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..8),
    ) {
        let files = files();
        let text = apply(&which.get(&files).1, &mutations);
        let outcome = read(&text);
        let errors = outcome.count(Severity::Error);
        prop_assert_eq!(outcome.manifest.is_none(), errors > 0);
        let lines = text.lines().count();
        for finding in &outcome.findings {
            prop_assert!(!finding.message.is_empty());
            prop_assert!((finding.at.line as usize) <= lines + 1, "line {} of {lines}", finding.at.line);
            for line in excerpt::render(finding, &outcome.files, false).lines() {
                let escapes = line.contains('\u{1b}');
                prop_assert!(!escapes);
            }
        }
    }

    #[test]
    fn interpolation_never_panics_and_without_dollars_changes_nothing(text in "[ -~é]{0,60}", value in "[ -~]{0,20}") {
        let yaml = serde_json::to_string(&text).expect("JSON is YAML");
        let outcome = read_with(
            &[("compose.yaml", &format!("services: {{s: {{image: i, environment: {{A: {yaml}}}}}}}"))],
            &[("X", &value)],
        );
        if !text.contains('$') {
            let manifest = outcome.manifest.expect("valid");
            let s = manifest.stack.services.into_values().next().expect("one");
            prop_assert_eq!(&s.environment["A"], &text);
        }
    }

    #[test]
    fn a_dollar_twice_is_one(text in "[a-z${}:?+-]{0,30}") {
        let escaped = text.replace('$', "$$");
        let yaml = serde_json::to_string(&escaped).expect("JSON is YAML");
        let outcome = read(&format!("services: {{s: {{image: i, environment: {{A: {yaml}}}}}}}"));
        let manifest = outcome.manifest.expect("valid");
        prop_assert_eq!(&manifest.stack.services.into_values().next().expect("one").environment["A"], &text);
    }

    #[test]
    fn an_override_with_the_same_content_changes_nothing(which in any::<prop::sample::Index>()) {
        let files = files();
        let text = &which.get(&files).1;
        let once = read(text);
        let twice = read_with(&[("compose.yaml", text), ("compose.override.yaml", text)], &[]);
        prop_assert_eq!(once.manifest.map(|m| m.stack), twice.manifest.map(|m| m.stack));
    }

    #[test]
    fn later_files_win_key_by_key(
        base in prop::collection::btree_map("[A-D]", "[a-z]{0,3}", 0..4),
        over in prop::collection::btree_map("[A-D]", "[a-z]{1,3}", 0..4),
    ) {
        let file = |m: &std::collections::BTreeMap<String, String>| {
            format!("services: {{s: {{image: i, environment: {}}}}}", serde_json::to_string(m).expect("JSON is YAML"))
        };
        let outcome = read_with(&[("compose.yaml", &file(&base)), ("compose.override.yaml", &file(&over))], &[]);
        let mut expected = base;
        expected.extend(over);
        prop_assert_eq!(outcome.manifest.expect("valid").stack.services.into_values().next().expect("one").environment, expected);
    }
}
