//! Changes that need no build: configuration, scale, restart, stop, start, rollback, cancel.

use std::collections::BTreeMap;

use super::{AppError, AppPath, Apps, Caller, ConfigChange, ConfigOutcome, ConfigView, OperationView, RevisionView};
use crate::kernel::id::OperationId;

#[expect(clippy::unused_async, unused_variables, reason = "the bodies land next")]
impl Apps {
    /// The configuration with its values.
    pub async fn config(&self, who: &Caller, app: &AppPath) -> Result<ConfigView, AppError> {
        unimplemented!()
    }

    /// Only the names of the configuration's variables.
    pub async fn config_names(&self, who: &Caller, app: &AppPath) -> Result<Vec<String>, AppError> {
        unimplemented!()
    }

    /// Sets and removes variables; rolls the change out unless told not to.
    pub async fn change_config(
        &self,
        who: &Caller,
        app: &AppPath,
        change: ConfigChange,
    ) -> Result<ConfigOutcome, AppError> {
        unimplemented!()
    }

    /// Sets how many instances of services are wanted.
    pub async fn scale(
        &self,
        who: &Caller,
        app: &AppPath,
        formation: BTreeMap<String, u32>,
    ) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Replaces all instances, one after another, without a gap.
    pub async fn restart(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Takes all instances down; the app stays.
    pub async fn stop(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Brings a stopped app back.
    pub async fn start(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// The releases, newest first.
    pub async fn revisions(&self, who: &Caller, app: &AppPath) -> Result<Vec<RevisionView>, AppError> {
        unimplemented!()
    }

    /// Applies an older revision, configuration included; the one before the serving one when none is named.
    pub async fn rollback(&self, who: &Caller, app: &AppPath, to: Option<i64>) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// The newest operations, newest first; `before` continues an earlier page.
    pub async fn operations(
        &self,
        who: &Caller,
        app: &AppPath,
        before: Option<OperationId>,
        limit: u32,
    ) -> Result<Vec<OperationView>, AppError> {
        unimplemented!()
    }

    /// One operation.
    pub async fn operation(&self, who: &Caller, app: &AppPath, id: &OperationId) -> Result<OperationView, AppError> {
        unimplemented!()
    }

    /// Asks a running operation to stop; it ends as cancelled, and what served before goes on.
    pub async fn cancel(&self, who: &Caller, app: &AppPath, id: &OperationId) -> Result<OperationView, AppError> {
        unimplemented!()
    }
}
