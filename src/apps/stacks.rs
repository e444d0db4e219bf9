//! The architecture of an app: what a manifest would change, what differs between revisions, volumes and secrets.

use std::path::Path;

use tokio::io::AsyncRead;

use super::{
    AppError, AppPath, Apps, Before, Caller, ChangeView, DiffView, PlanBase, PlanView, PlannedService, SecretView,
    VolumeView,
};
use crate::builds::archive;
use crate::kernel::clock::Timestamp;
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::kernel::secret::Secret;
use crate::pipelines::Request;
use crate::releases::store as releases;
use crate::stack::compose::{Outcome, Severity, excerpt};
use crate::stack::diff::{Change, diff};
use crate::stack::model::{Origin, ResourceName};
use crate::stack::{Service, Stack};
use crate::store::StoreError;
use crate::tenancy::store::{config, secrets};

/// Bytes of one secret.
const MOST_SECRET_BYTES: usize = 256 * 1024;

impl Apps {
    /// What leads from one revision to another.
    ///
    /// # Errors
    /// When one of them is not stored.
    pub async fn diff(&self, who: &Caller, app: &AppPath, from: i64, to: i64) -> Result<DiffView, AppError> {
        let environment = self.environment(&who.tenant, app).await?;
        let missing = |n: i64| AppError::NotFound(format!("there is no release v{n}; see: wharf revisions"));
        let get = |n: i64| releases::get(self.store(), &who.tenant, &environment.id, n);
        let old = get(from).await?.ok_or_else(|| missing(from))?.revision;
        let new = get(to).await?.ok_or_else(|| missing(to))?.revision;
        let mut changes: Vec<ChangeView> = diff(&old.stack, &new.stack).into_iter().map(change).collect();
        if old.config_version != new.config_version {
            let text = format!("configuration {} → {}", old.config_version, new.config_version);
            changes.push(ChangeView { subject: "stack".to_owned(), text });
        }
        Ok(DiffView { from, to, changes })
    }

    /// What applying the manifest of these sources would change. Changes nothing, builds nothing.
    ///
    /// # Errors
    /// When the archive is broken or too large, or the manifest has an error.
    pub async fn plan<R>(&self, who: &Caller, app: &AppPath, request: Request, source: R) -> Result<PlanView, AppError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let environment = self.environment(&who.tenant, app).await?;
        let path = self.deployer().source_path(&OperationId::new(self.now(), self.random()));
        let folder = path.with_extension("");
        let read = async {
            self.store_source(&path, source).await?;
            unpack(&path, &folder, self.deployer().source_limit()).await?;
            let values = self.config_values(who, &environment, environment.config_version).await?;
            let outcome = request.read(&folder, &values, false).await;
            outcome.map_err(|e| AppError::internal("the manifest could not be read", e))
        };
        let outcome = read.await;
        // Leftovers of a crash are removed at the next start.
        let _ = tokio::fs::remove_file(&path).await;
        let _ = tokio::fs::remove_dir_all(&folder).await;
        let (mut stack, warnings) = judged(outcome?)?;
        stack.origin = Origin::Manifest;
        let serving = match environment.serving_revision {
            Some(number) => releases::get(self.store(), &who.tenant, &environment.id, number).await?,
            None => None,
        };
        let old = serving.map(|s| s.revision.stack).unwrap_or_default();
        pin_alike(&mut stack, &old);
        let drift = self.scheduler().report(&environment.id).map(|r| r.waits).unwrap_or_default();
        Ok(PlanView {
            base: PlanBase { revision: environment.serving_revision, config_version: environment.config_version },
            changes: diff(&old, &stack).into_iter().map(change).collect(),
            services: services(&old, &stack),
            memory_mib: Before {
                before: total(&old, |s| s.limits.memory_mib),
                after: total(&stack, |s| s.limits.memory_mib),
            },
            cpu_millis: Before {
                before: total(&old, |s| s.limits.cpu_millis),
                after: total(&stack, |s| s.limits.cpu_millis),
            },
            drift,
            warnings,
        })
    }

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
        let own = seen.into_iter().filter(|v| v.volume.environment == environment.id);
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

async fn unpack(source: &Path, folder: &Path, limit: u64) -> Result<(), AppError> {
    let (source, folder) = (source.to_owned(), folder.to_owned());
    let limits = archive::Limits { total_bytes: limit, ..archive::Limits::default() };
    let unpacked = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let file = std::fs::File::open(&source).map_err(|e| e.to_string())?;
        archive::unpack(std::io::BufReader::new(file), &folder, &limits).map_err(|e| chain(&e))
    });
    let unpacked = unpacked.await.map_err(|e| AppError::internal("the source could not be unpacked", e))?;
    unpacked.map(drop).map_err(|sentence| AppError::invalid("body", sentence))
}

/// The stack and what is to be said about it, or all that is wrong.
fn judged(outcome: Outcome) -> Result<(Stack, Vec<String>), AppError> {
    let texts = |severity: Severity| {
        let found = outcome.findings.iter().filter(move |f| f.severity == severity);
        found.map(|f| excerpt::render(f, &outcome.files, false)).collect::<Vec<_>>()
    };
    let (errors, warnings) = (texts(Severity::Error), texts(Severity::Warning));
    match outcome.manifest {
        Some(manifest) => Ok((manifest.stack, warnings)),
        None => Err(AppError::invalid("manifest", format!("the manifest cannot be applied:\n{}", errors.join("\n")))),
    }
}

/// Images are pinned when they are built or fetched. Until then, what is described alike counts as the same.
fn pin_alike(stack: &mut Stack, old: &Stack) {
    for (name, service) in &mut stack.services {
        let Some(before) = old.services.get(name) else { continue };
        if before.build == service.build && (service.build.is_some() || before.image.name == service.image.name) {
            service.image = before.image.clone();
        }
    }
}

fn services(old: &Stack, new: &Stack) -> Vec<PlannedService> {
    let source = |s: &Service| match &s.build {
        Some(build) if build.context.is_empty() => "build .".to_owned(),
        Some(build) => format!("build {}", build.context),
        None => s.image.name.clone(),
    };
    let one = |name: &crate::kernel::name::ServiceName, service: &Service, change: &str| PlannedService {
        name: name.to_string(),
        change: change.to_owned(),
        source: source(service),
        instances: service.replicas,
    };
    let there = new.services.iter().map(|(name, service)| {
        let change = match old.services.get(name) {
            None => "added",
            Some(before) if before == service => "unchanged",
            Some(_) => "replaced",
        };
        one(name, service, change)
    });
    let gone = old.services.iter().filter(|(name, _)| !new.services.contains_key(*name));
    there.chain(gone.map(|(name, service)| one(name, service, "removed"))).collect()
}

fn total(stack: &Stack, of: impl Fn(&Service) -> u32) -> u64 {
    stack.services.values().map(|s| u64::from(s.replicas) * u64::from(of(s))).sum()
}

fn change(change: Change) -> ChangeView {
    ChangeView { subject: change.subject, text: change.text }
}
