//! All samples as files that a browser can open, and what must hold for each.

use std::path::Path;

use super::all;
use super::html::{self, Document};
use crate::portal::assets;
use crate::portal::i18n::Language;

/// Writes `target/portal-samples/<language>/<name>.html`, which the browser tests and curious eyes open.
#[test]
fn all_samples_are_written_for_browsers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/portal-samples");
    for language in Language::ALL {
        let folder = folder.join(language.tag());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        for sample in all(language) {
            std::fs::write(folder.join(format!("{}.html", sample.name)), &sample.html)
                .expect("the file can be written");
        }
    }
}

#[test]
fn every_page_is_well_formed_and_accessible() {
    let mut problems = Vec::new();
    for language in Language::ALL {
        for sample in all(language) {
            match Document::parse(&sample.html) {
                Ok(document) => problems.extend(
                    html::page_problems(&document)
                        .into_iter()
                        .map(|p| format!("{}/{}: {p}", language.tag(), sample.name)),
                ),
                Err(error) => problems.push(format!("{}/{}: {error}", language.tag(), sample.name)),
            }
            for fragment in &sample.fragments {
                if let Err(error) = Document::parse(fragment) {
                    problems.push(format!("{}/{} (fragment): {error}", language.tag(), sample.name));
                }
                assert!(!fragment.contains("<html"), "{}: the fragment is a whole page", sample.name);
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn pages_hold_nothing_the_content_policy_forbids() {
    for sample in all(Language::English) {
        let document = Document::parse(&sample.html).expect("it is well-formed");
        for tag in &document.tags {
            for (name, _) in &tag.attributes {
                assert!(name != "style" && !name.starts_with("on"), "{}: <{} {name}>", sample.name, tag.name);
            }
            assert!(tag.name != "style", "{}: inline style", sample.name);
            assert!(tag.name != "script" || tag.get("src").is_some(), "{}: inline script", sample.name);
        }
    }
}

#[test]
fn every_link_to_a_static_file_leads_to_one() {
    let known: Vec<String> = assets::names().iter().map(|name| assets::url(name)).collect();
    for sample in all(Language::English) {
        let document = Document::parse(&sample.html).expect("it is well-formed");
        for link in document.tags.iter().flat_map(|tag| [tag.get("src"), tag.get("href")]).flatten() {
            assert!(!link.starts_with("/static/") || known.iter().any(|k| k == link), "{}: {link}", sample.name);
        }
    }
}
