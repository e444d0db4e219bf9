//! Typed identifiers: a prefix that names the kind, then a UUID v7, so that they sort by age
//! (`ten_01937c1e…`). An id of one kind cannot be passed where another is meant.

use super::clock::Timestamp;
use super::random::Random;

/// Makes the text of a new identifier from a moment and ten random bytes.
fn generate(prefix: &str, now: Timestamp, random: &Random) -> String {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random.bytes::<10>()).into_uuid();
    format!("{prefix}_{}", uuid.simple())
}

fn is_valid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(try_from = "String", into = "String")]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id, unique by its 74 random bits.
            #[must_use]
            pub fn new(now: Timestamp, random: &Random) -> Self {
                Self(generate($prefix, now, random))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                if is_valid($prefix, &text) { Ok(Self(text)) } else { Err(format!("`{text}` is not an id of the form {}_…", $prefix)) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String { id.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }
    )*};
}

ids! {
    /// An organisation.
    TenantId = "ten";
    /// A person.
    UserId = "usr";
    /// A project of a tenant.
    ProjectId = "prj";
    /// An environment of a project.
    EnvironmentId = "env";
    /// An immutable snapshot of a stack.
    RevisionId = "rev";
    /// A durable unit of change.
    OperationId = "op";
    /// A host name that leads to a service.
    DomainId = "dom";
    /// An API token.
    TokenId = "tok";
    /// A public SSH key.
    SshKeyId = "key";
    /// A certificate for HTTPS.
    CertificateId = "crt";
}
