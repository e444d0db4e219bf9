//! Reads the keys of one mapping by its table: what is unknown or refused is reported when it is opened, and only
//! honoured keys can be read.

use super::finding::{Finding, Place, Sink};
use super::keys::{Key, Rule, Section};
use super::node::{Entry, Map, Node, Scalar, Value};
use super::units;

/// An open mapping.
pub(super) struct Fields<'a> {
    map: &'a Map,
    section: &'static Section,
    pub sink: &'a Sink,
    /// Where the mapping begins.
    pub at: Place,
}

impl<'a> Fields<'a> {
    /// Opens a mapping and reports what does not belong into it. `None` when it is no mapping.
    pub(super) fn open(node: &'a Node, section: &'static Section, sink: &'a Sink) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            if !node.is_null() {
                let message = format!("a mapping is expected here, and this is {}", node.what());
                sink.add(Finding::error("bad-value", node.at, message));
            }
            return None;
        };
        for entry in map.0.iter().filter(|e| !e.key.starts_with("x-") || e.key == "x-wharf") {
            check(entry, section, sink);
        }
        Some(Self { map, section, sink, at: node.at })
    }

    /// The entry of an honoured key, unless it says nothing.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        let row = self.section.key(key);
        debug_assert!(row.is_some_and(Key::is_read), "{}.{key} is read and stands in no table", self.section.name);
        row?;
        self.map.entry(key).filter(|e| !e.node.is_null())
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// The scalar of a key; reports a list or mapping. One with an unknown variable counts as absent.
    pub(super) fn scalar(&self, key: &str) -> Option<(&'a Scalar, Place)> {
        scalar(self.get(key)?, self.sink)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.scalar(key).map(|(s, _)| s.text.clone())
    }

    /// A text that is not empty.
    pub(super) fn word(&self, key: &str) -> Option<(String, Place)> {
        self.scalar(key).map(|(s, at)| (s.text.trim().to_owned(), at)).filter(|(t, _)| !t.is_empty())
    }

    /// One of these words, as its number in the list.
    pub(super) fn choice(&self, key: &str, words: &[&str]) -> Option<usize> {
        let (text, at) = self.word(key)?;
        let found = words.iter().position(|w| *w == text);
        if found.is_none() {
            self.bad(
                at,
                &format!("`{text}` is not possible for `{key}`"),
                &format!("choose one of: {}", words.join(", ")),
            );
        }
        found
    }

    /// Reads the value of a key with a function that says what is wrong with it.
    pub(super) fn read<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (text, at) = self.word(key)?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.sink.add(Finding::error("bad-value", at, format!("`{key}`: {message}")));
                None
            }
        }
    }

    pub(super) fn bool(&self, key: &str) -> Option<bool> {
        self.read(key, |t| match t.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "0" => Ok(false),
            _ => Err(format!("`{t}` is neither `true` nor `false`")),
        })
    }

    /// A whole number within bounds, both included.
    pub(super) fn int(&self, key: &str, from: u32, to: u32) -> Option<u32> {
        self.read(key, |t| match t.parse::<u32>() {
            Ok(n) if (from..=to).contains(&n) => Ok(n),
            _ => Err(format!("`{t}` is not a whole number from {from} to {to}")),
        })
    }

    pub(super) fn port(&self, key: &str) -> Option<u16> {
        self.read(key, port)
    }

    /// Milliseconds, not more than `most_seconds`.
    pub(super) fn millis(&self, key: &str, most_seconds: u32) -> Option<u32> {
        self.read(key, |t| {
            let ms = units::duration_ms(t)?;
            if ms > u64::from(most_seconds) * 1000 {
                return Err(format!("`{t}` is too long; at most {most_seconds}s"));
            }
            u32::try_from(ms).map_err(|_| format!("`{t}` is too long"))
        })
    }

    /// Seconds, rounded up, not more than `most`.
    pub(super) fn seconds(&self, key: &str, most: u32) -> Option<u32> {
        self.read(key, |t| {
            let seconds = units::duration_ms(t)?.div_ceil(1000);
            u32::try_from(seconds)
                .ok()
                .filter(|s| *s <= most)
                .ok_or_else(|| format!("`{t}` is too long; at most {most}s"))
        })
    }

    /// Whole per cent from `70%` or `70`.
    pub(super) fn percent(&self, key: &str, most: u32) -> Option<u32> {
        self.read(key, |t| match t.trim_end_matches('%').trim_end().parse::<u32>() {
            Ok(n) if n <= most => Ok(n),
            _ => Err(format!("`{t}` is not a number of per cent up to {most}")),
        })
    }

    /// The single values of a list, or the one value, each with its place.
    pub(super) fn texts(&self, key: &str) -> Vec<(String, Place)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let items: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().collect(),
            Value::Scalar(_) => vec![node],
            Value::Map(_) => {
                self.bad(node.at, &format!("`{key}` is a list"), "write `[a, b]`, or one item a line after `- `");
                Vec::new()
            }
        };
        items.into_iter().filter_map(|n| scalar(n, self.sink)).map(|(s, at)| (s.text.clone(), at)).collect()
    }

    /// The nodes of a list.
    pub(super) fn list(&self, key: &str) -> &'a [Node] {
        let Some(node) = self.get(key) else { return &[] };
        node.as_list().unwrap_or_else(|| {
            let message = format!("`{key}` is a list, and this is {}", node.what());
            self.sink.add(Finding::error("bad-value", node.at, message));
            &[]
        })
    }

    /// The entries of a mapping.
    pub(super) fn entries(&self, key: &str) -> &'a [Entry] {
        let Some(node) = self.get(key) else { return &[] };
        node.as_map().map(|m| m.0.as_slice()).unwrap_or_else(|| {
            let message = format!("`{key}` is a mapping, and this is {}", node.what());
            self.sink.add(Finding::error("bad-value", node.at, message));
            &[]
        })
    }

    /// A mapping below this one.
    pub(super) fn open_at(&self, key: &str, section: &'static Section) -> Option<Self> {
        Self::open(self.get(key)?, section, self.sink)
    }

    /// Reports a value.
    pub(super) fn bad(&self, at: Place, message: &str, help: &str) {
        self.sink.add(Finding::error("bad-value", at, message).help(help));
    }

    /// Reports that a key is missing.
    pub(super) fn missing(&self, key: &str, example: &str) {
        let finding = Finding::error("missing-key", self.at, format!("`{key}` is missing here"));
        self.sink.add(finding.help(format!("write for example `{key}: {example}`")));
    }
}

impl Key {
    /// Whether a reader may ask for it.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.rule, Rule::Honoured | Rule::Differs(_)) && !self.example.is_empty()
    }
}

/// A port number.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| format!("`{text}` is not a port from 1 to 65535"))
}

/// The scalar a node is; reports another kind of value. One with an unknown variable in it counts as absent.
pub(super) fn scalar<'a>(node: &'a Node, sink: &Sink) -> Option<(&'a Scalar, Place)> {
    match &node.value {
        Value::Scalar(s) if s.unknown => None,
        Value::Scalar(s) => Some((s, node.at)),
        _ => {
            let message = format!("a single value is expected here, and this is {}", node.what());
            sink.add(Finding::error("bad-value", node.at, message));
            None
        }
    }
}

/// Reports a key that is unknown, refused, or means something else here.
fn check(entry: &Entry, section: &'static Section, sink: &Sink) {
    let (key, at) = (entry.key.as_str(), entry.key_at);
    let Some(row) = section.key(key) else {
        let finding = Finding::error("unknown-key", at, format!("the key `{key}` is not known here"));
        let names = section.keys.iter().map(|k| k.name);
        sink.add(match nearest(key, names) {
            Some(name) => finding.help(format!("did you mean `{name}`?")),
            None => finding.help("remove it, or begin it with `x-` when it is a note of your own"),
        });
        return;
    };
    match row.rule {
        Rule::Honoured => {}
        Rule::Differs(text) => {
            let harmless = entry.node.is_null() || entry.node.scalar().is_some_and(|s| s.text == "false");
            if !harmless {
                sink.add(
                    Finding::warning("other-meaning", at, format!("`{key}` means something else here")).help(text),
                );
            }
        }
        Rule::NoEffect(text) => {
            sink.add(Finding::note("no-effect", at, format!("`{key}` has no effect here")).help(text));
        }
        Rule::Refused { why, instead, unless } => {
            let harmless = entry.node.is_null()
                || entry.node.scalar().is_some_and(|s| unless.contains(&s.text.as_str()) || s.unknown)
                || entry.node.as_list().is_some_and(<[Node]>::is_empty);
            if !harmless {
                sink.add(Finding::error("refused", at, format!("`{key}` is refused: {why}")).help(instead));
            }
        }
    }
}

/// The name that differs least, if it differs little.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = word.chars().count() / 3 + 1;
    names.map(|n| (distance(word, n), n)).filter(|(d, _)| *d <= near.min(3)).min().map(|(_, n)| n)
}

/// How many letters have to be changed, added, removed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
