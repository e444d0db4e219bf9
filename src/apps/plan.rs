//! What applying a manifest would change, and what differs between revisions. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use tokio::io::AsyncRead;

use super::{
    AmountsView, AppError, AppPath, Apps, Caller, ChangeView, DemandView, DiffView, PlanBase, PlanView, PlannedService,
};
use crate::builds::archive;
use crate::kernel::error::chain;
use crate::kernel::id::OperationId;
use crate::kernel::machine;
use crate::kernel::name::ServiceName;
use crate::kernel::secret::Secret;
use crate::pipelines::Request;
use crate::releases::{Stored, store as releases};
use crate::stack::compose::{Manifest, Outcome, Severity, excerpt};
use crate::stack::diff::{Change, Demand, Difference, Effect, Resources, diff};
use crate::stack::model::{Origin, ResourceName};
use crate::stack::{Service, Stack};
use crate::tenancy::model::Environment;
use crate::tenancy::store::{config, secrets};

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
        let versions = (old.config_version, new.config_version);
        for name in self.changed(who, &environment, versions).await? {
            let (subject, aspect, effect) = ("stack".to_owned(), "environment".to_owned(), "none".to_owned());
            changes.push(ChangeView { subject, text: format!("configuration {name} changes"), aspect, effect });
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
        let values = self.config_values(who, &environment, environment.config_version).await?;
        let outcome = self.read_source(&request, &values, source).await?;
        let (Manifest { mut stack, supplied, .. }, mut notes) = judged(outcome)?;
        stack.origin = Origin::Manifest;
        let serving = self.newest_serving(who, &environment).await?;
        let versions = serving.as_ref().map(|s| (s.revision.config_version, environment.config_version));
        let mut changed = self.changed(who, &environment, versions.unwrap_or_default()).await?;
        made_up(&stack, &values, &mut changed, &mut notes)?;
        self.pin_secrets_alike(who, &environment, &mut stack, supplied, &values, &mut notes).await?;
        let old = serving.map(|s| s.revision.stack);
        pin_images_alike(&mut stack, old.as_ref());
        let free = machine::free().map(|f| Resources { cpu_millis: f.cpu_millis, memory_mib: f.memory_mib });
        let difference = Difference::between(old.as_ref(), &stack, &changed, free);
        let report = self.scheduler().report(&environment.id);
        Ok(PlanView {
            base: PlanBase { revision: environment.serving_revision, config_version: environment.config_version },
            services: services(&old.unwrap_or_default(), &stack, &difference.services),
            changes: difference.changes.into_iter().map(change).collect(),
            demand: demand(&difference.demand),
            drift: report.map(|r| r.waits).unwrap_or_default(),
            warnings: notes,
        })
    }

    async fn newest_serving(&self, who: &Caller, environment: &Environment) -> Result<Option<Stored>, AppError> {
        match environment.serving_revision {
            Some(number) => Ok(releases::get(self.store(), &who.tenant, &environment.id, number).await?),
            None => Ok(None),
        }
    }

    /// The names of the variables that differ between two versions of the configuration.
    async fn changed(
        &self,
        who: &Caller,
        environment: &Environment,
        versions: (i64, i64),
    ) -> Result<BTreeSet<String>, AppError> {
        let key = config::tenant_key(self.store(), &self.inner.vault, &who.tenant).await?;
        Ok(config::changed(self.store(), &key, &who.tenant, &environment.id, versions).await?)
    }

    /// Unpacks a source, reads its manifest, and leaves nothing behind.
    async fn read_source<R>(&self, request: &Request, values: &config::Values, source: R) -> Result<Outcome, AppError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let path = self.deployer().source_path(&OperationId::new(self.now(), self.random()));
        let folder = path.with_extension("");
        let read = async {
            self.store_source(&path, source).await?;
            unpack(&path, &folder, self.deployer().source_limit()).await?;
            let outcome = request.read(&folder, values, false).await;
            outcome.map_err(|e| AppError::internal("the manifest could not be read", e))
        };
        let outcome = read.await;
        // Leftovers of a crash are removed at the next start.
        let _ = tokio::fs::remove_file(&path).await;
        let _ = tokio::fs::remove_dir_all(&folder).await;
        outcome
    }

    /// Pins secrets to the versions that applying would give them.
    async fn pin_secrets_alike(
        &self,
        who: &Caller,
        environment: &Environment,
        stack: &mut Stack,
        supplied: BTreeMap<ResourceName, Secret<Vec<u8>>>,
        values: &config::Values,
        notes: &mut Vec<String>,
    ) -> Result<(), AppError> {
        if stack.secret_refs_mut().next().is_none() {
            return Ok(());
        }
        let (store, id) = (self.store(), &environment.id);
        let key = config::tenant_key(store, &self.inner.vault, &who.tenant).await?;
        let newest = secrets::newest(store, &who.tenant, id).await?;
        let mut versions: BTreeMap<ResourceName, i64> = newest.into_iter().map(|s| (s.name, s.version)).collect();
        for (name, value) in supplied {
            let known = match versions.get(&name) {
                Some(version) => secrets::open(store, &key, &who.tenant, id, &name, *version).await?,
                None => None,
            };
            if known.as_ref() != Some(&value) {
                *versions.entry(name).or_default() += 1;
            }
        }
        let mut missing = BTreeSet::new();
        for reference in stack.secret_refs_mut() {
            reference.version = versions.get(&reference.name).copied();
            if reference.version.is_none() && !values.contains_key(reference.name.as_str()) {
                missing.insert(reference.name.clone());
            }
        }
        let note = |name| format!("the secret `{name}` has no value; set it with: wharf secrets set {name}");
        notes.extend(missing.into_iter().map(note));
        Ok(())
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

/// The manifest and what is to be said about it, or all that is wrong.
fn judged(outcome: Outcome) -> Result<(Manifest, Vec<String>), AppError> {
    let texts = |severity: Severity| {
        let found = outcome.findings.iter().filter(move |f| f.severity == severity);
        found.map(|f| excerpt::render(f, &outcome.files, false)).collect::<Vec<_>>()
    };
    let (errors, warnings) = (texts(Severity::Error), texts(Severity::Warning));
    match outcome.manifest {
        Some(manifest) => Ok((manifest, warnings)),
        None => Err(AppError::invalid("manifest", format!("the manifest cannot be applied:\n{}", errors.join("\n")))),
    }
}

/// Notes the inputs for which applying would make up values.
fn made_up(
    stack: &Stack,
    values: &config::Values,
    changed: &mut BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<(), AppError> {
    for (name, input) in stack.inputs.iter().filter(|(name, _)| !values.contains_key(name.as_str())) {
        let name = name.as_str();
        if input.generate.is_some() || input.default.is_some() {
            notes.push(format!("`{name}` has no value yet; applying gives it one"));
            changed.insert(name.to_owned());
        } else if input.required {
            let sentence = format!("the manifest asks for `{name}`; set it with: wharf config set {name}=…");
            return Err(AppError::invalid("manifest", sentence));
        }
    }
    Ok(())
}

/// Images are pinned when they are built or fetched. Until then, what is described alike counts as the same.
fn pin_images_alike(stack: &mut Stack, old: Option<&Stack>) {
    let Some(old) = old else { return };
    for (name, service) in &mut stack.services {
        let Some(before) = old.services.get(name) else { continue };
        if before.build == service.build && (service.build.is_some() || before.image.name == service.image.name) {
            service.image = before.image.clone();
        }
    }
}

fn services(old: &Stack, new: &Stack, effects: &BTreeMap<ServiceName, Effect>) -> Vec<PlannedService> {
    let source = |s: &Service| match &s.build {
        Some(build) if build.context.is_empty() => "build .".to_owned(),
        Some(build) => format!("build {}", build.context),
        None => s.image.name.clone(),
    };
    let one = |(name, service): (&ServiceName, &Service)| PlannedService {
        name: name.to_string(),
        change: change_word(effects.get(name), service.build.is_some()).to_owned(),
        source: source(service),
        instances: service.replicas,
    };
    let gone = old.services.iter().filter(|(name, _)| !new.services.contains_key(*name));
    new.services.iter().chain(gone).map(one).collect()
}

fn change_word(effect: Option<&Effect>, built: bool) -> &'static str {
    match effect {
        Some(Effect::Start) => "added",
        Some(Effect::Stop) => "removed",
        Some(Effect::Restart) => "replaced",
        _ if built => "built",
        Some(Effect::Rescale) => "rescaled",
        Some(Effect::Reroute) => "rerouted",
        Some(Effect::None) => "updated",
        None => "unchanged",
    }
}

fn demand(demand: &Demand) -> DemandView {
    let amounts = |r: Resources| AmountsView { cpu_millis: r.cpu_millis, memory_mib: r.memory_mib };
    DemandView {
        before: amounts(demand.before),
        after: amounts(demand.after),
        extra: amounts(demand.extra),
        free: demand.free.map(amounts),
        fits: demand.fits,
    }
}

fn change(change: Change) -> ChangeView {
    let (aspect, effect) = (word(&change.aspect), word(&change.effect));
    ChangeView { subject: change.subject, text: change.text, aspect, effect }
}

/// The word for a unit variant, as it stands in JSON.
fn word(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
