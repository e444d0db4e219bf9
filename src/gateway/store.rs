//! Where the settings are kept.

use std::collections::BTreeMap;

use super::model::{Platform, Settings};
use crate::kernel::clock::Timestamp;
use crate::kernel::id::EnvironmentId;
use crate::kernel::name::HostName;
use crate::store::{Store, StoreError, Write, settings};
use crate::tenancy::access::Tenant;

/// The platform's own settings stand under this name.
const PLATFORM: &str = "gateway";

/// The settings of an app and of its hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfApp {
    pub app: Settings,
    pub hosts: BTreeMap<HostName, Settings>,
}

/// The settings of everybody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Everything {
    pub platform: Platform,
    pub apps: BTreeMap<EnvironmentId, OfApp>,
}

impl Everything {
    /// What applies on a host of an app.
    #[must_use]
    pub fn on(&self, environment: &EnvironmentId, host: &HostName) -> Settings {
        let Some(of_app) = self.apps.get(environment) else { return self.platform.defaults.clone() };
        let app = of_app.app.clone().over(&self.platform.defaults);
        of_app.hosts.get(host).cloned().unwrap_or_default().over(&app)
    }
}

/// The settings of one app.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_app(store: &Store, tenant: &Tenant, environment: &EnvironmentId) -> Result<OfApp, StoreError> {
    let tenant = tenant.id();
    let rows = sqlx::query!(
        r#"SELECT host AS "host: HostName", settings FROM gateway_settings WHERE tenant_id = ? AND environment_id = ?"#,
        tenant,
        environment
    )
    .fetch_all(store.read())
    .await?;
    let mut found = OfApp::default();
    for row in rows {
        found.take(row.host, read(&row.settings)?);
    }
    Ok(found)
}

/// The settings of everybody: for the route table.
///
/// # Errors
/// When the database cannot be read.
pub async fn everything(store: &Store) -> Result<Everything, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT environment_id AS "environment: EnvironmentId", host AS "host: HostName", settings FROM gateway_settings"#
    )
    .fetch_all(store.read())
    .await?;
    let mut all = Everything { platform: platform(store).await?, ..Everything::default() };
    for row in rows {
        all.apps.entry(row.environment).or_default().take(row.host, read(&row.settings)?);
    }
    Ok(all)
}

/// Stores the settings of an app, or of one of its hosts; empty ones leave no row.
///
/// # Errors
/// When the database cannot be written.
pub async fn put(
    tx: &mut Write,
    tenant: &Tenant,
    environment: &EnvironmentId,
    host: Option<&HostName>,
    settings: &Settings,
    (actor, now): (&str, Timestamp),
) -> Result<(), StoreError> {
    let tenant = tenant.id();
    sqlx::query!(
        "DELETE FROM gateway_settings WHERE tenant_id = ? AND environment_id = ? AND host IS ?",
        tenant,
        environment,
        host
    )
    .execute(&mut **tx)
    .await?;
    if settings.is_empty() {
        return Ok(());
    }
    let text = write(settings);
    sqlx::query!(
        "INSERT INTO gateway_settings (tenant_id, environment_id, host, settings, changed_by, changed_at) VALUES (?, ?, ?, ?, ?, ?)",
        tenant,
        environment,
        host,
        text,
        actor,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The platform's own settings.
///
/// # Errors
/// When the database cannot be read.
pub async fn platform(store: &Store) -> Result<Platform, StoreError> {
    settings::get(store, PLATFORM).await?.map_or_else(|| Ok(Platform::default()), |text| read(&text))
}

/// Stores the platform's own settings.
///
/// # Errors
/// When the database cannot be written.
pub async fn put_platform(tx: &mut Write, platform: &Platform) -> Result<(), StoreError> {
    settings::put(tx, PLATFORM, &write(platform)).await
}

impl OfApp {
    fn take(&mut self, host: Option<HostName>, settings: Settings) {
        match host {
            None => self.app = settings,
            Some(host) => drop(self.hosts.insert(host, settings)),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("settings of the gateway: {error}")))
}

fn write(settings: &impl serde::Serialize) -> String {
    serde_json::to_string(settings).expect("settings are representable as JSON")
}
