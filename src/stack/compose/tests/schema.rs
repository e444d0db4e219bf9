//! The published schema and the reference are those of the tables.

use std::path::Path;

use serde_json::Value;

use super::super::schema::{reference, schema, sections};

/// Compares a committed file with what the code gives; `WHARF_UPDATE=1` writes it.
fn committed(path: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WHARF_UPDATE").is_some() {
        std::fs::write(&path, current).expect("writes");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == current, "{} is out of date; run this test with WHARF_UPDATE=1 and commit it", path.display());
}

#[test]
fn the_committed_schema_is_current() {
    committed("docs/compose.schema.json", &(serde_json::to_string_pretty(&schema()).expect("JSON") + "\n"));
}

#[test]
fn the_reference_in_the_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manifest.md");
    let text = std::fs::read_to_string(path).expect("docs/manifest.md is there");
    let (begin, end) = ("<!-- keys: begin -->\n", "<!-- keys: end -->");
    let (before, rest) = text.split_once(begin).expect("the mark where the tables begin");
    let (_, after) = rest.split_once(end).expect("the mark where they end");
    committed("docs/manifest.md", &format!("{before}{begin}{}\n{end}{after}", reference()));
}

#[test]
fn every_reference_of_the_schema_leads_somewhere_and_no_refused_key_is_in_it() {
    let schema = schema();
    let mut waiting = vec![&schema];
    let mut found = 0;
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').expect("within the document");
                    assert!(schema.pointer(pointer).is_some_and(Value::is_object), "{reference}");
                    found += 1;
                }
                waiting.extend(map.values());
            }
            Value::Array(list) => waiting.extend(list),
            _ => {}
        }
    }
    assert!(found > 40);
    let service = &schema["$defs"]["service"]["properties"];
    assert!(service.get("image").is_some() && service.get("privileged").is_none());
}

#[test]
fn section_names_are_unique_and_keys_too() {
    let sections = sections();
    let mut names: Vec<&str> = sections.iter().map(|s| s.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for section in sections {
        for (i, key) in section.keys.iter().enumerate() {
            assert!(section.keys[..i].iter().all(|k| k.name != key.name), "{}.{}", section.name, key.name);
        }
    }
}
