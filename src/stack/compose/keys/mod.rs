//! Every key of the Compose schema and of `x-wharf`, with what becomes of it: honoured, accepted with another meaning,
//! accepted without effect, or refused with the reason and what to do instead.
//!
//! These tables are the one place that decides. The reader can only read keys that stand here as honoured
//! ([`super::fields::Fields`]); unknown and refused keys are reported from here; the JSON Schema and the reference in
//! `docs/manifest.md` are made from here; and each honoured key's example is read in a test.
//!
//! To take one more key: its row in the section's table with an example, and its reading in [`super::read`].

mod deploy;
mod service;
mod top;
mod wharf;
mod wharf_run;

pub(super) use deploy::*;
pub(super) use service::*;
pub(super) use top::*;
pub(super) use wharf::*;
pub(super) use wharf_run::*;

/// The keys of one kind of mapping.
#[derive(Debug)]
pub(super) struct Section {
    /// What it is called in the schema and the reference.
    pub name: &'static str,
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub rule: Rule,
    pub shape: Shape,
    /// What it does here, for the reference and for editors.
    pub about: &'static str,
    /// A value, as it could stand in a file. Empty for keys that do nothing.
    pub example: &'static str,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Honoured,
    /// It is taken, and means something else than with Compose on one machine.
    Differs(&'static str),
    /// It is taken, and nothing comes of it.
    NoEffect(&'static str),
    /// It is not taken, unless it has one of the values that change nothing.
    Refused {
        why: &'static str,
        instead: &'static str,
        unless: &'static [&'static str],
    },
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    Bool,
    Int,
    /// A number with or without a fraction.
    Number,
    /// `1m30s`.
    Duration,
    /// `512m`.
    Size,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A command line, or its words.
    Command,
    /// A list of single values.
    Texts,
    /// One value or a list of them.
    OneOrMore,
    /// A mapping of single values, or a list of `NAME=value`.
    Pairs,
    /// A mapping with these keys.
    Of(&'static Section),
    /// A list of these.
    ListOf(&'static Section),
    /// A mapping from names to these.
    NamesTo(&'static Section),
    /// One of several shapes.
    Either(&'static [Shape]),
    /// Not looked at.
    Any,
}

impl Section {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

const fn yes(name: &'static str, shape: Shape, about: &'static str, example: &'static str) -> Key {
    Key { name, rule: Rule::Honoured, shape, about, example }
}

const fn differs(name: &'static str, shape: Shape, about: &'static str, example: &'static str) -> Key {
    Key { name, rule: Rule::Differs(about), shape, about, example }
}

const fn idle(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, rule: Rule::NoEffect(about), shape, about, example: "" }
}

const fn no(name: &'static str, why: &'static str, instead: &'static str) -> Key {
    no_unless(name, why, instead, &[])
}

const fn no_unless(
    name: &'static str,
    why: &'static str,
    instead: &'static str,
    unless: &'static [&'static str],
) -> Key {
    Key { name, rule: Rule::Refused { why, instead, unless }, shape: Shape::Any, about: why, example: "" }
}
