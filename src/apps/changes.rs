//! Changes that need no build: configuration, scale, restart, stop, start, rollback, cancel.

use std::collections::BTreeMap;

use super::view;
use super::{AppError, AppPath, Apps, Caller, ConfigChange, ConfigOutcome, ConfigView, OperationView, RevisionView};
use crate::kernel::id::OperationId;
use crate::kernel::name::{ServiceName, VariableName};
use crate::kernel::secret::Secret;
use crate::operations::{BeginError, Kind, NewOperation, Operation};
use crate::pipelines::{Input, recovery::phase};
use crate::releases::{NewRevision, Stored, store as releases};
use crate::store::{StoreError, Write};
use crate::tenancy::model::Environment;
use crate::tenancy::store::config;

/// Seconds a change without a build may take, before it is given up and what served before goes on.
const CHANGE_DEADLINE_SECONDS: i64 = 600;
/// Instances of one service at most.
const MOST_INSTANCES: u32 = 100;
/// Variables, and bytes of all of them together.
const MOST_VARIABLES: usize = 500;
const MOST_CONFIG_BYTES: usize = 256 * 1024;
/// Names the platform sets itself.
const RESERVED_VARIABLES: [&str; 1] = ["PORT"];
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

    async fn launch(&self, tx: Write, operation: Operation) -> Result<OperationView, AppError> {
        tx.commit().await.map_err(StoreError::from)?;
        let shown = view::operation(&operation);
        self.deployer().launch(operation);
        Ok(shown)
    }

    /// The configuration with its values.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn config(&self, who: &Caller, app: &AppPath) -> Result<ConfigView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let values = self.config_values(who, &environment, environment.config_version).await?;
        let values = values.into_iter().map(|(name, value)| (name, value.expose().clone())).collect();
        Ok(ConfigView { version: environment.config_version, values })
    }

    /// Only the names of the configuration's variables.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn config_names(&self, who: &Caller, app: &AppPath) -> Result<Vec<String>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let versions = config::versions(self.store(), &who.tenant, &environment.id).await?;
        Ok(versions.into_iter().find(|v| v.version == environment.config_version).map(|v| v.names).unwrap_or_default())
    }

    async fn config_values(
        &self,
        who: &Caller,
        environment: &Environment,
        version: i64,
    ) -> Result<config::Values, AppError> {
        let key = config::tenant_key(self.store(), &self.inner.vault, &who.tenant).await?;
        Ok(config::values(self.store(), &key, &who.tenant, &environment.id, version).await?)
    }

    /// Sets and removes variables; rolls the change out unless told not to.
    ///
    /// # Errors
    /// When a name or the size is not allowed, or something else is changing the app; then nothing is stored.
    pub async fn change_config(
        &self,
        who: &Caller,
        app: &AppPath,
        change: ConfigChange,
    ) -> Result<ConfigOutcome, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let before = self.config_values(who, &environment, environment.config_version).await?;
        let after = apply(before.clone(), &change)?;
        if after == before {
            return Ok(ConfigOutcome { version: environment.config_version, operation: None });
        }
        let key = config::tenant_key(self.store(), &self.inner.vault, &who.tenant).await?;
        let serving = match environment.serving_revision.filter(|_| !change.no_restart) {
            Some(number) => releases::get(self.store(), &who.tenant, &environment.id, number).await?,
            None => None,
        };
        let mut tx = self.store().write().await?;
        let version = config::put(&mut tx, &key, &who.tenant, &environment.id, &after, &who.actor, self.now()).await?;
        let Some(serving) = serving else {
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(ConfigOutcome { version, operation: None });
        };
        let message = describe(&change);
        let operation =
            self.begin_revision(&mut tx, who, &environment, &serving, version, Kind::Config, &message).await?;
        Ok(ConfigOutcome { version, operation: Some(self.launch(tx, operation).await?) })
    }

    /// Stores a revision with the stack of another one, and the operation that rolls it out.
    #[expect(clippy::too_many_arguments, reason = "each is a different thing, and the three callers name them all")]
    async fn begin_revision(
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
        let attempt = releases::set_target(&mut tx, &who.tenant, &environment.id, revision, self.now()).await?;
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
        if !self.operations_handle().cancel(id) {
            return Err(AppError::Conflict(
                "this operation is being taken up after a restart; try again in a moment".to_owned(),
            ));
        }
        Ok(view::operation(&self.operations_handle().wait(&who.tenant, id).await?))
    }
}

/// The configuration after a change.
fn apply(mut values: config::Values, change: &ConfigChange) -> Result<config::Values, AppError> {
    for name in &change.unset {
        if values.remove(name).is_none() {
            return Err(AppError::invalid("unset", format!("there is no variable `{name}`")));
        }
    }
    for (name, value) in &change.set {
        let name: VariableName = name.parse().map_err(|e| AppError::invalid("set", format!("{e}")))?;
        if RESERVED_VARIABLES.contains(&name.as_str()) || name.as_str().starts_with("WHARF_") {
            return Err(AppError::invalid(
                "set",
                format!("`{}` is set by the platform and cannot be changed", name.as_str()),
            ));
        }
        if value.contains('\0') {
            return Err(AppError::invalid("set", format!("the value of `{}` holds a NUL byte", name.as_str())));
        }
        values.insert(name.as_str().to_owned(), Secret::new(value.clone()));
    }
    let bytes: usize = values.iter().map(|(n, v)| n.len() + v.expose().len()).sum();
    if values.len() > MOST_VARIABLES || bytes > MOST_CONFIG_BYTES {
        return Err(AppError::invalid(
            "set",
            format!(
                "that would be {} variables with {bytes} bytes; at most {MOST_VARIABLES} with {MOST_CONFIG_BYTES} bytes are allowed",
                values.len()
            ),
        ));
    }
    Ok(values)
}

/// `set A, B; unset C`: names only, never values.
fn describe(change: &ConfigChange) -> String {
    let mut parts = Vec::new();
    if !change.set.is_empty() {
        parts.push(format!("set {}", change.set.keys().cloned().collect::<Vec<_>>().join(", ")));
    }
    if !change.unset.is_empty() {
        parts.push(format!("unset {}", change.unset.join(", ")));
    }
    parts.join("; ")
}
