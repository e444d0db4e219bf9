//! Looks at the tree of a pushed commit for what `git archive` cannot deliver: files kept in Git LFS (a push brings
//! their pointers only) and submodules (a push brings their address only). A build would fail later in an obscure
//! way, or worse, succeed; so the push is refused with the cause.

use std::collections::BTreeMap;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::commands::View;

/// A pointer file is about 130 bytes; the format promises less than 1024.
const POINTER_SIZES: std::ops::RangeInclusive<u64> = 60..=1023;
const POINTER_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// `.gitattributes` files beyond this size are not read.
const MAX_ATTRIBUTES: u64 = 256 * 1024;
/// At most so many objects are opened in one push.
const MAX_OBJECTS: usize = 20_000;
/// So many paths are named in the answer.
const NAMED: usize = 3;

/// What was found in a commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Paths that are submodules.
    pub submodules: Vec<String>,
    /// Paths that are LFS pointers.
    pub pointers: Vec<String>,
}

/// Why the tree could not be read.
#[derive(Debug, Error)]
#[error("git could not read the pushed files")]
pub(super) struct ReadError(#[from] std::io::Error);

/// One line of `ls-tree -l -z`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    submodule: bool,
    id: String,
    size: u64,
    path: String,
}

fn parse_entry(raw: &[u8]) -> Option<Entry> {
    let text = String::from_utf8_lossy(raw);
    let (meta, path) = text.trim_end_matches('\0').split_once('\t')?;
    let mut parts = meta.split_ascii_whitespace();
    let (mode, _kind, id, size) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Entry {
        submodule: mode == "160000",
        id: id.to_owned(),
        size: size.parse().unwrap_or(0),
        path: path.to_owned(),
    })
}

/// Inspects the commit's tree.
pub(super) async fn inspect(view: &View, commit: &str) -> Result<Findings, ReadError> {
    let mut findings = Findings::default();
    let (mut attributes, mut candidates) = (BTreeMap::new(), BTreeMap::new());
    let mut child =
        view.tree(commit).to_tokio().stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
    let mut lines = BufReader::new(stdout);
    let mut raw = Vec::new();
    while lines.read_until(0, &mut raw).await? > 0 {
        if let Some(entry) = parse_entry(&raw) {
            if entry.submodule {
                findings.submodules.push(entry.path);
            } else if entry.path.rsplit('/').next() == Some(".gitattributes") && entry.size <= MAX_ATTRIBUTES {
                attributes.insert(entry.id, entry.path);
            } else if POINTER_SIZES.contains(&entry.size) {
                candidates.insert(entry.id, entry.path);
            }
        }
        raw.clear();
    }
    if !child.wait().await?.success() {
        return Err(ReadError(std::io::Error::other("the tree is not readable")));
    }
    if attributes.is_empty() {
        return Ok(findings);
    }
    let uses_lfs = |content: &[u8]| String::from_utf8_lossy(content).contains("filter=lfs");
    if !matching(view, attributes, uses_lfs).await?.is_empty() {
        findings.pointers = matching(view, candidates, |content| content.starts_with(POINTER_HEADER)).await?;
    }
    Ok(findings)
}

/// The paths of those objects whose content fits.
async fn matching(
    view: &View,
    objects: BTreeMap<String, String>,
    fits: impl Fn(&[u8]) -> bool,
) -> Result<Vec<String>, ReadError> {
    let mut child = view.objects().to_tokio().stderr(std::process::Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| std::io::Error::other("no input"))?;
    let mut stdout = BufReader::new(child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?);
    let mut found = Vec::new();
    let mut header = String::new();
    for (id, path) in objects.into_iter().take(MAX_OBJECTS) {
        stdin.write_all(format!("{id}\n").as_bytes()).await?;
        stdin.flush().await?;
        header.clear();
        stdout.read_line(&mut header).await?;
        // "<hash> blob <size>"; anything else ("missing") has no content after it.
        let Some(size) = header.trim_end().rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()) else { continue };
        let mut content = vec![0; size + 1];
        stdout.read_exact(&mut content).await?;
        if fits(&content) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Findings {
    /// The answer to the pusher, if something stands in the way.
    pub(super) fn refusal(&self) -> Option<Vec<String>> {
        if !self.pointers.is_empty() {
            return Some(vec![
                format!("{} kept in Git LFS: {}.", count(self.pointers.len(), "file is", "files are"), names(&self.pointers)),
                "A push brings only their pointers, not their content, so the app would be built from placeholders.".to_owned(),
                "Put the files into git itself (git lfs migrate export --include='*'), or load them from storage when the app starts.".to_owned(),
            ]);
        }
        if !self.submodules.is_empty() {
            return Some(vec![
                format!("{} in this commit: {}.", count(self.submodules.len(), "submodule is", "submodules are"), names(&self.submodules)),
                "A push brings only the address of a submodule, not its files, so the build would miss them.".to_owned(),
                "Put the files into this repository (git rm --cached PATH, delete PATH/.git, git add PATH), or take them in as a package.".to_owned(),
            ]);
        }
        None
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

fn names(paths: &[String]) -> String {
    let shown: Vec<&str> = paths.iter().take(NAMED).map(String::as_str).collect();
    let rest = paths.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_tree_are_read() {
        let blob = parse_entry(b"100644 blob 0123abcd     130\ta b/logo.png\0").unwrap();
        assert_eq!(blob, Entry { submodule: false, id: "0123abcd".into(), size: 130, path: "a b/logo.png".into() });
        let module = parse_entry(b"160000 commit 0123abcd       -\tvendor/lib\0").unwrap();
        assert!(module.submodule);
        assert_eq!(parse_entry(b"nonsense"), None);
    }

    #[test]
    fn the_answer_names_some_paths_and_counts_the_rest() {
        assert_eq!(Findings::default().refusal(), None);
        let paths = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let lines = Findings { pointers: paths, ..Findings::default() }.refusal().unwrap();
        assert_eq!(lines[0], "5 files are kept in Git LFS: a, b, c and 2 more.");
    }
}
