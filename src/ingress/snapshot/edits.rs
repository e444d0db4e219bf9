//! What is changed about a request or response on its way.

use serde::{Deserialize, Serialize};

/// Changes to the headers of a message: first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderEdits {
    /// Replaces all headers of the name: `[["x-a", "1"]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Added beside those that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl HeaderEdits {
    /// Nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the upstream sees instead of the path and host asked for. The query stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rewrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// `Host` sent to the upstream; the one asked for stays in `X-Forwarded-Host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A change of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathRewrite {
    /// The route's prefix gives way to this one (`"/"` strips it); it is told in `X-Forwarded-Prefix`.
    Prefix(String),
    /// The whole path.
    Full(String),
    /// What the pattern matches is replaced; `$1` and `${name}` stand for groups.
    Regex { pattern: String, replacement: String },
}

/// An answer that sends the client elsewhere; the route needs no upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    pub keep_query: bool,
}

impl Default for Redirect {
    fn default() -> Self {
        Self { status: 308, scheme: None, host: None, port: None, path: None, keep_query: true }
    }
}

/// Compression of answers whose upstream did not compress them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compression {
    /// In order of preference where the client likes them equally.
    pub codings: Vec<Coding>,
    /// Answers known to be smaller are left alone.
    pub min_bytes: u64,
}

impl Default for Compression {
    fn default() -> Self {
        Self { codings: vec![Coding::Zstd, Coding::Br, Coding::Gzip], min_bytes: 1_024 }
    }
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    Gzip,
}
