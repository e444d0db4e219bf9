//! Which requests a route takes, beyond host and path prefix.

use serde::{Deserialize, Serialize};

/// Further conditions of a route; all of them must hold. Empty = every request of its hosts and prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matching {
    /// Replaces the path prefix as the condition on the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Methods taken (`GET`); empty = all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<ValueMatch>,
    /// Parameters of the query, compared as they stand in the URL (not decoded).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<ValueMatch>,
    /// Routes of a host are tried from the highest priority to the lowest, whatever else they say.
    pub priority: i32,
}

impl Matching {
    /// Nothing is asked beyond host and prefix.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

/// A condition on the whole path, without the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathMatch {
    Exact(String),
    /// Matches anywhere unless anchored by `^` and `$`.
    Regex(String),
}

/// A condition on one named value: `{"name": "x-plan", "exact": "pro"}`. Without a test the value must only be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValueMatch {
    /// Header names in any case; cookies and parameters exactly.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The condition holds when the value is absent or fails the test.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
}
