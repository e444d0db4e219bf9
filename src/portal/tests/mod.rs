//! Every page with sample data, in every language.

mod html;
mod http;
mod render;
mod texts;
mod world;

use super::i18n::Language;
use super::pages;
use super::samples::Sample;

/// All samples of all pages.
fn all(language: Language) -> Vec<Sample> {
    let pages = [
        pages::account::samples,
        pages::apps::samples,
        pages::config::samples,
        pages::data_plane::samples,
        pages::deploys::samples,
        pages::difference::samples,
        pages::domains::samples,
        pages::error::samples,
        pages::gateway::samples,
        pages::jobs::samples,
        pages::login::samples,
        pages::logs::samples,
        pages::members::samples,
        pages::new_app::samples,
        pages::new_organisation::samples,
        pages::new_person::samples,
        pages::operation::samples,
        pages::overview::samples,
        pages::releases::samples,
        pages::secrets::samples,
        pages::settings::samples,
        pages::setup::samples,
        pages::volumes::samples,
    ];
    pages.into_iter().flat_map(|samples| samples(language)).collect()
}

/// Buttons that would be refused are not shown.
#[test]
fn a_viewers_pages_hold_no_forms_but_their_own() {
    let pages: Vec<Sample> = all(Language::English).into_iter().filter(|s| s.name.ends_with("-viewer")).collect();
    assert!(pages.len() > 4, "{}", pages.len());
    for page in pages {
        let actions = page.html.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for action in actions {
            assert!(["/logout", "/preferences"].contains(&action), "{}: {action}", page.name);
        }
    }
}
