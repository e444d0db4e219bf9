//! From the text of a file to a tree. Every limit that keeps a hostile file from costing much stands here.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::finding::{Finding, Place, Sink};
use super::node::{Entry, Map, Node, Scalar, Tag, Value};

/// Bytes a file may have; the largest public Compose files have a tenth of it.
pub(super) const MOST_BYTES: usize = 1024 * 1024;
/// How deep values may be nested.
const DEEPEST: usize = 48;
/// Values of one file with all aliases written out: an alias of aliases must not grow without end.
const MOST_NODES: usize = 100_000;

/// The tree of the one document in `text`; `None` when that cannot be had, with the reason in the sink.
pub(super) fn load(text: &str, file: u16, sink: &Sink) -> Option<Node> {
    let start = Place { file, line: 1, column: 1, length: 0 };
    if text.len() > MOST_BYTES {
        let message = format!("the file has {} KiB; at most {} are read", text.len() / 1024, MOST_BYTES / 1024);
        sink.add(Finding::error("limit", start, message));
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.block_nesting_limit = DEEPEST;
    options.flow_nesting_limit = DEEPEST;
    let mut loader = Loader {
        parser: Parser::new_from_str_with_options(text, options),
        file,
        sink,
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    match loader.document() {
        Ok(node) => Some(node.unwrap_or_else(|| Node::null(start))),
        Err(finding) => {
            sink.add(*finding);
            None
        }
    }
}

struct Loader<'t, 's> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    file: u16,
    sink: &'s Sink,
    /// What an alias stands for, and of how many values that consists.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

/// What ends the reading of a file.
type Broken = Box<Finding>;

impl<'t> Loader<'t, '_> {
    fn document(&mut self) -> Result<Option<Node>, Broken> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let at = self.place(span);
                    let finding = Finding::error("yaml", at, "the file holds a second document");
                    return Err(Box::new(finding.help("keep one document in a file; use `include` for more")));
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let mark = error.marker();
                let at = Place { file: self.file, line: line(mark.line()), column: line(mark.col() + 1), length: 1 };
                Err(Box::new(Finding::error("yaml", at, format!("this is not valid YAML: {}", error.info()))))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, span: Span) -> Place {
        let one_line = span.start.line() == span.end.line();
        let length = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 0 };
        Place {
            file: self.file,
            line: line(span.start.line().max(1)),
            column: line(span.start.col() + 1),
            length: line(length),
        }
    }

    fn count(&mut self, more: usize, at: Place) -> Result<(), Broken> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            let message = format!("with its aliases written out the file has more than {MOST_NODES} values");
            return Err(Box::new(Finding::error("limit", at, message)));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Broken> {
        let at = self.place(span);
        self.count(1, at)?;
        if depth > DEEPEST {
            return Err(Box::new(Finding::error("limit", at, format!("values are nested deeper than {DEEPEST}"))));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), at);
                let plain = style == ScalarStyle::Plain && tag != Some(Known::Text);
                let scalar = Scalar { text: text.into_owned(), plain, ..Scalar::default() };
                (Value::Scalar(scalar), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), at);
                (Value::List(self.items(depth)?), anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), at);
                (Value::Map(self.entries(depth)?), anchor, tag)
            }
            Event::Alias(id) => return self.alias(id, at),
            _ => return Err(Box::new(Finding::error("yaml", at, "a value is missing here"))),
        };
        let tag = match tag {
            Some(Known::Compose(tag)) => tag,
            _ => Tag::None,
        };
        let node = Node { value, at, tag };
        if anchor != 0 {
            let size = node.size();
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<Node, Broken> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(Box::new(Finding::error("yaml", at, "an alias stands inside what it stands for")));
        };
        self.count(size, at)?;
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Map, Broken> {
        let mut map = Map::default();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (key_at, key) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), span) => (self.place(span), text.into_owned()),
                (event, span) => {
                    let node = self.node(event, span, depth + 1)?;
                    let Some(scalar) = node.scalar() else {
                        return Err(Box::new(Finding::error("yaml", node.at, "a key must be a single value")));
                    };
                    (node.at, scalar.text.clone())
                }
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if key == "<<" {
                merged.push(node);
            } else if let Some(first) = map.entry(&key) {
                let finding = Finding::error("duplicate-key", key_at, format!("the key `{key}` is here twice"));
                self.sink.add(finding.help("keep one of the two").also(first.key_at, "it is here first"));
            } else {
                map.0.push(Entry { key, key_at, node });
            }
        }
        self.merge(&mut map, merged);
        Ok(map)
    }

    /// `<<`: what the map does not say itself comes from these; of several, the first that says it wins.
    fn merge(&self, map: &mut Map, merged: Vec<Node>) {
        for node in merged {
            let at = node.at;
            let sources = match node.value {
                Value::List(list) => list,
                _ => vec![node],
            };
            for source in sources {
                let Value::Map(source) = source.value else {
                    let finding = Finding::error("yaml", at, "`<<` takes a mapping, or a list of mappings");
                    self.sink.add(finding.help("write `<<: *name`, where `&name` stands before a mapping"));
                    continue;
                };
                for entry in source.0 {
                    if map.entry(&entry.key).is_none() {
                        map.0.push(entry);
                    }
                }
            }
        }
    }

    fn tag(&self, tag: Option<&granit_parser::Tag>, at: Place) -> Option<Known> {
        let tag = tag?;
        match (tag.core_suffix(), tag.handle(), tag.suffix()) {
            (Some("str"), ..) => Some(Known::Text),
            (Some(_), ..) => None,
            (None, "!", "reset") => Some(Known::Compose(Tag::Reset)),
            (None, "!", "override") => Some(Known::Compose(Tag::Override)),
            // A lone `!` says "not plain".
            (None, _, "") => Some(Known::Text),
            _ => {
                let finding = Finding::error("yaml", at, format!("the tag `{}` is not known", tag.original()));
                self.sink.add(finding.help("Compose has `!reset` and `!override`"));
                None
            }
        }
    }
}

#[derive(PartialEq)]
enum Known {
    Text,
    Compose(Tag),
}

fn line(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
