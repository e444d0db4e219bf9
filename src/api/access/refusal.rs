//! Why a request did not get to its handler.

use http::StatusCode;
use thiserror::Error;

use crate::store::StoreError;
use crate::tenancy::access::Denied;

/// A refusal; `Display` is a full sentence for people. Each face shows it in its own way.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No credential was shown.
    #[error("this needs you to be logged in; send an API token as `Authorization: Bearer TOKEN`, or run `wharf login`")]
    NoCredential,
    /// The credential is not valid, or not any more; which of the two is not said.
    #[error("this credential is not valid, or not any more; make a new token in the portal, or run `wharf login`")]
    BadCredential,
    /// Too many wrong credentials came from this address.
    #[error("too many wrong credentials came from your address; wait {seconds} s and try again")]
    TooManyFailures { seconds: i64 },
    /// Another site's page made the browser send this.
    #[error("this request was sent by a page of another site; open the portal and do it there")]
    CrossSite,
    /// The CSRF token is missing or not this session's.
    #[error("the page is too old to do this; load it again and repeat (the session's CSRF token did not come along)")]
    CsrfToken,
    /// There is no such tenant, or it is none of theirs.
    #[error("{0}")]
    NotFound(String),
    /// Known, but not allowed this.
    #[error("{0}")]
    Forbidden(String),
    /// The path cannot be read.
    #[error("the path of the request is not valid UTF-8 after its %-escapes are resolved")]
    Path,
    /// It could not be found out.
    #[error("cannot check who you are and what you may do")]
    Failed(#[from] StoreError),
}

impl Refusal {
    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoCredential | Self::BadCredential => StatusCode::UNAUTHORIZED,
            Self::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::CrossSite | Self::CsrfToken | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Path => StatusCode::BAD_REQUEST,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCredential | Self::BadCredential => "unauthenticated",
            Self::TooManyFailures { .. } => "too-many-failures",
            Self::CrossSite => "cross-site",
            Self::CsrfToken => "csrf",
            Self::NotFound(_) => "not-found",
            Self::Forbidden(_) => "forbidden",
            Self::Path => "malformed-path",
            Self::Failed(_) => "internal",
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound(_) => Self::NotFound(denied.to_string()),
            Denied::Role { .. } | Denied::Scope => Self::Forbidden(denied.to_string()),
            Denied::Store(source) => Self::Failed(source),
        }
    }
}
