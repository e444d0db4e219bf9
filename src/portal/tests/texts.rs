//! Every text exists in every language, and every text is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::all;
use crate::portal::i18n::{Language, fill};

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("templates"), root.join("src/portal")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "html" || e == "rs") {
                let text = std::fs::read_to_string(&path).expect("it is text");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn all_languages_have_the_same_keys() {
    let keys = |language: Language| language.texts().keys().cloned().collect::<BTreeSet<_>>();
    let english = keys(Language::English);
    for language in Language::ALL {
        let theirs = keys(language);
        let missing: Vec<_> = english.difference(&theirs).collect();
        let extra: Vec<_> = theirs.difference(&english).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{}: missing {missing:?}, extra {extra:?}", language.tag());
    }
}

#[test]
fn all_languages_fill_the_same_places() {
    for (key, text) in Language::English.texts() {
        for language in Language::ALL {
            let theirs = language.text(key).expect("all languages have all keys");
            for place in ["{0}", "{1}"] {
                // `one` may do without its number.
                let same = theirs.contains(place) == text.contains(place) || key.ends_with(".one");
                assert!(same, "{key}: {place} differs in {}", language.tag());
            }
        }
    }
}

#[test]
fn every_key_in_the_sources_has_a_text() {
    let mut missing = BTreeSet::new();
    for (path, text) in sources() {
        for call in [".t(\"", ".t1(\"", ".t2(\"", ".count(\""] {
            for after in text.split(call).skip(1) {
                let key = after.split('"').next().unwrap_or_default();
                let key = if call == ".count(\"" { format!("{key}.other") } else { key.to_owned() };
                if Language::English.text(&key).is_none() {
                    missing.insert(format!("{key} ({})", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no text for:\n{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_text_is_used() {
    let sources = sources();
    let used = |key: &str| {
        let (group, _) = key.rsplit_once('.').unwrap_or((key, ""));
        let (whole, group) = (format!("\"{key}\""), format!("\"{group}\""));
        sources.iter().any(|(_, text)| text.contains(&whole) || text.contains(&group))
    };
    let unused: Vec<_> = Language::English.texts().keys().filter(|key| !used(key)).collect();
    assert!(unused.is_empty(), "no page says {unused:?}");
}

#[test]
fn no_place_stays_unfilled_on_a_page() {
    for language in Language::ALL {
        for sample in all(language) {
            for place in ["{0}", "{1}"] {
                assert!(!sample.html.contains(place), "{}/{}: {place}", language.tag(), sample.name);
            }
        }
    }
}

#[test]
fn fill_takes_values_as_they_are() {
    assert_eq!(fill("{0} of {1}", &["{1}", "x"]), "{1} of x");
    assert_eq!(fill("a { b {9} {0", &["v"]), "a { b {9} {0");
}

#[test]
fn the_browser_language_is_understood() {
    for (header, wanted) in [
        ("", Language::English),
        ("fr-FR, de;q=0.8", Language::English),
        ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
        ("en-GB,zh;q=0.9", Language::English),
        ("fr,zh-Hans;q=0.7,en;q=0.3", Language::Chinese),
    ] {
        assert_eq!(Language::from_header(header), wanted, "{header}");
    }
}
