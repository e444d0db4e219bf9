//! Which command an SSH client asks for. Pure.

use crate::git::path::RepoPath;

/// A command as Wharf understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exec {
    /// Clone and fetch; `None` when the path can be none of ours.
    Fetch(Option<RepoPath>),
    /// Push.
    Push(Option<RepoPath>),
    /// A client of Git LFS.
    Lfs,
    /// Anything else, shortened for the answer.
    Unknown(String),
}

/// Reads a command line such as `git-receive-pack '/acme/shop.git'`.
pub(super) fn parse(command: &[u8]) -> Exec {
    let text = String::from_utf8_lossy(command);
    let text = text.trim();
    // Some clients send `git upload-pack` in two words.
    let (program, rest) = match text.strip_prefix("git ") {
        Some(rest) => split(rest),
        None => split(text.strip_prefix("git-").unwrap_or("")),
    };
    match program {
        "upload-pack" => Exec::Fetch(path(rest)),
        "receive-pack" => Exec::Push(path(rest)),
        "lfs-authenticate" | "lfs-transfer" => Exec::Lfs,
        _ => Exec::Unknown(text.chars().filter(|c| !c.is_control()).take(60).collect()),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// Valid paths need no quoting, so one pair of quotes is all there is to remove.
fn path(argument: &str) -> Option<RepoPath> {
    let argument = argument.trim();
    let quoted = |quote: char| argument.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    RepoPath::parse(quoted('\'').or_else(|| quoted('"')).unwrap_or(argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_several_forms() {
        let shop = RepoPath::parse("acme/shop.git");
        assert!(shop.is_some());
        for form in ["'/acme/shop.git'", "'acme/shop.git'", "\"acme/shop\"", "/git/acme/shop.git", "'git/acme/shop'"] {
            assert_eq!(parse(format!("git-receive-pack {form}").as_bytes()), Exec::Push(shop.clone()), "{form}");
            assert_eq!(parse(format!("git upload-pack {form}").as_bytes()), Exec::Fetch(shop.clone()), "{form}");
        }
        let staging = parse(b"git-upload-pack '/acme/shop/staging.git'");
        assert_eq!(staging, Exec::Fetch(RepoPath::from_segments("acme", "shop", Some("staging"))));
    }

    #[test]
    fn nothing_but_git_is_understood() {
        assert_eq!(parse(b"git-upload-pack '/acme/../x.git'"), Exec::Fetch(None));
        assert_eq!(parse(b"git-upload-pack '/acme/shop.git' ; id"), Exec::Fetch(None));
        assert_eq!(parse(b"git-upload-pack --exec=id"), Exec::Fetch(None));
        assert_eq!(parse(b"git-lfs-authenticate /acme/shop.git upload"), Exec::Lfs);
        for other in ["ls -la", "git-upload-archive 'x'", "", "scp -t /", "git", "gitupload-pack x"] {
            assert!(matches!(parse(other.as_bytes()), Exec::Unknown(_)), "{other}");
        }
    }
}
