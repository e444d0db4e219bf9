//! What people do to a rollout under way, and to a service that was left to them.

use super::view;
use super::{AppError, AppPath, Apps, Caller, RolloutCommand, RolloutView};
use crate::kernel::name::ServiceName;
use crate::releases::store as releases;
use crate::store::StoreError;

impl Apps {
    /// The release that is taking over, and how far it is; `None` when nothing is on its way.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn rollout(&self, who: &Caller, app: &AppPath) -> Result<Option<RolloutView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        Ok(self.scheduler().report(&environment.id).as_ref().and_then(view::rollout))
    }

    /// Pauses, resumes, promotes or aborts the rollout under way.
    ///
    /// # Errors
    /// When nothing is being rolled out, or it cannot be done to it now.
    pub async fn change_rollout(&self, who: &Caller, app: &AppPath, command: RolloutCommand) -> Result<(), AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let nothing = || AppError::Conflict(format!("nothing is being rolled out in `{}`", environment.display_name()));
        let desired = releases::desired(self.store(), &who.tenant, &environment.id).await?.ok_or_else(nothing)?;
        let (attempt, _) = desired.rollout().ok_or_else(nothing)?;
        let now = self.now();
        let mut tx = self.store().write().await?;
        let done =
            releases::change_progress(&mut tx, &who.tenant, &environment.id, attempt, |progress| match command {
                RolloutCommand::Pause => progress.pause(&who.actor, now),
                RolloutCommand::Resume => progress.resume(now),
                RolloutCommand::Promote { full } => progress.promote(full, now),
                RolloutCommand::Abort => {
                    progress.withdraw(&format!("aborted by {}", who.actor), now);
                    Ok(())
                }
            });
        let done = done.await?.ok_or_else(nothing)?;
        done.map_err(|reason| AppError::Conflict(format!("the rollout of v{}: {reason}", attempt.revision)))?;
        tx.commit().await.map_err(StoreError::from)?;
        self.scheduler().nudge();
        Ok(())
    }

    /// Lets a service be tried again that was left to a person.
    ///
    /// # Errors
    /// When there is no such app or service.
    pub async fn retry(&self, who: &Caller, app: &AppPath, service: &str) -> Result<(), AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?;
        let name: ServiceName = service.parse().map_err(|e| AppError::invalid("service", format!("{e}")))?;
        if !serving.revision.stack.services.contains_key(&name) {
            let known: Vec<String> = serving.revision.stack.services.keys().map(ToString::to_string).collect();
            let text = format!("there is no service `{service}`; this app has: {}", known.join(", "));
            return Err(AppError::NotFound(text));
        }
        self.scheduler().retry(&environment.id, &name);
        Ok(())
    }
}
