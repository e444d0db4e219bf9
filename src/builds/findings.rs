//! Things about a source that would make its build fail in a puzzling way, said before the build.

use std::fmt;

use super::source::{Content, SourceTree};

/// LFS pointer files are about 130 bytes; the specification's limit is 1024.
pub(crate) const LFS_POINTER_MAX: u64 = 1024;

const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// Something to tell the person who pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The file is a pointer to Git LFS content that was not pushed with it.
    LfsPointer {
        /// Path inside the source.
        path: String,
    },
    /// `.gitmodules` names a submodule whose folder is empty or missing.
    UnfetchedSubmodule {
        /// The submodule's folder.
        path: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LfsPointer { path } => write!(
                f,
                "{path} is a Git LFS pointer, not the file itself: LFS content does not travel with a push. Store the file in git (`git lfs migrate export --include={path}`), or deploy with `wharf up`, which sends the files on your disk"
            ),
            Self::UnfetchedSubmodule { path } => write!(
                f,
                "the submodule {path} is empty: a push carries only the link to it. Copy its files into the repository (`git subtree`), or run `git submodule update --init` and deploy with `wharf up`"
            ),
        }
    }
}

pub(crate) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.len() as u64 <= LFS_POINTER_MAX && bytes.starts_with(LFS_HEADER)
}

/// Submodules named in `.gitmodules` that have no file in the tree.
pub(crate) fn unfetched_submodules(tree: &SourceTree) -> Vec<Finding> {
    let Some(Content::Bytes(bytes)) = tree.content(".gitmodules") else {
        return Vec::new();
    };
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("path")?.trim().strip_prefix('='))
        .map(|path| path.trim().trim_matches('"').trim_end_matches('/'))
        .filter(|path| !path.is_empty())
        .filter(|path| {
            let inside = format!("{path}/");
            !tree.paths().any(|p| p.starts_with(&inside))
        })
        .map(|path| Finding::UnfetchedSubmodule { path: path.to_owned() })
        .collect()
}
