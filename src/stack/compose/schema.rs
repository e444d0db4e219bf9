//! The JSON Schema of the manifest, and its reference for people, both made from the tables of keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::keys::{Key, Rule, Section, Shape, TOP};

/// Where installations serve the schema; it is its own address in editors too.
const ID: &str = "/api/v1/schemas/compose.json";

/// The schema of all keys that are taken. Keys that are refused are not in it, so that editors mark them.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    define(&TOP, &mut definitions);
    let mut root = definitions.remove(TOP.name).unwrap_or_default();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["$id"] = json!(ID);
    root["title"] = json!("Wharf manifest");
    root["description"] = json!("A Compose file with x-wharf: what Wharf takes of it. `wharf validate` says the rest.");
    root["$defs"] = definitions.into_iter().collect::<Map<_, _>>().into();
    root
}

/// Adds a section and all that it leads to.
fn define(section: &'static Section, all: &mut BTreeMap<String, Value>) {
    if all.contains_key(section.name) {
        return;
    }
    all.insert(section.name.to_owned(), Value::Null);
    let mut properties = Map::new();
    for key in section.keys.iter().filter(|k| !matches!(k.rule, Rule::Refused { .. })) {
        let mut value = shape(&key.shape, all);
        value["description"] = json!(description(key));
        if matches!(key.rule, Rule::NoEffect(_)) {
            value["deprecated"] = json!(true);
        }
        properties.insert(key.name.to_owned(), value);
    }
    let schema = json!({
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": false,
    });
    all.insert(section.name.to_owned(), schema);
}

fn description(key: &Key) -> String {
    match key.rule {
        Rule::Honoured => key.about.to_owned(),
        Rule::Differs(text) => format!("Other meaning here: {text}"),
        Rule::NoEffect(text) => format!("No effect here: {text}"),
        Rule::Refused { why, .. } => format!("Refused: {why}"),
    }
}

fn shape(shape: &Shape, all: &mut BTreeMap<String, Value>) -> Value {
    // A variable may stand for any single value.
    let single = || json!({"type": ["string", "number", "boolean", "null"]});
    let reference = |section: &'static Section, all: &mut BTreeMap<String, Value>| {
        define(section, all);
        json!({"$ref": format!("#/$defs/{}", section.name)})
    };
    match shape {
        Shape::Text => single(),
        Shape::Bool => json!({"type": ["boolean", "string"]}),
        Shape::Int => json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        Shape::Number => json!({"type": ["number", "string"]}),
        Shape::Duration => json!({"type": ["string", "integer"], "examples": ["30s", "1m30s"]}),
        Shape::Size => json!({"type": ["string", "integer"], "examples": ["512m", "2g"]}),
        Shape::Word(words) => {
            json!({"anyOf": [{"enum": words}, {"type": ["string", "boolean"], "pattern": "\\$|:|^(no|always)$"}]})
        }
        Shape::Command => json!({"type": ["string", "array", "null"], "items": single()}),
        Shape::Texts => json!({"type": ["array", "null"], "items": single()}),
        Shape::OneOrMore => json!({"anyOf": [single(), {"type": "array", "items": single()}]}),
        Shape::Pairs => json!({"anyOf": [
            {"type": ["object", "null"], "additionalProperties": {"anyOf": [single(), {"type": "array", "items": single()}]}},
            {"type": "array", "items": single()},
        ]}),
        Shape::Of(section) => reference(section, all),
        Shape::ListOf(section) => {
            let items = json!({"anyOf": [single(), reference(section, all)]});
            json!({"type": ["array", "null"], "items": items})
        }
        Shape::NamesTo(section) => {
            let items = json!({"anyOf": [single(), reference(section, all)]});
            json!({"type": ["object", "null"], "additionalProperties": items})
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|s| self::shape(s, all)).collect();
            json!({"anyOf": any})
        }
        Shape::Any => json!({}),
    }
}

/// The tables of `docs/manifest.md`: every key, what becomes of it, and an example.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    let mut sections: Vec<&'static Section> = Vec::new();
    collect(&TOP, &mut sections);
    for section in sections {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n### {}\n\n| key | | what it does | example |\n|---|---|---|---|\n", section.name);
        for key in section.keys {
            let (mark, about) = match key.rule {
                Rule::Honoured => ("yes", key.about.to_owned()),
                Rule::Differs(text) => ("other meaning", text.to_owned()),
                Rule::NoEffect(text) => ("no effect", text.to_owned()),
                Rule::Refused { why, instead, .. } => ("refused", format!("{why}; {instead}")),
            };
            let example = match key.example {
                "" => String::new(),
                example => format!("`{}: {example}`", key.name),
            };
            let about = about.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {mark} | {about} | {} |", key.name, example.replace('|', "\\|"));
        }
    }
    text
}

fn collect(section: &'static Section, all: &mut Vec<&'static Section>) {
    if all.iter().any(|s| s.name == section.name) {
        return;
    }
    all.push(section);
    for key in section.keys {
        below(&key.shape, all);
    }
}

fn below(shape: &Shape, all: &mut Vec<&'static Section>) {
    match shape {
        Shape::Of(s) | Shape::ListOf(s) | Shape::NamesTo(s) => collect(s, all),
        Shape::Either(shapes) => shapes.iter().for_each(|s| below(s, all)),
        _ => {}
    }
}

#[cfg(test)]
pub(super) fn sections() -> Vec<&'static Section> {
    let mut all = Vec::new();
    collect(&TOP, &mut all);
    all
}
