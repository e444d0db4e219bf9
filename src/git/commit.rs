//! What a raw commit object says. It is read directly and not through `git log`, which stumbles over the missing
//! parents of a shallow push.

/// Longest text kept of an author's name or a subject, in characters.
const MAX_TEXT: usize = 200;

/// The parts of a commit people recognise it by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommitFacts {
    /// The author's name.
    pub author: String,
    /// The first line of the message.
    pub subject: String,
}

/// Reads a commit object; missing parts come out empty.
pub(super) fn parse(raw: &[u8]) -> CommitFacts {
    let text = String::from_utf8_lossy(raw);
    let (header, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let author = header
        .lines()
        .find_map(|line| line.strip_prefix("author "))
        .map_or("", |line| line.split_once(" <").map_or(line, |(name, _)| name));
    let subject = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    CommitFacts { author: clip(author), subject: clip(subject) }
}

fn clip(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}
