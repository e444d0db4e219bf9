//! Where the files of a manifest come from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// It is not there.
    #[error("the file does not exist")]
    Missing,
    /// It is longer than may be.
    #[error("the file is larger than {0} KiB")]
    TooLarge(usize),
    /// Anything else, in the system's words.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// The source a manifest belongs to. Paths are relative to its root, with forward slashes, and without `..`:
/// whoever calls has made them so with [`join`].
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// When it is not there, too large, or cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;
}

/// Bytes one file may have.
const MOST: usize = super::yaml::MOST_BYTES;

/// Files by path: an unpacked archive, or a single text.
#[derive(Debug, Clone, Default)]
pub struct InMemory(pub BTreeMap<String, Vec<u8>>);

impl InMemory {
    /// A source of one file.
    #[must_use]
    pub fn single(path: &str, text: &str) -> Self {
        Self([(path.to_owned(), text.as_bytes().to_vec())].into())
    }
}

impl Files for InMemory {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let bytes = self.0.get(path).ok_or(FileError::Missing)?;
        if bytes.len() > MOST {
            return Err(FileError::TooLarge(MOST / 1024));
        }
        Ok(bytes.clone())
    }
}

/// A folder of this machine. Links that lead out of it are not followed.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The folder at `root`.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn open(root: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self { root: root.canonicalize()? })
    }
}

impl Files for Directory {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let reason = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing,
            _ => FileError::Unreadable(e.to_string()),
        };
        let full = self.root.join(path).canonicalize().map_err(reason)?;
        if !full.starts_with(&self.root) {
            return Err(FileError::Unreadable("it is a link that leads out of the source".to_owned()));
        }
        let data = std::fs::metadata(&full).map_err(reason)?;
        if !data.is_file() {
            return Err(FileError::Unreadable("it is not a file".to_owned()));
        }
        if data.len() > MOST as u64 {
            return Err(FileError::TooLarge(MOST / 1024));
        }
        std::fs::read(full).map_err(reason)
    }
}

/// The path of `relative` as seen from folder `dir`, both within the source; `None` when it is absolute or leads out.
pub(super) fn join(dir: &str, relative: &str) -> Option<String> {
    if relative.starts_with(['/', '~', '\\']) {
        return None;
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|p| !p.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The folder a file stands in.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
