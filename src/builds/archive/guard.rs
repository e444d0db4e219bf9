//! The checks every entry passes before anything is written, whether it comes from an archive or a directory.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::{ArchiveError, Entry, Kind, Limits, Totals};

/// Keeps count and knows what was admitted.
pub(super) struct Guard {
    limits: Limits,
    pub(super) totals: Totals,
    files: BTreeSet<String>,
    links: BTreeSet<String>,
    dirs: BTreeSet<String>,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            totals: Totals::default(),
            files: BTreeSet::new(),
            links: BTreeSet::new(),
            dirs: BTreeSet::new(),
        }
    }

    /// Checks one entry; `None` for the root folder itself.
    pub(super) fn admit(&mut self, name: &str, kind: Kind) -> Result<Option<Entry>, ArchiveError> {
        let path = clean(name)?;
        if path.is_empty() {
            return match kind {
                Kind::Dir => Ok(None),
                _ => Err(ArchiveError::refused(name, "it has no name")),
            };
        }
        if path.len() > self.limits.path_bytes {
            return Err(self.too_large(&path, "the length of a path", self.limits.path_bytes as u64));
        }
        self.totals.entries += 1;
        if self.totals.entries > self.limits.entries {
            return Err(self.too_large(&path, "the number of entries", self.limits.entries as u64));
        }
        if let Kind::File { size, .. } = kind {
            self.totals.bytes = self.totals.bytes.saturating_add(size);
            if self.totals.bytes > self.limits.total_bytes {
                return Err(self.too_large(&path, "the size in bytes", self.limits.total_bytes));
            }
        }
        self.place(&path, &kind)?;
        Ok(Some(Entry { path, kind }))
    }

    /// Refuses what would be written through a link or over something else.
    fn place(&mut self, path: &str, kind: &Kind) -> Result<(), ArchiveError> {
        for (i, _) in path.match_indices('/') {
            let parent = &path[..i];
            if self.links.contains(parent) || self.files.contains(parent) {
                return Err(ArchiveError::refused(path, format!("it lies under {parent:?}, which is not a folder")));
            }
            self.dirs.insert(parent.to_owned());
        }
        let taken = self.files.contains(path) || self.links.contains(path);
        if taken || (self.dirs.contains(path) && *kind != Kind::Dir) {
            return Err(ArchiveError::refused(path, "it is in the archive twice"));
        }
        match kind {
            Kind::Dir => self.dirs.insert(path.to_owned()),
            Kind::File { .. } => self.files.insert(path.to_owned()),
            Kind::Link { target } => {
                check_target(path, target)?;
                self.links.insert(path.to_owned())
            }
        };
        Ok(())
    }

    fn too_large(&self, entry: &str, what: &'static str, limit: u64) -> ArchiveError {
        ArchiveError::TooLarge { entry: entry.to_owned(), what, limit }
    }
}

/// A relative path without `.`; absolute paths, `..`, NUL and backslashes are refused.
fn clean(name: &str) -> Result<String, ArchiveError> {
    let refuse = |reason: &str| Err(ArchiveError::refused(name, reason));
    if name.contains('\0') || name.chars().any(|c| c.is_control()) {
        return refuse("its name holds control characters");
    }
    let mut parts = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            Component::ParentDir => return refuse("its path holds `..`"),
            Component::RootDir | Component::Prefix(_) => return refuse("its path is absolute"),
        }
    }
    Ok(parts.join("/"))
}

fn check_target(path: &str, target: &str) -> Result<(), ArchiveError> {
    let refuse = |reason: &str| Err(ArchiveError::refused(path, format!("it is a link to {target:?}, {reason}")));
    if target.is_empty() || target.contains('\0') {
        return refuse("which is no path");
    }
    let depth = path.matches('/').count();
    let mut ups = 0;
    let mut went_down = false;
    for part in Path::new(target).components() {
        match part {
            Component::RootDir | Component::Prefix(_) => return refuse("an absolute path"),
            Component::ParentDir if went_down => return refuse("which holds `..` in its middle"),
            Component::ParentDir => ups += 1,
            Component::Normal(_) => went_down = true,
            Component::CurDir => {}
        }
    }
    if ups > depth {
        return refuse("which leads out of the source");
    }
    Ok(())
}
