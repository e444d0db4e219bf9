//! One fixture per variant of each provider: the plan's notes and processes, and the Dockerfile, as snapshots in `snapshots/`.

use super::report;
use crate::builds::Settings;

/// All fixtures: name and tree. The files lie in `fixtures/`, one per provider; `### name` begins a fixture.
const FILES: &[(&str, &str)] = &[
    ("bun_deno", include_str!("fixtures/bun_deno.txt")),
    ("compiled", include_str!("fixtures/compiled.txt")),
    ("node", include_str!("fixtures/node.txt")),
    ("php", include_str!("fixtures/php.txt")),
    ("python", include_str!("fixtures/python.txt")),
    ("ruby", include_str!("fixtures/ruby.txt")),
    ("static", include_str!("fixtures/static.txt")),
    ("vm", include_str!("fixtures/vm.txt")),
];

#[test]
fn every_fixture_gives_its_plan() {
    let settings = Settings::default();
    for (file, text) in FILES {
        for fixture in text.split("### ").skip(1) {
            let (name, tree) = fixture.split_once('\n').expect("a name and a tree");
            let name = format!("{file}-{}", name.trim());
            insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(name, report(tree, &settings));
            });
        }
    }
}
