//! Names of volumes, networks, configs, secrets and workflows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of something a stack owns, unique within its kind and stack: up to 63 letters, digits, `.`, `_`
/// and `-`, beginning with a letter or digit. It is never a path, and never part of one with a separator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// Characters a name may have.
const LONGEST: usize = 63;

impl ResourceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the network that services join when they name none.
    #[must_use]
    pub fn is_default_network(&self) -> bool {
        self.0 == "default"
    }
}

impl FromStr for ResourceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() {
            return Err("the name is empty".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("the name has {} characters; at most {LONGEST} are allowed", text.chars().count()));
        }
        if !text.chars().all(allowed) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(format!(
                "`{}` is not a name: use letters, digits, `.`, `_` and `-`, starting with a letter or digit",
                text.escape_debug()
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ResourceName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> String {
        name.0
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
