//! A small strict reader of our own HTML: tags must nest, attributes must be quoted, ids must be unique;
//! and the accessibility rules that a program can check.

use std::collections::BTreeSet;

/// Elements without content.
const VOID: [&str; 9] = ["area", "br", "hr", "img", "input", "link", "meta", "source", "wbr"];

/// One start tag, with the text that follows inside it.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// All text within, joined.
    pub text: String,
    /// The names of the elements around it, outermost first.
    pub path: Vec<String>,
}

impl Tag {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// A parsed page.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub tags: Vec<Tag>,
}

impl Document {
    pub(super) fn parse(html: &str) -> Result<Self, String> {
        let mut document = Self::default();
        let mut open: Vec<usize> = Vec::new();
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            for &tag in &open {
                document.tags[tag].text.push_str(&rest[..start]);
            }
            rest = &rest[start + 1..];
            if rest.starts_with('!') {
                rest = after(rest, ">")?;
                continue;
            }
            let end = tag_end(rest)?;
            let inside = &rest[..end];
            rest = &rest[end + 1..];
            if let Some(name) = inside.strip_prefix('/') {
                let top = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
                let expected = &document.tags[top].name;
                if expected != name.trim() {
                    return Err(format!("</{name}> where </{expected}> is due, after {:?}", tail(html, rest)));
                }
                continue;
            }
            let tag = start_tag(inside, open.iter().map(|&n| document.tags[n].name.clone()).collect())?;
            let alone = inside.ends_with('/') || VOID.contains(&tag.name.as_str());
            document.tags.push(tag);
            if !alone {
                open.push(document.tags.len() - 1);
            }
        }
        match open.last() {
            Some(&tag) => Err(format!("<{}> is never closed", document.tags[tag].name)),
            None => Ok(document),
        }
    }

    fn named<'d>(&'d self, name: &'d str) -> impl Iterator<Item = &'d Tag> {
        self.tags.iter().filter(move |tag| tag.name == name)
    }
}

fn tail<'h>(html: &'h str, rest: &str) -> &'h str {
    let done = html.len() - rest.len();
    let mut from = done.saturating_sub(160);
    while !html.is_char_boundary(from) {
        from += 1;
    }
    &html[from..done]
}

fn after<'h>(text: &'h str, end: &str) -> Result<&'h str, String> {
    text.split_once(end).map(|(_, rest)| rest).ok_or_else(|| format!("`{end}` is missing"))
}

/// Where a tag ends: the first `>` outside quotes.
fn tag_end(text: &str) -> Result<usize, String> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Ok(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), _) if q == c => quote = None,
            _ => {}
        }
    }
    Err(format!("a tag never ends: {:?}", text.chars().take(60).collect::<String>()))
}

fn start_tag(inside: &str, path: Vec<String>) -> Result<Tag, String> {
    let inside = inside.trim_end_matches('/');
    let (name, mut rest) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let attribute = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix('=') {
            let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''));
            let quote = quote.ok_or_else(|| format!("<{name}>: the value of `{attribute}` is not quoted"))?;
            let (inside, after) =
                quoted[1..].split_once(quote).ok_or_else(|| format!("<{name}>: `{attribute}` is never closed"))?;
            value = inside.to_owned();
            rest = after;
        }
        if attributes.iter().any(|(n, _)| *n == attribute) {
            return Err(format!("<{name}> has `{attribute}` twice"));
        }
        attributes.push((attribute, value));
    }
    Ok(Tag { name: name.to_owned(), attributes, text: String::new(), path })
}

/// What a reader with a keyboard or a screen reader would stumble over.
pub(super) fn page_problems(document: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for id in document.tags.iter().filter_map(|tag| tag.get("id")) {
        if !ids.insert(id) {
            problems.push(format!("the id `{id}` is used twice"));
        }
    }
    let labels: BTreeSet<&str> = document.named("label").filter_map(|tag| tag.get("for")).collect();
    for tag in &document.tags {
        check_references(tag, &ids, &mut problems);
        check_name(tag, &labels, &mut problems);
    }
    check_structure(document, &mut problems);
    problems
}

fn check_references(tag: &Tag, ids: &BTreeSet<&str>, problems: &mut Vec<String>) {
    for name in ["aria-labelledby", "aria-describedby", "aria-controls", "for", "data-open"] {
        for id in tag.get(name).unwrap_or_default().split_whitespace() {
            if !ids.contains(id) {
                problems.push(format!("<{} {name}={id}>: there is no such id", tag.name));
            }
        }
    }
}

/// Everything one can operate has a name.
fn check_name(tag: &Tag, labels: &BTreeSet<&str>, problems: &mut Vec<String>) {
    let labelled = tag.get("aria-label").is_some_and(|l| !l.trim().is_empty()) || tag.get("aria-labelledby").is_some();
    let wrapped = tag.path.iter().any(|around| around == "label");
    let by_label = tag.get("id").is_some_and(|id| labels.contains(id));
    let fine = match tag.name.as_str() {
        "a" | "button" | "summary" => labelled || !tag.text.trim().is_empty(),
        "input" if tag.get("type") == Some("hidden") => true,
        "input" | "select" | "textarea" => labelled || wrapped || by_label,
        "img" => tag.get("alt").is_some(),
        "svg" => tag.get("aria-hidden") == Some("true"),
        "dialog" | "nav" => labelled,
        _ => true,
    };
    if !fine {
        problems.push(format!("<{} {:?}> has no name for a screen reader", tag.name, tag.attributes));
    }
}

fn check_structure(document: &Document, problems: &mut Vec<String>) {
    let mut must_be_one = |name: &str| {
        let n = document.named(name).count();
        if n != 1 {
            problems.push(format!("there are {n} <{name}>, there must be one"));
        }
    };
    must_be_one("h1");
    must_be_one("main");
    must_be_one("title");
    if document.named("html").all(|tag| tag.get("lang").is_none_or(str::is_empty)) {
        problems.push("<html> has no lang".into());
    }
    let mut level = 0;
    for heading in document.tags.iter().filter(|tag| !tag.path.iter().any(|around| around == "dialog")) {
        let Some(this) = heading.name.strip_prefix('h').and_then(|n| n.parse::<u8>().ok()) else { continue };
        if this > level + 1 {
            problems.push(format!("h{level} is followed by h{this} ({})", heading.text.trim()));
        }
        level = this;
    }
}
