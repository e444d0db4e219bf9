//! Changes that need no build: scale, restart, stop, start, rollback, cancel.

use std::collections::BTreeMap;

use super::view;
use super::{AppError, AppPath, Apps, Caller, OperationView, RevisionView};
use crate::kernel::id::OperationId;
use crate::kernel::name::ServiceName;
use crate::operations::{BeginError, Kind, NewOperation, Operation};
use crate::pipelines::{Input, recovery::phase};
use crate::releases::{Kept, NewRevision, Progress, Stored, store as releases};
use crate::stack::quota;
use crate::store::{StoreError, Write};
use crate::tenancy::model::Environment;
use crate::tenancy::store::config;

/// Seconds a change without a build may take, before it is given up and what served before goes on.
const CHANGE_DEADLINE_SECONDS: i64 = 600;
/// Instances of one service at most.
const MOST_INSTANCES: u32 = 100;
/// Releases shown.
const MOST_REVISIONS: u32 = 100;

impl Apps {
    /// A new operation of this caller's.
    pub(super) fn new_operation(
        &self,
        who: &Caller,
        environment: &Environment,
        kind: Kind,
        phase: &'static str,
        input: &Input,
        deadline_seconds: i64,
    ) -> NewOperation {
        NewOperation {
            environment: environment.id.clone(),
            kind,
            exclusive: true,
            phase,
            actor: who.actor.clone(),
            cause: kind.as_str().to_owned(),
            input: input.to_json(),
            revision: None,
            deadline_seconds,
        }
    }

    /// Records an operation, or says what is in its way.
    pub(super) async fn begin(
        &self,
        tx: &mut Write,
        who: &Caller,
        environment: &Environment,
        new: NewOperation,
    ) -> Result<Operation, AppError> {
        self.operations_handle().begin(tx, &who.tenant, new).await.map_err(|e| match e {
            BeginError::Busy(active) => AppError::Busy(self.busy_sentence(&environment.display_name(), &active)),
            BeginError::Store(e) => e.into(),
        })
    }

    /// What somebody reads who comes second.
    #[must_use]
    pub fn busy_sentence(&self, app: &str, active: &Operation) -> String {
        format!(
            "`{app}` is being changed: {}. Wait until it is done, or cancel it: wharf ops cancel {}",
            active.describe(self.now()),
            active.id
        )
    }

    pub(super) async fn launch(&self, tx: Write, operation: Operation) -> Result<OperationView, AppError> {
        tx.commit().await.map_err(StoreError::from)?;
        let shown = view::operation(&operation);
        self.deployer().launch(operation);
        Ok(shown)
    }

    /// Stores a revision with the stack of another one, and the operation that rolls it out.
    #[expect(clippy::too_many_arguments, reason = "each is a different thing, and the three callers name them all")]
    pub(super) async fn begin_revision(
        &self,
        tx: &mut Write,
        who: &Caller,
        environment: &Environment,
        like: &Stored,
        config_version: i64,
        kind: Kind,
        message: &str,
    ) -> Result<Operation, AppError> {
        let new = NewRevision {
            environment: &environment.id,
            stack: &like.revision.stack,
            config_version,
            source_commit: like.revision.source_commit.as_deref(),
            author: &who.actor,
            message,
        };
        let number = releases::insert(tx, &who.tenant, new, self.now(), self.random()).await?;
        let config_before = environment.config_version;
        let input = Input::Revision { number, message: message.to_owned(), config_before };
        let mut operation = self.new_operation(who, environment, kind, phase::BUILD, &input, CHANGE_DEADLINE_SECONDS);
        operation.revision = Some(number);
        self.begin(tx, who, environment, operation).await
    }

    /// Sets how many instances of services are wanted.
    ///
    /// # Errors
    /// When a service does not exist or a number is too large, or something else is changing the app.
    pub async fn scale(
        &self,
        who: &Caller,
        app: &AppPath,
        formation: BTreeMap<String, u32>,
    ) -> Result<OperationView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?;
        let mut wanted = BTreeMap::new();
        for (name, replicas) in &formation {
            let service: ServiceName = name.parse().map_err(|e| AppError::invalid("formation", format!("{e}")))?;
            if !serving.revision.stack.services.contains_key(&service) {
                let known: Vec<String> = serving.revision.stack.services.keys().map(ToString::to_string).collect();
                return Err(AppError::invalid(
                    "formation",
                    format!("there is no service `{name}`; this app has: {}", known.join(", ")),
                ));
            }
            if *replicas > MOST_INSTANCES {
                return Err(AppError::invalid(
                    "formation",
                    format!("`{name}={replicas}`: at most {MOST_INSTANCES} instances are allowed"),
                ));
            }
            wanted.insert(service, *replicas);
        }
        if wanted.is_empty() {
            return Err(AppError::invalid("formation", "say what to scale, such as web=2"));
        }
        let text: Vec<String> = wanted.iter().map(|(s, n)| format!("{s}={n}")).collect();
        let input = Input::Settle { message: format!("scaled to {}", text.join(" ")) };
        let mut tx = self.store().write().await?;
        let new = self.new_operation(who, &environment, Kind::Scale, phase::SETTLE, &input, CHANGE_DEADLINE_SECONDS);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        let mut formation = releases::every_formation(self.store()).await?.remove(&environment.id).unwrap_or_default();
        formation.extend(wanted.clone());
        let needed =
            quota::steady(&serving.revision.stack, |name, s| formation.get(name).copied().unwrap_or(s.replicas));
        if let Err(exceeded) = releases::reserve(&mut tx, &who.tenant, &environment.id, needed).await? {
            return Err(AppError::Conflict(format!("there is no room for that: {exceeded}")));
        }
        for (service, replicas) in &wanted {
            releases::set_formation(&mut tx, &who.tenant, &environment.id, service, *replicas).await?;
        }
        self.launch(tx, operation).await
    }

    /// What serves, or that nothing was deployed.
    pub(super) async fn serving(&self, who: &Caller, environment: &Environment) -> Result<Stored, AppError> {
        let nothing = || {
            AppError::Conflict(format!(
                "nothing is deployed to `{}` yet; deploy something first",
                environment.display_name()
            ))
        };
        let number = environment.serving_revision.ok_or_else(nothing)?;
        releases::get(self.store(), &who.tenant, &environment.id, number).await?.ok_or_else(nothing)
    }

    /// Replaces all instances, one after another, without a gap.
    ///
    /// # Errors
    /// When nothing is deployed, or something else is changing the app.
    pub async fn restart(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?;
        let revision = serving.revision.number;
        let mut tx = self.store().write().await?;
        // Nothing is kept: whoever says restart wants fresh instances of everything.
        let how = (&Kept::new(), &Progress::begin(&who.actor, Kind::Restart.as_str(), false));
        let attempt = releases::set_target(&mut tx, &who.tenant, &environment.id, revision, how, self.now()).await?;
        let input = Input::Attempt { revision, generation: attempt.generation, message: "restart".to_owned() };
        let mut new =
            self.new_operation(who, &environment, Kind::Restart, phase::ROLLOUT, &input, CHANGE_DEADLINE_SECONDS);
        new.revision = Some(revision);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        self.launch(tx, operation).await
    }

    /// Takes all instances down; the app stays.
    ///
    /// # Errors
    /// When something else is changing the app.
    pub async fn stop(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        self.set_stopped(who, app, true).await
    }

    /// Brings a stopped app back.
    ///
    /// # Errors
    /// When nothing is deployed, or something else is changing the app.
    pub async fn start(&self, who: &Caller, app: &AppPath) -> Result<OperationView, AppError> {
        self.set_stopped(who, app, false).await
    }

    async fn set_stopped(&self, who: &Caller, app: &AppPath, stopped: bool) -> Result<OperationView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        self.serving(who, &environment).await?;
        let (kind, message) = if stopped { (Kind::Stop, "stopped") } else { (Kind::Start, "started") };
        let mut tx = self.store().write().await?;
        let input = Input::Settle { message: format!("{} is {message}", environment.display_name()) };
        let new = self.new_operation(who, &environment, kind, phase::SETTLE, &input, CHANGE_DEADLINE_SECONDS);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        releases::set_stopped(&mut tx, &who.tenant, &environment.id, stopped).await?;
        self.launch(tx, operation).await
    }

    /// The releases, newest first.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn revisions(&self, who: &Caller, app: &AppPath) -> Result<Vec<RevisionView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all = releases::list(self.store(), &who.tenant, &environment.id, MOST_REVISIONS).await?;
        Ok(view::revisions(&all, environment.serving_revision))
    }

    /// Applies an older revision, configuration included; the one before the serving one when none is named.
    ///
    /// # Errors
    /// When there is no such revision or it never served, or something else is changing the app.
    pub async fn rollback(&self, who: &Caller, app: &AppPath, to: Option<i64>) -> Result<OperationView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let serving = self.serving(who, &environment).await?.revision.number;
        let all = releases::list(self.store(), &who.tenant, &environment.id, MOST_REVISIONS).await?;
        let wanted = match to {
            Some(number) => all.iter().find(|s| s.revision.number == number).ok_or_else(|| {
                AppError::NotFound(format!(
                    "there is no release v{number} any more; `wharf releases` lists those that are kept"
                ))
            })?,
            None => all.iter().find(|s| s.revision.number < serving && s.failed_reason.is_none()).ok_or_else(|| {
                AppError::Conflict(format!(
                    "v{serving} is the oldest release that ever served; there is nothing to go back to"
                ))
            })?,
        };
        let number = wanted.revision.number;
        if number == serving {
            return Err(AppError::Conflict(format!("v{number} is what serves already")));
        }
        if let Some(reason) = &wanted.failed_reason {
            return Err(AppError::Conflict(format!("v{number} never served: {reason}")));
        }
        let mut tx = self.store().write().await?;
        let config_before = environment.config_version;
        let input = Input::Revision { number, message: format!("roll back to v{number}"), config_before };
        let mut new =
            self.new_operation(who, &environment, Kind::Rollback, phase::BUILD, &input, CHANGE_DEADLINE_SECONDS);
        new.revision = Some(number);
        let operation = self.begin(&mut tx, who, &environment, new).await?;
        config::make_current(&mut tx, &who.tenant, &environment.id, wanted.revision.config_version).await?;
        self.launch(tx, operation).await
    }

    /// The newest operations, newest first; `before` continues an earlier page.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn operations(
        &self,
        who: &Caller,
        app: &AppPath,
        before: Option<OperationId>,
        limit: u32,
    ) -> Result<Vec<OperationView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all =
            self.operations_handle().list(&who.tenant, &environment.id, before.as_ref(), limit.clamp(1, 100)).await?;
        Ok(all.iter().map(view::operation).collect())
    }

    /// One operation.
    ///
    /// # Errors
    /// When this app has no such operation.
    pub async fn operation(&self, who: &Caller, app: &AppPath, id: &OperationId) -> Result<OperationView, AppError> {
        Ok(view::operation(&self.own_operation(who, app, id).await?))
    }

    pub(super) async fn own_operation(
        &self,
        who: &Caller,
        app: &AppPath,
        id: &OperationId,
    ) -> Result<Operation, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let found = self.operations_handle().get(&who.tenant, id).await?.filter(|o| o.environment == environment.id);
        found.ok_or_else(|| AppError::NotFound(format!("`{}` has no operation {id}", environment.display_name())))
    }

    /// Asks a running operation to stop; it ends as cancelled, and what served before goes on.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn cancel(&self, who: &Caller, app: &AppPath, id: &OperationId) -> Result<OperationView, AppError> {
        let operation = self.own_operation(who, app, id).await?;
        if operation.state.is_final() {
            return Err(AppError::Conflict(format!("this operation has ended already: {}", operation.state.as_str())));
        }
        if operation.kind == Kind::Job {
            self.jobs_room().cancel(&who.tenant, id, &who.actor).await?;
            return Ok(view::operation(&self.operations_handle().wait(&who.tenant, id).await?));
        }
        if !self.operations_handle().cancel(id) {
            return Err(AppError::Conflict(
                "this operation is being taken up after a restart; try again in a moment".to_owned(),
            ));
        }
        Ok(view::operation(&self.operations_handle().wait(&who.tenant, id).await?))
    }
}
