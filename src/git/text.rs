//! Text that goes to a pusher's terminal. Build output is written by strangers: only its printable part passes.

/// Longest line sent, in characters.
const MAX_LINE: usize = 2000;

/// Splits into lines and removes terminal escapes and other control characters (a tab stays).
pub(super) fn lines(text: &str) -> Vec<String> {
    // A carriage return starts a progress bar over; only its last state is worth a line.
    text.lines().map(|line| clean(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(""))).collect()
}

fn clean(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(MAX_LINE));
    let mut chars = line.chars().peekable();
    let mut kept = 0;
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            skip_escape(&mut chars);
        } else if (!c.is_control() || c == '\t') && kept < MAX_LINE {
            out.push(c);
            kept += 1;
        }
    }
    out
}

/// Skips the rest of an escape sequence: `[ … letter`, `] … BEL or ESC \`, or a single character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn escapes_and_control_characters_do_not_reach_the_terminal() {
        assert_eq!(lines("\u{1b}[31mred\u{1b}[0m\tok"), ["red\tok"]);
        assert_eq!(lines("a\u{1b}]0;title\u{7}b"), ["ab"]);
        assert_eq!(lines("a\u{1b}]0;title\u{1b}\\b\u{8}\u{9b}"), ["ab"]);
        assert_eq!(lines("10 %\r20 %\r\nnext"), ["20 %", "next"]);
        assert_eq!(lines(&"x".repeat(5000))[0].len(), 2000);
    }
}
