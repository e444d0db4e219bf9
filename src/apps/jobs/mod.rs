//! Jobs and workflows: list them, start, watch, cancel and hold them.

mod model;

use std::collections::BTreeMap;

pub use model::{
    JobAttemptView, JobParameterView, JobRunDetail, JobRunView, JobScheduleView, JobStart, JobStepView, JobView,
};

use super::{AppError, AppPath, Apps, Caller};
use crate::jobs::{Definition, Kind, Run, StartError, Subject};
use crate::releases::{Stored, store as releases};
use crate::tenancy::model::Environment;

/// Runs shown of one job.
const MOST_RUNS: u32 = 1_000;

impl Apps {
    /// All jobs and workflows of what serves, with their next and their last runs.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn jobs(&self, who: &Caller, app: &AppPath) -> Result<Vec<JobView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let Some(serving) = self.serving_if_any(who, &environment).await? else { return Ok(Vec::new()) };
        let stopped = releases::desired(self.store(), &who.tenant, &environment.id).await?.is_some_and(|d| d.stopped);
        let all = self.jobs_room().list(&who.tenant, &environment.id, &serving.revision.stack, stopped).await?;
        Ok(all.iter().map(JobView::of).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn job(&self, who: &Caller, app: &AppPath, name: &str) -> Result<JobView, AppError> {
        let all = self.jobs(who, app).await?;
        let known: Vec<String> = all.iter().map(|j| j.name.clone()).collect();
        all.into_iter().find(|j| j.name == name).ok_or_else(|| no_such_job(name, &known))
    }

    /// The newest runs of a job or workflow, newest first.
    ///
    /// # Errors
    /// When there is none of this name, and never was.
    pub async fn job_runs(&self, who: &Caller, app: &AppPath, name: &str) -> Result<Vec<JobRunView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let (subject, _) = self.subject(who, &environment, name).await?;
        let all = self.jobs_room().history(&who.tenant, &environment.id, &subject, MOST_RUNS).await?;
        Ok(all.iter().map(JobRunView::of).collect())
    }

    /// One run with its steps and their tries.
    ///
    /// # Errors
    /// When there is no such run, or it was forgotten.
    pub async fn job_run(
        &self,
        who: &Caller,
        app: &AppPath,
        name: &str,
        number: i64,
    ) -> Result<JobRunDetail, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let (subject, _) = self.subject(who, &environment, name).await?;
        let found = self.jobs_room().look(&who.tenant, &environment.id, &subject, number).await?;
        let (run, attempts, decision) = found.ok_or_else(|| no_such_run(&subject, number))?;
        Ok(JobRunDetail::of(&run, &attempts, &decision))
    }

    /// Starts a run of what serves.
    ///
    /// # Errors
    /// When there is no such job, a parameter is wrong or missing, the app is stopped, or a run is under way that must
    /// end first.
    pub async fn start_job(
        &self,
        who: &Caller,
        app: &AppPath,
        name: &str,
        start: JobStart,
    ) -> Result<JobRunView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?;
        let (_, definition) = self.subject(who, &environment, name).await?;
        let definition = definition.ok_or_else(|| {
            AppError::NotFound(format!("v{} has no job or workflow `{name}` any more", serving.revision.number))
        })?;
        let desired = releases::desired(self.store(), &who.tenant, &environment.id).await?;
        if desired.is_some_and(|d| d.stopped || d.destroyed) {
            let name = environment.display_name();
            return Err(AppError::Conflict(format!("`{name}` is stopped; start it first: wharf ps start")));
        }
        let number = serving.revision.number;
        let parameters: BTreeMap<String, String> = start.parameters;
        let started =
            self.jobs_room().start(&who.tenant, &environment.id, &definition, number, parameters, &who.actor).await;
        started.map(|run| JobRunView::of(&run)).map_err(|error| match error {
            StartError::Invalid(reason) => AppError::invalid("parameters", reason),
            StartError::Busy(reason) => AppError::Conflict(format!(
                "{} cannot start: {reason}. Wait for its end, or cancel it: wharf jobs cancel {name}",
                definition.subject
            )),
            StartError::Store(error) => error.into(),
        })
    }

    /// Tells a run to stop; the newest one under way when none is named.
    ///
    /// # Errors
    /// When there is no such run, or it has ended.
    pub async fn cancel_job(
        &self,
        who: &Caller,
        app: &AppPath,
        name: &str,
        number: i64,
    ) -> Result<JobRunView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let (subject, _) = self.subject(who, &environment, name).await?;
        let found = self.jobs_room().look(&who.tenant, &environment.id, &subject, number).await?;
        let (run, ..) = found.ok_or_else(|| no_such_run(&subject, number))?;
        if run.state.is_final() {
            let state = run.state.as_str();
            return Err(AppError::Conflict(format!("run {number} of {subject} has ended already: {state}")));
        }
        self.jobs_room().cancel(&who.tenant, &run.id, &who.actor).await?;
        Ok(JobRunView::of(&Run { cancelled_by: Some(who.actor.clone()), ..run }))
    }

    /// Holds the schedule of a job or workflow, or lets it go on.
    ///
    /// # Errors
    /// When there is none of this name, or it has no schedule.
    pub async fn suspend_job(&self, who: &Caller, app: &AppPath, name: &str, hold: bool) -> Result<(), AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let (subject, definition) = self.subject(who, &environment, name).await?;
        if definition.as_ref().is_none_or(|d| d.schedule.is_none()) {
            return Err(AppError::Conflict(format!("the {subject} has no schedule")));
        }
        let by = hold.then_some(who.actor.as_str());
        if !self.jobs_room().suspend(&who.tenant, &environment.id, &subject, by).await? {
            let text = format!("the schedule of the {subject} is being taken up; try again in a few seconds");
            return Err(AppError::Conflict(text));
        }
        Ok(())
    }

    async fn serving_if_any(&self, who: &Caller, environment: &Environment) -> Result<Option<Stored>, AppError> {
        match environment.serving_revision {
            Some(number) => Ok(releases::get(self.store(), &who.tenant, &environment.id, number).await?),
            None => Ok(None),
        }
    }

    /// What a name means: something that serves, or something that has run.
    async fn subject(
        &self,
        who: &Caller,
        environment: &Environment,
        name: &str,
    ) -> Result<(Subject, Option<Definition>), AppError> {
        let serving = self.serving_if_any(who, environment).await?;
        let all = serving.map(|s| crate::jobs::program::definitions(&s.revision.stack)).unwrap_or_default();
        if let Some(found) = all.iter().find(|d| d.subject.name == name) {
            return Ok((found.subject.clone(), Some(found.clone())));
        }
        for kind in [Kind::Job, Kind::Workflow] {
            let subject = Subject { kind, name: name.to_owned() };
            if !self.jobs_room().history(&who.tenant, &environment.id, &subject, 1).await?.is_empty() {
                return Ok((subject, None));
            }
        }
        Err(no_such_job(name, &all.iter().map(|d| d.subject.name.clone()).collect::<Vec<_>>()))
    }
}

fn no_such_job(name: &str, known: &[String]) -> AppError {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    AppError::NotFound(format!("there is no job or workflow `{name}`; this app has: {known}"))
}

fn no_such_run(subject: &Subject, number: i64) -> AppError {
    AppError::NotFound(format!("there is no run {number} of the {subject}, or it is too old and was forgotten"))
}
