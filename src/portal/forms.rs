//! What a form says back: errors at their fields, and typed input that is never lost.

use std::collections::BTreeMap;

use crate::apps::AppError;

/// What is wrong with a form: at fields, or as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errors {
    /// Not of one field: a conflict, a busy app, a failed log-in.
    pub whole: Option<String>,
    fields: BTreeMap<String, String>,
}

impl Errors {
    /// One sentence for the form as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { whole: Some(message.into()), fields: BTreeMap::new() }
    }

    /// One wrong field.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// One more wrong field; the first message of a field stands.
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.fields.entry(field.to_owned()).or_insert_with(|| message.into());
    }

    /// The message at a field.
    pub(crate) fn at(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// Whether anything is wrong.
    pub(crate) fn any(&self) -> bool {
        self.whole.is_some() || !self.fields.is_empty()
    }

    /// A refusal by the platform: at its field when the form shows that field (under the name it has there),
    /// over the form else. Failures of the platform itself belong on the error page: they come back as `Err`.
    pub(crate) fn from_refusal(error: AppError, shown: &[(&str, &str)]) -> Result<Self, AppError> {
        match error {
            AppError::Internal { .. } | AppError::NotFound(_) => Err(error),
            AppError::Invalid { field, message } => Ok(match shown.iter().find(|(theirs, _)| *theirs == field) {
                Some((_, ours)) => Self::field(ours, message),
                None => Self::whole(message),
            }),
            AppError::Conflict(message) | AppError::Busy(message) => Ok(Self::whole(message)),
            AppError::TooManyFailures { .. } => Ok(Self::whole(error.to_string())),
        }
    }
}
