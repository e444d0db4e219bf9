//! `.dockerignore` rules. They look like `.gitignore` rules and differ: patterns count from the top folder, a `!` rule brings
//! back files inside an ignored folder, and the files that decide the build are sent in any case.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Many projects list these to keep them out of their image; detection needs them all the same.
const ALWAYS_SENT: &[&str] = &["Dockerfile", ".dockerignore", "Procfile", "app.json"];

/// The rules of one source tree.
#[derive(Debug)]
pub(crate) struct DockerIgnore {
    rules: Gitignore,
    has_exceptions: bool,
}

impl DockerIgnore {
    /// Reads the rules; an unreadable pattern is left out, as Docker does with ones that match nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let mut builder = GitignoreBuilder::new("");
        let mut has_exceptions = false;
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (not, pattern) = match line.strip_prefix('!') {
                Some(rest) => ("!", rest.trim()),
                None => ("", line),
            };
            has_exceptions |= !not.is_empty();
            let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
            if builder.add_line(None, &format!("{not}/{pattern}")).is_err() {
                tracing::debug!(line, "pattern in .dockerignore left out");
            }
        }
        Self { rules: builder.build().unwrap_or_else(|_| Gitignore::empty()), has_exceptions }
    }

    /// Whether the walk should leave this entry (for a folder: with all in it) out.
    pub(crate) fn skips(&self, relative: &Path, is_dir: bool) -> bool {
        let top_name = relative.to_str().unwrap_or_default();
        if ALWAYS_SENT.contains(&top_name) || (is_dir && self.has_exceptions) {
            return false;
        }
        self.rules.matched_path_or_any_parents(relative, is_dir).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a>(rules: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let rules = DockerIgnore::parse(rules);
        paths.iter().copied().filter(|p| !rules.skips(Path::new(p), false)).collect()
    }

    #[test]
    fn patterns_count_from_the_top() {
        let paths = ["node_modules/a.js", "web/node_modules/b.js", "a.log", "x/b.log"];
        assert_eq!(kept("node_modules\n*.log", &paths), ["web/node_modules/b.js", "x/b.log"]);
        assert_eq!(kept("**/node_modules\n**/*.log\n# all", &paths), Vec::<&str>::new());
    }

    #[test]
    fn exceptions_bring_files_back() {
        let paths = ["src/a.js", "src/deep/b.js", "docs/README.md", "docs/x.md", "top.txt"];
        assert_eq!(kept("*\n!src", &paths), ["src/a.js", "src/deep/b.js"]);
        assert_eq!(kept("docs\n!docs/README.md\ntop.txt\nsrc", &paths), ["docs/README.md"]);
    }

    #[test]
    fn deciding_files_are_always_sent() {
        assert_eq!(kept("*", &["Dockerfile", "Procfile", "x"]), ["Dockerfile", "Procfile"]);
    }
}
