//! The portal's texts in its languages: flat keys from `templates/i18n/*.toml`, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    English,
    Chinese,
}

type Texts = BTreeMap<String, String>;

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../../templates/i18n/en.toml")));
static CHINESE: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../../templates/i18n/zh.toml")));

impl Language {
    /// All languages, in the order the menu shows them.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The tag for `<html lang>` and the cookie.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// What its speakers call it.
    pub(crate) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }

    /// From a cookie's value.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The best match of an `Accept-Language` header; English when none of ours is named.
    pub(crate) fn from_header(header: &str) -> Self {
        let mut best = (Self::English, 0.0_f32);
        for part in header.split(',') {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight =
                pieces.find_map(|p| p.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok())).unwrap_or(1.0);
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// The texts of this language.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// The text of a key; in English when this language lacks it (a test sees to it that none does).
    pub(crate) fn text(self, key: &str) -> Option<&'static str> {
        self.texts().get(key).or_else(|| ENGLISH.get(key)).map(String::as_str)
    }
}

/// Reads nested tables into keys joined by dots.
fn parse(source: &str) -> Texts {
    let table: toml::Table = source.parse().expect("the portal's texts are valid TOML: a test reads them");
    let mut texts = Texts::new();
    flatten("", &table, &mut texts);
    texts
}

fn flatten(prefix: &str, table: &toml::Table, texts: &mut Texts) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, texts),
            toml::Value::String(text) => {
                texts.insert(key, text.clone());
            }
            _ => {}
        }
    }
}

/// Puts `values` in the places `{0}`, `{1}` … of a text.
pub(crate) fn fill(text: &str, values: &[&str]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let place = after.find('}').and_then(|close| Some((close, after[..close].parse::<usize>().ok()?)));
        match place.and_then(|(close, n)| Some((close, values.get(n)?))) {
            Some((close, value)) => {
                out.push_str(value);
                rest = &after[close + 1..];
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}
