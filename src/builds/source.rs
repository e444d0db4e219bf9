//! The source of an app as detection sees it: all relative paths, and the content of the few small files that decide.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::archive::{self, ArchiveError, IgnoreFiles, Limits};
use super::findings::{self, Finding};

/// Largest deciding file (a lock file of a big monorepo stays well below).
const MAX_KEPT_FILE: u64 = 4 * 1024 * 1024;
/// Content kept of one tree, so that a thousand manifests can't fill the memory.
const MAX_KEPT_TOTAL: u64 = 32 * 1024 * 1024;
/// Deciding files lie near the top; deeper ones belong to examples and vendored code.
const MAX_DEPTH: usize = 4;

/// What is known of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The whole content.
    Bytes(Vec<u8>),
    /// The file exists; its content does not decide anything or is too large to keep.
    NotKept,
}

/// An app's source: paths with `/`, relative, sorted.
#[derive(Debug, Clone, Default)]
pub struct SourceTree {
    files: BTreeMap<String, Content>,
    dirs: BTreeSet<String>,
    kept: u64,
    findings: Vec<Finding>,
}

impl SourceTree {
    /// A tree from paths and contents already in memory.
    pub fn from_files<P: Into<String>, C: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, C)>) -> Self {
        let mut tree = Self::default();
        for (path, content) in files {
            tree.add(&path.into(), content.into());
        }
        tree.finish()
    }

    /// Reads a directory, without `.git` and what the ignore files leave out.
    ///
    /// # Errors
    /// A folder or file that can't be read, a link that leads out of the directory, or a limit exceeded.
    pub fn from_dir(root: &Path, limits: &Limits, ignored: IgnoreFiles) -> Result<Self, ArchiveError> {
        let mut tree = Self::default();
        archive::walk(root, limits, ignored, |entry| {
            match entry.kind {
                archive::Kind::Dir => {
                    tree.dirs.insert(entry.path.clone());
                }
                archive::Kind::Link { .. } => tree.add_unread(&entry.path),
                archive::Kind::File { size, .. } if wants(&entry.path, size) => {
                    let bytes = std::fs::read(root.join(&entry.path)).map_err(|e| ArchiveError::io(&entry.path, e))?;
                    tree.add(&entry.path, bytes);
                }
                archive::Kind::File { .. } => tree.add_unread(&entry.path),
            }
            Ok(())
        })?;
        Ok(tree.finish())
    }

    /// Reads a tar stream without writing anything to disk.
    ///
    /// # Errors
    /// The same refusals as [`archive::unpack`].
    pub fn from_tar(reader: impl Read, limits: &Limits) -> Result<Self, ArchiveError> {
        let mut tree = Self::default();
        archive::read(reader, limits, |entry, data| {
            match entry.kind {
                archive::Kind::Dir => {
                    tree.dirs.insert(entry.path.clone());
                }
                archive::Kind::File { size, .. } if wants(&entry.path, size) => {
                    let mut bytes = Vec::new();
                    data.take(MAX_KEPT_FILE).read_to_end(&mut bytes).map_err(|e| ArchiveError::io(&entry.path, e))?;
                    tree.add(&entry.path, bytes);
                }
                archive::Kind::Link { .. } | archive::Kind::File { .. } => {
                    tree.add_unread(&entry.path);
                }
            }
            Ok(())
        })?;
        Ok(tree.finish())
    }

    /// All file paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether a folder is there (empty ones count).
    pub fn has_dir(&self, path: &str) -> bool {
        self.dirs.contains(path)
    }

    /// The first of these files that is there.
    pub fn first_of<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|p| self.has(p))
    }

    /// What is known of a file's content; `None` when there is no such file.
    pub fn content(&self, path: &str) -> Option<&Content> {
        self.files.get(path)
    }

    /// Paths directly in a folder (`""` is the top) that end with `suffix`.
    pub fn in_dir<'t>(&'t self, dir: &'t str, suffix: &'t str) -> impl Iterator<Item = &'t str> {
        self.paths().filter(move |p| {
            let (parent, name) = p.rsplit_once('/').unwrap_or(("", p));
            parent == dir && name.ends_with(suffix) && name.len() > suffix.len()
        })
    }

    /// Things about this source that would make a build fail in a puzzling way.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        if findings::is_lfs_pointer(&bytes) {
            self.findings.push(Finding::LfsPointer { path: path.to_owned() });
        }
        let size = bytes.len() as u64;
        if size > MAX_KEPT_FILE || self.kept + size > MAX_KEPT_TOTAL || !decides(path) {
            return self.add_unread(path);
        }
        self.kept += size;
        self.add_dirs(path);
        self.files.insert(path.to_owned(), Content::Bytes(bytes));
    }

    fn add_unread(&mut self, path: &str) {
        self.add_dirs(path);
        self.files.insert(path.to_owned(), Content::NotKept);
    }

    fn add_dirs(&mut self, path: &str) {
        for (i, _) in path.match_indices('/') {
            self.dirs.insert(path[..i].to_owned());
        }
    }

    fn finish(mut self) -> Self {
        let missing = findings::unfetched_submodules(&self);
        self.findings.extend(missing);
        self
    }
}

/// Whether a file's bytes are worth reading: it may decide the build, or be small enough for an LFS pointer.
fn wants(path: &str, size: u64) -> bool {
    size <= findings::LFS_POINTER_MAX || (size <= MAX_KEPT_FILE && decides(path))
}

/// Names of files that detection may look into.
const NAMES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "angular.json",
    "deno.json",
    "deno.jsonc",
    "Procfile",
    "app.json",
    "Staticfile",
    "requirements.txt",
    "Pipfile",
    "Pipfile.lock",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "runtime.txt",
    "go.mod",
    "go.work",
    "Cargo.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "Gemfile",
    "Gemfile.lock",
    "composer.json",
    "composer.lock",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "gradle-wrapper.properties",
    "maven-wrapper.properties",
    "global.json",
    "mix.exs",
    "mix.lock",
    "mise.toml",
    "svelte.config.js",
    "svelte.config.ts",
    "next.config.js",
    "next.config.mjs",
    "next.config.ts",
    "astro.config.mjs",
    "astro.config.ts",
    "astro.config.js",
    "vite.config.js",
    "vite.config.ts",
    "nuxt.config.ts",
    "nuxt.config.js",
    "react-router.config.ts",
    "react-router.config.js",
    ".tool-versions",
    ".nvmrc",
    ".node-version",
    ".python-version",
    ".ruby-version",
    ".bun-version",
    ".deno-version",
    ".rust-version",
    ".go-version",
    ".java-version",
    ".php-version",
    ".elixir-version",
    ".gitmodules",
    ".yarnrc.yml",
    "system.properties",
];

/// Ends of names of such files.
const SUFFIXES: &[&str] = &[".py", ".go", ".csproj", ".fsproj", ".vbproj", ".ru"];

/// Whether detection may look into this file.
fn decides(path: &str) -> bool {
    if path.matches('/').count() >= MAX_DEPTH {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name)
        || SUFFIXES.iter().any(|s| name.ends_with(s))
        || name.contains("Dockerfile")
        || (name.starts_with("requirements") && name.ends_with(".txt"))
}
