//! What the ingress does on an app's hosts, and on the platform as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{AppError, AppPath, Apps, Caller};
use crate::gateway::model::{Platform, Settings};
use crate::gateway::patch::{self, Refusal};
use crate::gateway::store::{self as gateway, OfApp};
use crate::kernel::name::HostName;
use crate::kernel::secret::Secret;
use crate::scheduler::{check_gateway, check_gateway_platform};
use crate::store::StoreError;
use crate::tenancy::credentials;
use crate::tenancy::store::domains;

/// The settings of one app or host, as JSON, may take so many bytes: every table carries them.
const MOST_BYTES: usize = 64 * 1024;
/// People who are let in by name and password.
const MOST_USERS: usize = 100;

/// What was set for an app, and what that comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GatewayView {
    /// For all hosts of the app.
    pub app: Settings,
    /// For single hosts; these go before those of the app.
    pub hosts: BTreeMap<String, Settings>,
    /// What applies on each host, the platform's defaults included.
    pub effective: BTreeMap<String, Settings>,
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { field, sentence } = refusal;
        let message = if sentence.contains(&field) { sentence } else { format!("`{field}`: {sentence}") };
        Self::invalid("settings", message)
    }
}

impl Apps {
    /// What was set for an app.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn gateway(&self, who: &Caller, app: &AppPath) -> Result<GatewayView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let hosts = domains::list(self.store(), &who.tenant, &environment.id).await?;
        let found = gateway::of_app(self.store(), &who.tenant, &environment.id).await?;
        let platform = gateway::platform(self.store()).await?;
        let all = gateway::Everything { platform, apps: [(environment.id.clone(), found.clone())].into() };
        let effective = hosts.iter().map(|d| (d.host.to_string(), all.on(&environment.id, &d.host).shown()));
        Ok(GatewayView {
            effective: effective.collect(),
            app: found.app.shown(),
            hosts: found.hosts.into_iter().map(|(host, settings)| (host.into(), settings.shown())).collect(),
        })
    }

    /// Changes the settings of an app or of one of its hosts by a JSON merge patch; it takes effect at once.
    ///
    /// # Errors
    /// When there is no such app or host, or what comes out cannot be used; then nothing is stored.
    pub async fn change_gateway(
        &self,
        who: &Caller,
        app: &AppPath,
        host: Option<&HostName>,
        change: Value,
    ) -> Result<GatewayView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        if let Some(host) = host {
            let all = domains::list(self.store(), &who.tenant, &environment.id).await?;
            if !all.iter().any(|domain| domain.host == *host) {
                let text = format!("this app has no domain `{host}`; add it first: wharf domains add {host}");
                return Err(AppError::NotFound(text));
            }
        }
        // Hashing takes its time: it is done before anything is locked.
        let change = self.with_hashes(change, &[]).await?;
        let mut tx = self.store().write().await?;
        let OfApp { app: of_app, mut hosts } = gateway::of_app(self.store(), &who.tenant, &environment.id).await?;
        let before = host.map_or(of_app, |host| hosts.remove(host).unwrap_or_default());
        let after: Settings = patch::apply::<Settings>(&before, change)?.tidy();
        usable(&after)?;
        let by = (who.actor.as_str(), self.now());
        gateway::put(&mut tx, &who.tenant, &environment.id, host, &after, by).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.scheduler().nudge();
        self.gateway(who, app).await
    }

    /// The settings of the whole data plane. For operators.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn platform_gateway(&self) -> Result<Platform, AppError> {
        Ok(shown(gateway::platform(self.store()).await?))
    }

    /// Changes the settings of the whole data plane by a JSON merge patch. For operators.
    ///
    /// # Errors
    /// When what comes out cannot be used; then nothing is stored.
    pub async fn change_platform_gateway(&self, change: Value) -> Result<Platform, AppError> {
        let change = self.with_hashes(change, &["defaults"]).await?;
        let mut tx = self.store().write().await?;
        let after: Platform = patch::apply(&gateway::platform(self.store()).await?, change)?;
        let after = Platform { defaults: after.defaults.tidy(), ..after };
        usable(&after.defaults)?;
        check_gateway_platform(&after).map_err(|reason| AppError::invalid("settings", said(&reason)))?;
        gateway::put_platform(&mut tx, &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.scheduler().nudge();
        Ok(shown(after))
    }

    /// A change with hashes in place of its passwords. `place`: the member that holds the settings of apps.
    async fn with_hashes(&self, mut change: Value, place: &[&str]) -> Result<Value, AppError> {
        let mut settings = &mut change;
        for name in place {
            let Some(inner) = settings.get_mut(name) else { return Ok(change) };
            settings = inner;
        }
        for (_, user, password) in patch::passwords(settings)? {
            let hash = credentials::hash_password(&Secret::new(password), self.random()).await;
            let hash = hash.map_err(|e| AppError::internal("the password could not be hashed", e))?;
            *user = serde_json::json!({ "hash": hash });
        }
        Ok(change)
    }
}

fn shown(platform: Platform) -> Platform {
    Platform { defaults: platform.defaults.shown(), ..platform }
}

fn usable(settings: &Settings) -> Result<(), AppError> {
    let bytes = serde_json::to_string(settings).map_or(usize::MAX, |text| text.len());
    if bytes > MOST_BYTES {
        let text = format!("these settings take {bytes} bytes; at most {MOST_BYTES} are allowed");
        return Err(AppError::invalid("settings", text));
    }
    let users = settings.basic_auth.as_ref().map_or(0, |basic| basic.users.len());
    if users > MOST_USERS {
        return Err(AppError::invalid("basic_auth", format!("{users} people are too many; at most {MOST_USERS}")));
    }
    check_gateway(settings).map_err(|reason| AppError::invalid("settings", said(&reason)))
}

fn said(reason: &str) -> String {
    format!("this cannot be used: {reason}")
}
