//! Validated names. A value of these types cannot hold anything that would be dangerous in a path,
//! a host name, a container name or an argument vector.

use thiserror::Error;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the {kind} is empty")]
    Empty { kind: &'static str },
    /// Too long.
    #[error("the {kind} `{name}` has {length} characters; at most {max} are allowed")]
    TooLong { kind: &'static str, name: String, length: usize, max: usize },
    /// A character that is not allowed, or a wrong place for it.
    #[error("the {kind} `{name}` is not valid: {rule}")]
    Malformed { kind: &'static str, name: String, rule: &'static str },
    /// A word Wharf keeps for itself.
    #[error("the {kind} `{name}` is reserved; choose another one")]
    Reserved { kind: &'static str, name: String },
}

const LABEL_RULE: &str =
    "use lower-case letters, digits and single hyphens, starting with a letter and not ending with a hyphen";

fn check_label(kind: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if name.len() > max {
        return Err(NameError::TooLong { kind, name: name.chars().take(80).collect(), length: name.len(), max });
    }
    let bytes = name.as_bytes();
    let allowed = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if !allowed || !bytes[0].is_ascii_lowercase() || bytes.ends_with(b"-") || name.contains("--") {
        return Err(NameError::Malformed { kind, name: name.to_owned(), rule: LABEL_RULE });
    }
    Ok(())
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = ($kind:literal, $max:literal, $reserved:expr);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(try_from = "String", into = "String")]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_label($kind, text, $max)?;
                let reserved: &[&str] = &$reserved;
                // A reserved word that ends with a hyphen is a reserved beginning.
                if reserved.iter().any(|r| text == *r || (r.ends_with('-') && text.starts_with(r))) {
                    return Err(NameError::Reserved { kind: $kind, name: text.to_owned() });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> { text.parse() }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String { name.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }
    )*};
}

// Project, environment and tenant with their separators (24 + 4 + 12 + 2 + 20) stay within a DNS label of 63.
labels! {
    /// The short name of a tenant, as in paths and host names. `e-` and `s-` mark environments and services in host names.
    TenantSlug = ("tenant name", 20, ["api", "admin", "new", "static", "git", "wharf", "system", "e-", "s-"]);
    /// The short name of a project; users say "app".
    ProjectSlug = ("app name", 24, ["wharf", "new", "api", "git", "www"]);
    /// The short name of an environment.
    EnvironmentSlug = ("environment name", 12, ["new"]);
    /// The name of a service within its stack (`web`, `worker`, …).
    ServiceName = ("service name", 40, []);
}

impl EnvironmentSlug {
    /// `production`, the environment every project starts with.
    #[must_use]
    pub fn production() -> Self {
        Self("production".to_owned())
    }

    /// Whether this is the environment every project starts with.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.0 == "production"
    }
}

impl ServiceName {
    /// `web`, the service that receives HTTP requests unless told otherwise.
    #[must_use]
    pub fn web() -> Self {
        Self("web".to_owned())
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

impl VariableName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for VariableName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "variable name";
        if text.is_empty() {
            return Err(NameError::Empty { kind });
        }
        if text.len() > 128 {
            return Err(NameError::TooLong {
                kind,
                name: text.chars().take(40).collect(),
                length: text.len(),
                max: 128,
            });
        }
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let rule = "use letters, digits and underscores, not starting with a digit";
            return Err(NameError::Malformed { kind, name: text.to_owned(), rule });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for VariableName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<VariableName> for String {
    fn from(name: VariableName) -> String {
        name.0
    }
}

/// A DNS host name in lower case, without a trailing dot; a leading `*.` label is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HostName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "domain";
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty() {
            return Err(NameError::Empty { kind });
        }
        if name.len() > 253 {
            return Err(NameError::TooLong {
                kind,
                name: name.chars().take(80).collect(),
                length: name.len(),
                max: 253,
            });
        }
        let label_ok = |l: &str| {
            (1..=63).contains(&l.len())
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let rest = name.strip_prefix("*.").unwrap_or(&name);
        if !rest.split('.').all(label_ok) {
            let rule = "write a host name such as shop.example.com, without a scheme, port or path (international names in their xn-- form)";
            return Err(NameError::Malformed { kind, name: text.to_owned(), rule });
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for HostName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> String {
        name.0
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
