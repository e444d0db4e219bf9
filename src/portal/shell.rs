//! What every page knows: language, theme, who looks, where they are, the moment it was made.

use std::borrow::Cow;

use super::i18n::{Language, fill};
use super::{assets, when};
use crate::apps::AppState;
use crate::certificates::model::State as CertificateState;
use crate::kernel::clock::Timestamp;
use crate::tenancy::roles::{Permission, Role};

/// Light, dark, or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// All themes, in the order the menu shows them.
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The word in the cookie, in `data-theme`, and at the end of its text's key.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// From a cookie's value.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }
}

/// Who looks at the page.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub name: String,
    pub email: String,
    pub operator: bool,
}

/// A tenant the person belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantLink {
    pub slug: String,
    pub name: String,
    pub role: Role,
}

/// One sentence about what was just done, shown once.
#[derive(Debug, Clone)]
pub(crate) struct Flash {
    /// `ok` or `bad`.
    pub tone: &'static str,
    pub text: String,
}

/// What every page knows. Templates ask it for texts, addresses and words.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub language: Language,
    pub theme: Theme,
    pub now: Timestamp,
    /// The path of this page, to come back to after changing language or theme.
    pub path: String,
    /// What forms must send back; empty where nobody is logged in.
    pub csrf: String,
    pub person: Option<Person>,
    pub tenants: Vec<TenantLink>,
    /// The tenant this page is about.
    pub tenant: Option<TenantLink>,
    pub flash: Option<Flash>,
}

impl Shell {
    /// The text of a key. A key without text shows itself, which the tests refuse.
    pub(crate) fn t<'k>(&self, key: &'k str) -> &'k str {
        self.language.text(key).unwrap_or(key)
    }

    /// A text with `{0}` filled in.
    pub(crate) fn t1(&self, key: &str, value: impl std::fmt::Display) -> String {
        fill(self.t(key), &[&value.to_string()])
    }

    /// A text with `{0}` and `{1}` filled in.
    pub(crate) fn t2(&self, key: &str, first: impl std::fmt::Display, second: impl std::fmt::Display) -> String {
        fill(self.t(key), &[&first.to_string(), &second.to_string()])
    }

    /// A text that counts: `key.one` for one in languages that tell, `key.other` else.
    pub(crate) fn count(&self, key: &str, n: impl std::fmt::Display) -> String {
        let n = n.to_string();
        let form = if n == "1" && self.language == Language::English { "one" } else { "other" };
        self.language.text(&format!("{key}.{form}")).map_or_else(|| key.to_owned(), |text| fill(text, &[&n]))
    }

    /// The text for a word that arrives as data (`state.app` + `running`); the word itself when none is known.
    pub(crate) fn word<'a>(&self, group: &str, word: &'a str) -> &'a str {
        self.language.text(&format!("{group}.{word}")).unwrap_or(word)
    }

    /// How a state is to be felt: `ok`, `busy`, `warn`, `bad` or `idle`.
    pub(crate) fn tone(&self, group: &str, word: &str) -> &'static str {
        match (group, word) {
            ("state.app", "running") | ("state.operation", "succeeded") | ("state.instance", "run") => "ok",
            ("state.job", "succeeded") => "ok",
            ("state.certificate", "valid") | ("state.volume", "used") | ("effect", "none") => "ok",
            ("effect", "stop") => "bad",
            ("effect", "restart") => "warn",
            ("state.volume", "unused") => "idle",
            ("state.job", "waiting") => "idle",
            (_, "degraded" | "ill" | "expiring") => "warn",
            (_, "down" | "failed" | "exited" | "expired") => "bad",
            (_, "empty" | "stopped" | "cancelled" | "missing" | "skipped") => "idle",
            _ => "busy",
        }
    }

    /// The word of an app's state.
    pub(crate) fn app_word(&self, state: &AppState) -> &'static str {
        match state {
            AppState::Empty => "empty",
            AppState::Deploying => "deploying",
            AppState::Running => "running",
            AppState::Degraded => "degraded",
            AppState::Stopped => "stopped",
            AppState::Down => "down",
        }
    }

    /// The word of a certificate's state.
    pub(crate) fn certificate_word(&self, state: &CertificateState) -> &'static str {
        match state {
            CertificateState::Valid => "valid",
            CertificateState::Expiring => "expiring",
            CertificateState::Expired => "expired",
            CertificateState::Pending => "pending",
            CertificateState::Failed => "failed",
            CertificateState::Missing => "missing",
        }
    }

    /// How long ago an RFC 3339 moment was, in words.
    pub(crate) fn ago(&self, moment: &str) -> String {
        when::ago(self, moment)
    }

    /// The moment itself, for tooltips and tables that need precision.
    pub(crate) fn moment(&self, moment: &str) -> String {
        when::moment(moment)
    }

    /// The day of a moment.
    pub(crate) fn day(&self, moment: &Timestamp) -> String {
        when::day(&moment.rfc3339())
    }

    /// How long ago a stored moment was, in words.
    pub(crate) fn since(&self, moment: &Timestamp) -> String {
        when::ago(self, &moment.rfc3339())
    }

    /// The time of day of a moment, for log lines.
    pub(crate) fn clock(&self, moment: &str) -> String {
        when::clock(moment)
    }

    /// How long something took, or has been going on when it has no end.
    pub(crate) fn took(&self, from: &str, to: Option<&str>) -> String {
        when::took(self, from, to)
    }

    /// The address of a static file.
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    /// Whether the person's role in this tenant allows something; pages hide what it does not.
    pub(crate) fn can(&self, permission: Permission) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.role.allows(permission))
    }

    /// Whether the person runs the platform.
    pub(crate) fn is_operator(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.operator)
    }

    /// The header htmx sends along with each request.
    pub(crate) fn request_headers(&self) -> String {
        format!("{{\"X-CSRF-Token\":\"{}\"}}", self.csrf)
    }

    /// The key of a role's name.
    pub(crate) fn role(&self, role: &Role) -> &'static str {
        self.t(match role {
            Role::Viewer => "role.viewer",
            Role::Developer => "role.developer",
            Role::Owner => "role.owner",
        })
    }

    /// The first characters of a commit id or content hash.
    pub(crate) fn short<'a>(&self, hash: &'a str) -> Cow<'a, str> {
        let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
        hash.get(..8).map_or(Cow::Borrowed(hash), Cow::Borrowed)
    }

    /// The version of this binary.
    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
