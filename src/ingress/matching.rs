//! The compiled conditions of a route. Pure: a request in, yes or no out.

use regex::bytes::{Regex, RegexBuilder};

use super::snapshot::{Matching, PathMatch, Pin, ValueMatch};
use super::view::{self, RequestView};

/// Most memory the program of one pattern may take, and its cache per thread.
const REGEX_SIZE: usize = 256 << 10;
/// Longest pattern.
const REGEX_LENGTH: usize = 1_024;

/// Compiles a pattern within the limits; the error is for people.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > REGEX_LENGTH {
        return Err(format!("is longer than {REGEX_LENGTH} bytes"));
    }
    let built = RegexBuilder::new(pattern).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too complex".to_owned(),
        error => format!("is not valid: {}", error.to_string().replace('\n', " ")),
    })
}

/// Where a tested value stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Header,
    Cookie,
    Query,
}

#[derive(Debug)]
enum How {
    Present,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Regex(Regex),
}

/// One condition on one value.
#[derive(Debug)]
pub(crate) struct Test {
    place: Place,
    name: Box<str>,
    how: How,
    invert: bool,
}

impl Test {
    fn new(place: Place, condition: &ValueMatch) -> Self {
        let bytes = |text: &String| text.as_bytes().into();
        let how = match (&condition.exact, &condition.prefix, &condition.regex) {
            (Some(text), _, _) => How::Exact(bytes(text)),
            (_, Some(text), _) => How::Prefix(bytes(text)),
            // Validation compiled it before.
            (_, _, Some(pattern)) => regex(pattern).map_or(How::Present, How::Regex),
            _ => How::Present,
        };
        Self { place, name: condition.name.as_str().into(), how, invert: condition.invert }
    }

    pub(crate) fn of_pin(pin: &Pin) -> Self {
        match pin {
            Pin::Header(condition) => Self::new(Place::Header, condition),
            Pin::Cookie(condition) => Self::new(Place::Cookie, condition),
        }
    }

    pub(crate) fn holds(&self, request: &dyn RequestView) -> bool {
        let value = match self.place {
            Place::Header => request.header(&self.name, 0),
            Place::Cookie => view::cookie(request, &self.name),
            Place::Query => view::parameter(request.query(), &self.name),
        };
        let passes = value.is_some_and(|value| match &self.how {
            How::Present => true,
            How::Exact(text) => value == &**text,
            How::Prefix(text) => value.starts_with(text),
            How::Regex(regex) => regex.is_match(value),
        });
        passes != self.invert
    }
}

#[derive(Debug)]
enum PathTest {
    Exact(Box<[u8]>),
    Regex(Regex),
}

/// All conditions of a route beside host and prefix.
#[derive(Debug)]
pub(crate) struct Conditions {
    path: Option<PathTest>,
    methods: Box<[Box<[u8]>]>,
    tests: Box<[Test]>,
}

impl Conditions {
    /// `None` when there are none.
    pub(crate) fn compile(matching: &Matching) -> Option<Box<Self>> {
        let all = |place, list: &[ValueMatch]| list.iter().map(|one| Test::new(place, one)).collect::<Vec<_>>();
        let path = matching.path.as_ref().and_then(|path| match path {
            PathMatch::Exact(path) => Some(PathTest::Exact(path.as_bytes().into())),
            PathMatch::Regex(pattern) => regex(pattern).ok().map(PathTest::Regex),
        });
        let mut tests = all(Place::Header, &matching.headers);
        tests.extend(all(Place::Cookie, &matching.cookies));
        tests.extend(all(Place::Query, &matching.query));
        let methods: Box<[_]> = matching.methods.iter().map(|method| method.as_bytes().into()).collect();
        let asks = path.is_some() || !methods.is_empty() || !tests.is_empty();
        asks.then(|| Box::new(Self { path, methods, tests: tests.into() }))
    }

    /// Whether the path is tested here, instead of by the prefix.
    pub(crate) fn decides_path(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn hold(&self, path: &[u8], request: &dyn RequestView) -> bool {
        let path_fits = self.path.as_ref().is_none_or(|test| match test {
            PathTest::Exact(exact) => path == &**exact,
            PathTest::Regex(regex) => regex.is_match(path),
        });
        path_fits
            && (self.methods.is_empty() || self.methods.iter().any(|method| **method == *request.method()))
            && self.tests.iter().all(|test| test.holds(request))
    }
}

/// How specific a route is; the greatest is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: i32,
    /// Exact path, then pattern, then prefix.
    path: u8,
    length: usize,
    methods: bool,
    headers: usize,
    others: usize,
}

impl Rank {
    pub(crate) fn of(prefix: &str, matching: &Matching) -> Self {
        let (path, length) = match &matching.path {
            Some(PathMatch::Exact(path)) => (2, path.len()),
            Some(PathMatch::Regex(pattern)) => (1, pattern.len()),
            None => (0, prefix.len()),
        };
        Self {
            priority: matching.priority,
            path,
            length,
            methods: !matching.methods.is_empty(),
            headers: matching.headers.len(),
            others: matching.cookies.len() + matching.query.len(),
        }
    }
}
