//! Why something about certificates could not be done.

use std::path::PathBuf;

use thiserror::Error;

use crate::store::StoreError;
use crate::tenancy::vault::VaultError;

/// A failure of this room.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// What was handed in cannot be used; the sentence says why and what to do.
    #[error("{sentence}")]
    Refused { field: &'static str, sentence: String },
    /// What was named is not there.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in the present state.
    #[error("{0}")]
    Conflict(String),
    /// A file of the local authority could not be used.
    #[error("cannot use {path} of the local certificate authority: {reason}")]
    File { path: PathBuf, reason: String },
    /// A certificate or key could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(String),
    #[error("the certificates could not be read or written")]
    Store(#[from] StoreError),
    #[error("a stored key cannot be opened")]
    Vault(#[from] VaultError),
}

impl CertificateError {
    pub(super) fn refused(field: &'static str, sentence: impl Into<String>) -> Self {
        Self::Refused { field, sentence: sentence.into() }
    }
}
