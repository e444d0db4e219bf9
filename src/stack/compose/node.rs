//! A document as a tree in which every value and every key knows its place.

use super::finding::Place;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub at: Place,
    pub tag: Tag,
}

/// A tag that means something to Compose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tag {
    #[default]
    None,
    /// `!reset`: what an earlier file said here is taken away.
    Reset,
    /// `!override`: what an earlier file said here is replaced, not merged.
    Override,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A text, number, boolean or nothing: what it is, its reader decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scalar {
    pub text: String,
    /// Written without quotes, so that it may be nothing, a number or a boolean.
    pub plain: bool,
    /// The text with references (`${{NAME}}`) in the places of values that must not be stored; `None`: there are none.
    pub template: Option<String>,
    /// Part of it is a variable whose value is not known here, so nothing can be said of the text.
    pub unknown: bool,
}

/// Keys and values in the order in which they were written; no key twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map(pub Vec<Entry>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Place,
    pub node: Node,
}

impl Node {
    pub(super) fn text(text: impl Into<String>, at: Place) -> Self {
        let scalar = Scalar { text: text.into(), ..Scalar::default() };
        Self { value: Value::Scalar(scalar), at, tag: Tag::None }
    }

    /// Text as if written without quotes.
    pub(super) fn plain(text: impl Into<String>, at: Place) -> Self {
        let scalar = Scalar { text: text.into(), plain: true, ..Scalar::default() };
        Self { value: Value::Scalar(scalar), at, tag: Tag::None }
    }

    pub(super) fn map(map: Map, at: Place) -> Self {
        Self { value: Value::Map(map), at, tag: Tag::None }
    }

    pub(super) fn list(list: Vec<Self>, at: Place) -> Self {
        Self { value: Value::List(list), at, tag: Tag::None }
    }

    pub(super) fn null(at: Place) -> Self {
        Self::plain("", at)
    }

    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(s) => Some(s),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(l) => Some(l),
            _ => None,
        }
    }

    /// Whether it says nothing (`key:` alone, `~`, `null`).
    pub(super) fn is_null(&self) -> bool {
        let nothing =
            |s: &Scalar| s.plain && !s.unknown && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        self.scalar().is_some_and(nothing)
    }

    /// What it is, for people.
    pub(super) fn what(&self) -> &'static str {
        match &self.value {
            Value::Map(_) => "a mapping",
            Value::List(_) => "a list",
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
        }
    }

    /// How many values it consists of, itself included.
    pub(super) fn size(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(l) => 1 + l.iter().map(Self::size).sum::<usize>(),
            Value::Map(m) => 1 + m.0.iter().map(|e| e.node.size()).sum::<usize>(),
        }
    }
}

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|e| e.key == key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|e| e.key == key).map(|e| &mut e.node)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|e| e.key == key)?;
        Some(self.0.remove(at))
    }

    /// Adds an entry, or puts it in the place of the one with this key.
    pub(super) fn set(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|e| e.key == entry.key) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    /// Adds a value whose key has no place of its own.
    pub(super) fn put(&mut self, key: &str, node: Node) {
        self.set(Entry { key: key.to_owned(), key_at: node.at, node });
    }
}
