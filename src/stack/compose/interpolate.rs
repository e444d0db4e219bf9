//! Variables in values: `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:?e}`, `${X?e}`, `${X:+a}`, `${X+a}`, nested, `$$`.
//!
//! Works on the values of the tree, never on the text of the file: what a variable holds cannot change the structure.
//! A value that must not be stored (a secret) goes into [`Scalar::template`] as a reference.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::finding::{Finding, Place, Sink};
use super::node::{Node, Scalar, Value};
use crate::kernel::name::VariableName;
use crate::stack::model::placeholder;

/// Nested `${…}` may go so deep.
const DEEPEST: usize = 16;
/// Bytes one value may grow to.
const LONGEST: usize = 256 * 1024;

/// The value of a variable.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    pub value: String,
    /// Whether it must not be stored in a revision: what starts an instance gets a reference instead.
    pub secret: bool,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// What is known when a manifest is read.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// The variables with a value.
    pub known: BTreeMap<String, Variable>,
    /// Whether there can be no others. Offline there can: the platform keeps the configuration.
    pub complete: bool,
}

/// A variable the manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Wanted {
    /// Whether it has to have a value (`${X:?…}`).
    pub required: bool,
    /// What holds when it has none; the first one written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether it has a value now.
    pub known: bool,
}

/// Interpolates trees, and keeps in mind what they asked for.
pub(super) struct Interpolator<'a> {
    variables: &'a Variables,
    /// Of the file's own `.env`; the platform's variables go before it.
    pub local: BTreeMap<String, String>,
    sink: &'a Sink,
    wanted: &'a RefCell<BTreeMap<String, Wanted>>,
}

/// A text twice: as it is, and as it may be stored.
#[derive(Default, Clone)]
struct Filled {
    text: String,
    template: String,
    unknown: bool,
}

impl Filled {
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.template.push(c);
    }

    fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
        self.template.push_str(&other.template);
        self.unknown |= other.unknown;
    }
}

/// Why a text cannot be interpolated, and how many characters from its start.
struct Malformed {
    offset: usize,
    message: String,
}

impl<'a> Interpolator<'a> {
    pub(super) fn new(variables: &'a Variables, sink: &'a Sink, wanted: &'a RefCell<BTreeMap<String, Wanted>>) -> Self {
        Self { variables, local: BTreeMap::new(), sink, wanted }
    }

    /// Interpolates every value below a node.
    pub(super) fn tree(&self, node: &mut Node) {
        let at = node.at;
        match &mut node.value {
            Value::Scalar(scalar) => self.scalar(scalar, at),
            Value::List(items) => items.iter_mut().for_each(|n| self.tree(n)),
            Value::Map(map) => map.0.iter_mut().for_each(|e| self.tree(&mut e.node)),
        }
    }

    /// Interpolates one value.
    pub(super) fn scalar(&self, scalar: &mut Scalar, at: Place) {
        if !scalar.text.contains('$') {
            return;
        }
        let length = scalar.text.chars().count();
        // Quotes shift what stands between them by one; escapes and folds make places unknowable.
        let shift = match usize::try_from(at.length).unwrap_or(0) {
            l if l == length => Some(0),
            l if l == length + 2 => Some(1),
            _ => None,
        };
        let place = |offset: usize, length: usize| shift.map_or(at, |s| at.further(s + offset, length));
        let characters: Vec<char> = scalar.text.chars().collect();
        match self.fill(&characters, 0, 0, &place) {
            Ok(filled) => {
                scalar.template = (filled.template != filled.text).then_some(filled.template);
                scalar.text = filled.text;
                scalar.unknown = filled.unknown;
            }
            Err(malformed) => {
                let finding = Finding::error("interpolation", place(malformed.offset, 1), malformed.message);
                self.sink
                    .add(finding.help("write `$$` for a dollar sign, `${NAME}` or `${NAME:-default}` for a variable"));
                scalar.unknown = true;
            }
        }
    }

    /// Fills a text of which `base` characters came before.
    fn fill(
        &self,
        text: &[char],
        base: usize,
        depth: usize,
        place: &dyn Fn(usize, usize) -> Place,
    ) -> Result<Filled, Malformed> {
        let fail = |at: usize, message: &str| Malformed { offset: base + at, message: message.to_owned() };
        if depth > DEEPEST {
            return Err(fail(0, "variables are nested too deep"));
        }
        let mut out = Filled::default();
        let mut i = 0;
        while i < text.len() {
            if out.text.len() > LONGEST {
                return Err(fail(i, "the value grows too long"));
            }
            if text[i] != '$' {
                out.push(text[i]);
                i += 1;
                continue;
            }
            match text.get(i + 1) {
                Some('$') => {
                    out.push('$');
                    i += 2;
                }
                Some('{') => {
                    let end = closing(text, i + 2).ok_or_else(|| fail(i, "a `${` is not closed by `}`"))?;
                    let filled = self.braced(&text[i + 2..end], base + i + 2, depth, place)?;
                    out.append(&filled);
                    i = end + 1;
                }
                Some(c) if starts_name(*c) => {
                    let length = name_length(&text[i + 1..]);
                    let name: String = text[i + 1..=i + length].iter().collect();
                    out.append(&self.plain(&name, place(base + i, length + 1)));
                    i += length + 1;
                }
                _ => return Err(fail(i, "a `$` stands alone")),
            }
        }
        Ok(out)
    }

    /// What stands between `${` and `}`.
    fn braced(
        &self,
        inside: &[char],
        base: usize,
        depth: usize,
        place: &dyn Fn(usize, usize) -> Place,
    ) -> Result<Filled, Malformed> {
        let length = name_length(inside);
        if length == 0 || !starts_name(inside[0]) {
            return Err(Malformed { offset: base, message: "the name of a variable is missing here".to_owned() });
        }
        let name: String = inside[..length].iter().collect();
        let at = place(base, length);
        let rest = &inside[length..];
        let (empty_counts, rest, skipped) = match rest.first() {
            None => return Ok(self.plain(&name, at)),
            Some(':') => (false, &rest[1..], 1),
            Some(_) => (true, rest, 0),
        };
        let Some(operator @ ('-' | '?' | '+')) = rest.first() else {
            let message = "after the name comes `}`, `:-default`, `:?message` or `:+other`".to_owned();
            return Err(Malformed { offset: base + length, message });
        };
        let found = self.lookup(&name).filter(|v| empty_counts || !v.text.is_empty());
        let word = |s: &Self| s.fill(&rest[1..], base + length + skipped + 1, depth + 1, place);
        match operator {
            '-' => {
                let default = word(self)?;
                self.want(&name, false, Some(&default));
                Ok(found.unwrap_or(default))
            }
            '+' => {
                self.want(&name, false, None);
                let other = word(self)?;
                Ok(if found.is_some() { other } else { Filled::default() })
            }
            _ => {
                self.want(&name, true, None);
                let message = word(self)?.text;
                Ok(found.unwrap_or_else(|| self.missing(&name, at, Some(&message))))
            }
        }
    }

    fn plain(&self, name: &str, at: Place) -> Filled {
        self.want(name, false, None);
        self.lookup(name).unwrap_or_else(|| self.missing(name, at, None))
    }

    fn lookup(&self, name: &str) -> Option<Filled> {
        if let Some(variable) = self.variables.known.get(name) {
            let reference = variable.secret.then(|| name.parse::<VariableName>().ok()).flatten();
            let template = reference.map_or_else(|| variable.value.clone(), |n| placeholder(&n));
            return Some(Filled { text: variable.value.clone(), template, unknown: false });
        }
        let value = self.local.get(name)?;
        Some(Filled { text: value.clone(), template: value.clone(), unknown: false })
    }

    /// The value of a variable by itself, as an `environment` entry without a value takes it: the text, and
    /// the text to be stored.
    pub(super) fn inherited(&self, name: &str) -> Option<Scalar> {
        self.want(name, false, None);
        let filled = self.lookup(name)?;
        let template = (filled.template != filled.text).then_some(filled.template);
        Some(Scalar { text: filled.text, plain: false, template, unknown: false })
    }

    /// The value of a variable that is looked at, and not asked for.
    pub(super) fn silently(&self, name: &str) -> Option<String> {
        self.lookup(name).map(|f| f.text)
    }

    fn missing(&self, name: &str, at: Place, message: Option<&str>) -> Filled {
        let help = format!("set it with `wharf config set {name}=…`, or write `${{{name}:-default}}`");
        let unknown = Filled { unknown: !self.variables.complete, ..Filled::default() };
        let finding = match (message, self.variables.complete) {
            (Some(message), true) => {
                let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                Finding::error("missing-variable", at, format!("the variable `{name}` has no value{said}"))
            }
            (None, true) => Finding::warning(
                "missing-variable",
                at,
                format!("the variable `{name}` has no value; it is empty here"),
            ),
            (_, false) => Finding::note("missing-variable", at, format!("the variable `{name}` needs a value")),
        };
        self.sink.add(finding.help(help));
        unknown
    }

    fn want(&self, name: &str, required: bool, default: Option<&Filled>) {
        let known = self.lookup(name).is_some();
        let mut all = self.wanted.borrow_mut();
        let wanted = all.entry(name.to_owned()).or_insert(Wanted { required: false, default: None, known });
        wanted.required |= required;
        if wanted.default.is_none() {
            wanted.default = default.map(|d| d.template.clone());
        }
    }
}

fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn name_length(text: &[char]) -> usize {
    text.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count()
}

/// Where the brace opened before `from` closes.
fn closing(text: &[char], from: usize) -> Option<usize> {
    let (mut open, mut i) = (1_usize, from);
    while i < text.len() {
        match text[i] {
            '$' if text.get(i + 1) == Some(&'$') => i += 1,
            '$' if text.get(i + 1) == Some(&'{') => {
                open += 1;
                i += 1;
            }
            '}' => {
                open -= 1;
                if open == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}
