//! Why a verb was refused, for people and for programs.

use thiserror::Error;

use crate::kernel::name::NameError;
use crate::store::StoreError;

/// A refusal. `Display` is a full sentence for people.
#[derive(Debug, Error)]
pub enum AppError {
    /// What was named is not there (or not the caller's).
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in the present state.
    #[error("{0}")]
    Conflict(String),
    /// Another operation is changing this app.
    #[error("{0}")]
    Busy(String),
    /// Too many wrong passwords came; trying again makes sense after so many seconds.
    #[error("too many failed tries; wait {seconds} s and try again")]
    TooManyFailures { seconds: i64 },
    /// The input is wrong: which field, and why.
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    /// The platform itself failed.
    #[error("{context}")]
    Internal {
        context: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AppError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Busy(_) => "busy",
            Self::TooManyFailures { .. } => "too-many-failures",
            Self::Invalid { .. } => "invalid",
            Self::Internal { .. } => "internal",
        }
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::Conflict(_) | Self::Busy(_) => 409,
            Self::TooManyFailures { .. } => 429,
            Self::Invalid { .. } => 422,
            Self::Internal { .. } => 500,
        }
    }

    /// A wrong input.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    /// A failure of the platform, with what it was doing.
    pub fn internal(context: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal { context, source: Box::new(source) }
    }
}

impl From<StoreError> for AppError {
    fn from(source: StoreError) -> Self {
        Self::internal("the platform's database could not be used", source)
    }
}

impl From<NameError> for AppError {
    fn from(error: NameError) -> Self {
        Self::Invalid { field: "name", message: error.to_string() }
    }
}
