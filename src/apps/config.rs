//! The configuration (environment variables) of an app.

use super::{AppError, AppPath, Apps, Caller, ConfigChange, ConfigOutcome, ConfigView};
use crate::kernel::name::VariableName;
use crate::kernel::secret::Secret;
use crate::operations::Kind;
use crate::releases::store as releases;
use crate::store::StoreError;
use crate::tenancy::model::Environment;
use crate::tenancy::store::config;

/// Variables, and bytes of all of them together.
const MOST_VARIABLES: usize = 500;
const MOST_CONFIG_BYTES: usize = 256 * 1024;
/// Names the platform sets itself.
const RESERVED_VARIABLES: [&str; 1] = ["PORT"];

impl Apps {
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

    pub(super) async fn config_values(
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
