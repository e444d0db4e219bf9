//! Moving a source tree as a tar archive, both ways, trusting nothing in it.
//!
//! An archive from outside may hold names that climb out of the target, links that lead out, devices, or a million
//! empty files. Every entry is checked by `guard` before anything is written; a refusal names the entry.
//! Links keep to a rule that needs no look at the disk: `..` only at the start of the target, never more than the link is
//! deep, and no entry may lie under a link. Then every path that is followed stays inside, whatever the links point at.

use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

mod guard;

use self::guard::Guard;
use super::dockerignore::DockerIgnore;

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files, folders and links together.
    pub entries: usize,
    /// Bytes of all files together, unpacked.
    pub total_bytes: u64,
    /// Bytes of the longest path.
    pub path_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 200_000, total_bytes: 4 * 1024 * 1024 * 1024, path_bytes: 1024 }
    }
}

/// Which ignore files of a directory count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreFiles {
    /// `.gitignore` and `.dockerignore`: for a directory someone works in.
    GitAndDocker,
    /// `.dockerignore` alone: for a checked-out commit, where every file was put in on purpose.
    Docker,
}

/// Why an archive or a directory was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An entry that could do harm.
    #[error("the source holds {entry:?}, which is refused: {reason}. Remove it and send the source again")]
    Refused {
        /// The entry's name as it stands in the archive.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than a limit allows.
    #[error(
        "the source is too large: {what} is more than {limit} (reached at {entry:?}). List what is not needed in .dockerignore"
    )]
    TooLarge {
        /// The entry that passed the limit.
        entry: String,
        /// What was counted.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Reading or writing failed.
    #[error("can't read or write {entry:?} of the source")]
    Io {
        /// The entry or file.
        entry: String,
        /// The cause.
        source: io::Error,
    },
}

impl ArchiveError {
    pub(crate) fn io(entry: &str, source: io::Error) -> Self {
        Self::Io { entry: entry.to_owned(), source }
    }

    fn refused(entry: &str, reason: impl Into<String>) -> Self {
        Self::Refused { entry: entry.to_owned(), reason: reason.into() }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link that stays inside the tree.
    Link {
        /// Its target as it stands in the archive.
        target: String,
    },
}

/// A checked entry: the path is relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What was unpacked or packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files, folders and links.
    pub entries: usize,
    /// Bytes in files.
    pub bytes: u64,
}

/// Reads a tar stream (not compressed) and hands each checked entry to `visit`.
///
/// # Errors
/// The first entry that is refused, a limit exceeded, or a broken stream.
pub fn read(
    reader: impl Read,
    limits: &Limits,
    mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), ArchiveError>,
) -> Result<Totals, ArchiveError> {
    let mut tar = tar::Archive::new(reader);
    let mut guard = Guard::new(*limits);
    let entries = tar.entries().map_err(|e| ArchiveError::io("archive", e))?;
    for item in entries {
        let mut item = item.map_err(|e| ArchiveError::io("archive", e))?;
        let name = String::from_utf8(item.path_bytes().into_owned())
            .map_err(|e| ArchiveError::refused(&String::from_utf8_lossy(e.as_bytes()), "its name is not UTF-8"))?;
        let Some(kind) = kind_of(&item, &name)? else {
            continue;
        };
        let Some(entry) = guard.admit(&name, kind)? else {
            continue;
        };
        visit(&entry, &mut item)?;
    }
    Ok(guard.totals)
}

/// Unpacks a tar stream (not compressed) into an existing, empty directory.
///
/// Owners, times and special mode bits of the archive are not taken over: files get 0644 or 0755.
///
/// # Errors
/// As [`read`]; what was written until then stays in the directory.
pub fn unpack(reader: impl Read, dir: &Path, limits: &Limits) -> Result<Totals, ArchiveError> {
    read(reader, limits, |entry, data| {
        let to = dir.join(&entry.path);
        write_entry(entry, data, &to).map_err(|e| ArchiveError::io(&entry.path, e))
    })
}

fn write_entry(entry: &Entry, data: &mut dyn Read, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match &entry.kind {
        Kind::Dir => std::fs::create_dir_all(to),
        Kind::Link { target } => std::os::unix::fs::symlink(target, to),
        Kind::File { executable, .. } => {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true) // never through a link that is there already
                .mode(if *executable { 0o755 } else { 0o644 })
                .open(to)?;
            io::copy(data, &mut file).map(|_| ())
        }
    }
}

/// Packs a directory as a tar stream, without `.git` and what the ignore files leave out, and adds `extra` files
/// (a generated Dockerfile, for instance), which win over files of the same name.
///
/// Owners and times are fixed, so the same files give the same bytes.
///
/// # Errors
/// A file that can't be read, a link that leads out of the directory, or a limit exceeded.
pub fn pack(
    dir: &Path,
    out: impl Write,
    limits: &Limits,
    ignored: IgnoreFiles,
    extra: &[(&str, &[u8])],
) -> Result<Totals, ArchiveError> {
    let mut tar = tar::Builder::new(out);
    let mut totals = walk(dir, limits, ignored, |entry| {
        if extra.iter().any(|(path, _)| *path == entry.path) {
            return Ok(());
        }
        append(&mut tar, dir, entry).map_err(|e| ArchiveError::io(&entry.path, e))
    })?;
    for (path, bytes) in extra {
        let mut header = header(tar::EntryType::Regular, bytes.len() as u64, 0o644);
        tar.append_data(&mut header, path, *bytes).map_err(|e| ArchiveError::io(path, e))?;
        totals.entries += 1;
        totals.bytes += bytes.len() as u64;
    }
    tar.into_inner().and_then(|mut out| out.flush()).map_err(|e| ArchiveError::io("archive", e))?;
    Ok(totals)
}

fn append(tar: &mut tar::Builder<impl Write>, dir: &Path, entry: &Entry) -> io::Result<()> {
    match &entry.kind {
        Kind::Dir => {
            let mut header = header(tar::EntryType::Directory, 0, 0o755);
            tar.append_data(&mut header, &entry.path, io::empty())
        }
        Kind::Link { target } => {
            let mut header = header(tar::EntryType::Symlink, 0, 0o777);
            tar.append_link(&mut header, &entry.path, target)
        }
        Kind::File { size, executable } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            let mut header = header(tar::EntryType::Regular, *size, mode);
            let file = std::fs::File::open(dir.join(&entry.path))?;
            // A file that shrank or grew since it was measured must not shift what follows it.
            let padded = file.chain(io::repeat(0)).take(*size);
            tar.append_data(&mut header, &entry.path, padded)
        }
    }
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// Visits a directory's entries in order, parents first, leaving out what the ignore files leave out.
pub(crate) fn walk(
    root: &Path,
    limits: &Limits,
    ignored: IgnoreFiles,
    mut visit: impl FnMut(&Entry) -> Result<(), ArchiveError>,
) -> Result<Totals, ArchiveError> {
    let mut guard = Guard::new(*limits);
    let rules = std::fs::read_to_string(root.join(".dockerignore")).unwrap_or_default();
    let rules = DockerIgnore::parse(&rules);
    let top = root.to_owned();
    let walker = ignore::WalkBuilder::new(root)
        .hidden(false)
        .follow_links(false)
        .parents(false)
        .git_ignore(ignored == IgnoreFiles::GitAndDocker)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .ignore(false)
        .filter_entry(move |e| {
            let is_dir = e.file_type().is_some_and(|t| t.is_dir());
            let relative = e.path().strip_prefix(&top).unwrap_or(e.path());
            let root = relative.as_os_str().is_empty();
            root || (e.file_name() != ".git" && !rules.skips(relative, is_dir))
        })
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    for item in walker {
        let item = item.map_err(|e| ArchiveError::io(&root.display().to_string(), io::Error::other(e.to_string())))?;
        let path = item.path();
        let Ok(relative) = path.strip_prefix(root) else {
            continue;
        };
        if relative.as_os_str().is_empty() {
            continue;
        }
        let name = relative
            .to_str()
            .ok_or_else(|| ArchiveError::refused(&relative.to_string_lossy(), "its name is not UTF-8"))?;
        let Some(kind) = disk_kind(path, name)? else {
            continue;
        };
        if let Some(entry) = guard.admit(name, kind)? {
            visit(&entry)?;
        }
    }
    Ok(guard.totals)
}

/// Sockets and pipes of a running development server are left out, not refused.
fn disk_kind(path: &Path, name: &str) -> Result<Option<Kind>, ArchiveError> {
    let io = |e| ArchiveError::io(name, e);
    let meta = std::fs::symlink_metadata(path).map_err(io)?;
    Ok(if meta.is_dir() {
        Some(Kind::Dir)
    } else if meta.is_symlink() {
        let target = std::fs::read_link(path).map_err(io)?;
        let target = target.to_str().map(str::to_owned);
        Some(Kind::Link { target: target.ok_or_else(|| ArchiveError::refused(name, "its target is not UTF-8"))? })
    } else if meta.is_file() {
        Some(Kind::File { size: meta.len(), executable: meta.permissions().mode() & 0o100 != 0 })
    } else {
        None
    })
}

fn kind_of<R: Read>(item: &tar::Entry<'_, R>, name: &str) -> Result<Option<Kind>, ArchiveError> {
    use tar::EntryType as T;
    let refuse = |reason: &str| Err(ArchiveError::refused(name, reason));
    match item.header().entry_type() {
        T::Directory => Ok(Some(Kind::Dir)),
        T::Regular | T::Continuous | T::GNUSparse => {
            Ok(Some(Kind::File { size: item.size(), executable: item.header().mode().unwrap_or(0) & 0o100 != 0 }))
        }
        T::Symlink => {
            let target = item.link_name_bytes().unwrap_or_default().into_owned();
            match String::from_utf8(target) {
                Ok(target) => Ok(Some(Kind::Link { target })),
                Err(_) => refuse("its target is not UTF-8"),
            }
        }
        T::Link => refuse("it is a hard link; send the file itself"),
        T::Char | T::Block => refuse("it is a device"),
        T::Fifo => refuse("it is a named pipe"),
        T::XGlobalHeader => Ok(None), // `git archive` writes the commit id here
        _ => refuse("it is of a kind this platform does not know"),
    }
}
