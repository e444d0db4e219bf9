//! Error chains: `Display` of our errors never repeats its source, so a chain can be printed whole.

use std::error::Error;
use std::fmt::Write as _;

/// `outer: inner: innermost` in one line, for logs and for people.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let line = inner.to_string();
        // Some foreign errors print their source themselves; saying it twice helps nobody.
        if !text.ends_with(&line) {
            let _ = write!(text, ": {line}");
        }
        source = inner.source();
    }
    text
}
