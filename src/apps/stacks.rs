//! What an app has beside its services: volumes and secrets.

use super::{AppError, AppPath, Apps, Caller, SecretView, VolumeView};
use crate::engine::ObservedVolume;
use crate::kernel::clock::Timestamp;
use crate::kernel::secret::Secret;
use crate::releases::store as releases;
use crate::stack::Service;
use crate::stack::model::ResourceName;
use crate::store::StoreError;
use crate::tenancy::store::{config, secrets};

/// Bytes of one secret.
const MOST_SECRET_BYTES: usize = 256 * 1024;

impl Apps {
    /// The volumes of an app, with what is in them.
    ///
    /// # Errors
    /// When there is no such app, or the engine does not answer.
    pub async fn volumes(&self, who: &Caller, app: &AppPath) -> Result<Vec<VolumeView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let seen = self.engine().volumes(true).await;
        let seen = seen.map_err(|e| AppError::internal("the volumes could not be read", e))?;
        let stack = match environment.serving_revision {
            Some(number) => releases::get(self.store(), &who.tenant, &environment.id, number).await?,
            None => None,
        };
        let stack = stack.map(|s| s.revision.stack).unwrap_or_default();
        let users = |name: &ResourceName| {
            let has = |s: &Service| s.mounts.iter().any(|m| m.volume == *name);
            stack.services.iter().filter(|(_, s)| has(s)).map(|(n, _)| n.to_string()).collect()
        };
        // Those of runs come and go with them.
        let is_own = |v: &ObservedVolume| {
            v.volume.environment == environment.id && crate::jobs::run_of_volume(&v.volume).is_none()
        };
        let own = seen.into_iter().filter(is_own);
        Ok(own
            .map(|v| VolumeView {
                services: users(&v.volume.name),
                name: v.volume.name.to_string(),
                size_bytes: v.size_bytes,
                in_use: v.in_use,
                created_at: v.created_at.map(Timestamp::rfc3339),
            })
            .collect())
    }

    /// The newest version of each secret.
    ///
    /// # Errors
    /// When there is no such app.
    pub async fn secrets(&self, who: &Caller, app: &AppPath) -> Result<Vec<SecretView>, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let all = secrets::newest(self.store(), &who.tenant, &environment.id).await?;
        Ok(all
            .into_iter()
            .map(|s| SecretView {
                name: s.name.to_string(),
                version: s.version,
                author: s.author,
                created_at: s.created_at.rfc3339(),
            })
            .collect())
    }

    /// Stores the next version of a secret, or its removal.
    ///
    /// # Errors
    /// When the name or the value cannot be taken, or a secret to be removed is not there.
    pub async fn set_secret(
        &self,
        who: &Caller,
        app: &AppPath,
        name: &str,
        value: Option<Secret<String>>,
    ) -> Result<SecretView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let name: ResourceName = name.parse().map_err(|e| AppError::invalid("name", e))?;
        if value.as_ref().is_some_and(|v| v.expose().len() > MOST_SECRET_BYTES) {
            let sentence = format!("a secret may have {} KiB", MOST_SECRET_BYTES / 1024);
            return Err(AppError::invalid("value", sentence));
        }
        let known = secrets::newest(self.store(), &who.tenant, &environment.id).await?;
        if value.is_none() && !known.iter().any(|s| s.name == name) {
            return Err(AppError::NotFound(format!("there is no secret `{name}`; see: wharf secrets")));
        }
        let bytes = value.map(|v| Secret::new(v.expose().clone().into_bytes()));
        let key = config::tenant_key(self.store(), &self.inner.vault, &who.tenant).await?;
        let now = self.now();
        let mut tx = self.store().write().await?;
        let of = &environment.id;
        let version = secrets::put(&mut tx, &key, &who.tenant, of, &name, bytes.as_ref(), &who.actor, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let author = who.actor.clone();
        Ok(SecretView { name: name.to_string(), version, author, created_at: now.rfc3339() })
    }
}
