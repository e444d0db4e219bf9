//! A source with a manifest: read, its images built or fetched, its secrets taken in, to a stack that can be stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Deployer;
use super::build::{INLINE, Order};
use super::drive::{Failure, Progress};
use crate::kernel::name::ServiceName;
use crate::kernel::secret::Secret;
use crate::stack::compose::{self, Directory, Manifest, Outcome, Severity, Variable, Variables, excerpt};
use crate::stack::model::{Build, Generator, GeneratorKind, Origin, ResourceName};
use crate::stack::{ImageRef, Stack};
use crate::store::StoreError;
use crate::tenancy::store::{config, secrets};

/// How a source shall be read and built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The manifest and what overrides it, below the root of the source; empty: what is found there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifest: Vec<String>,
    /// Active profiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Build every layer anew.
    #[serde(default)]
    pub no_cache: bool,
}

impl Request {
    /// What the manifest of an unpacked source says, with these variables; `complete` when there can be no others.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn read(&self, source: &Path, values: &config::Values, complete: bool) -> std::io::Result<Outcome> {
        let secret = |(name, value): (&String, &Secret<String>)| {
            (name.clone(), Variable { value: value.expose().clone(), secret: true })
        };
        let asked = compose::Request {
            paths: self.manifest.clone(),
            variables: Variables { known: values.iter().map(secret).collect(), complete },
            profiles: self.profiles.iter().cloned().collect(),
        };
        let source = source.to_owned();
        tokio::task::spawn_blocking(move || Ok(compose::parse(&Directory::open(&source)?, &asked)))
            .await
            .map_err(std::io::Error::other)?
    }
}

/// The request with its manifest, when it names one or the source has one; `None` for a source of one app.
pub(super) fn wanted(source: &Path, request: &Request) -> Option<Request> {
    let found = || compose::FILE_NAMES.iter().any(|name| source.join(name).is_file());
    (!request.manifest.is_empty() || found()).then(|| request.clone())
}

impl Deployer {
    /// Builds what is to be built, fetches the rest, and pins everything.
    pub(super) async fn build_manifest(
        &self,
        job: &Progress<'_>,
        source: &Path,
        request: &Request,
    ) -> Result<Stack, Failure> {
        let manifest = self.read_manifest(job, source, request).await?;
        let mut stack = manifest.stack;
        stack.origin = Origin::Manifest;
        let of = if stack.services.len() == 1 { "service" } else { "services" };
        job.log.step(format!("Manifest: {} {of}", stack.services.len())).await;
        self.take_secrets_in(job, &mut stack, manifest.supplied).await?;
        let mut built: Vec<(Build, ImageRef)> = Vec::new();
        let names: Vec<ServiceName> = stack.services.keys().cloned().collect();
        for name in names {
            let Some(service) = stack.services.get(&name) else { continue };
            let image = match &service.build {
                None => self.fetch(job, &service.image.name).await?,
                Some(section) => match built.iter().find(|(same, _)| same == section) {
                    Some((_, image)) => image.clone(),
                    None => {
                        job.log.step(format!("Service `{name}`")).await;
                        let image = self.build_section(job, source, &stack, &name, section, request.no_cache).await?;
                        built.push((section.clone(), image.clone()));
                        image
                    }
                },
            };
            if let Some(service) = stack.services.get_mut(&name) {
                service.image = image;
            }
        }
        Ok(stack)
    }

    async fn fetch(&self, job: &Progress<'_>, image: &str) -> Result<ImageRef, Failure> {
        job.log.output(format!("image {image}")).await;
        let facts = tokio::select! {
            facts = self.parts.engine.ensure_image(image) => facts.map_err(|e| Failure::engine(&e))?,
            () = job.cancel.cancelled() => return Err(Failure::Cancelled),
        };
        Ok(ImageRef { name: image.to_owned(), id: facts.id })
    }

    async fn build_section(
        &self,
        job: &Progress<'_>,
        source: &Path,
        stack: &Stack,
        name: &ServiceName,
        section: &Build,
        no_cache: bool,
    ) -> Result<ImageRef, Failure> {
        let folder = folder_of(source, &section.context)?;
        let mut settings = self.build_settings(job.environment).await?;
        settings.beside_compose = true;
        settings.dockerfile = match (&section.dockerfile, &section.dockerfile_inline) {
            (_, Some(_)) => Some(INLINE.to_owned()),
            (named, None) => named.clone(),
        };
        let inline = section.dockerfile_inline.clone();
        let prepared = self.prepare(job, folder, settings, inline).await?;
        let secrets = self.build_secrets(job, stack, section).await?;
        self.run_build(job, &prepared, Order { section: Some((name, section)), secrets, no_cache }).await
    }

    async fn build_secrets(
        &self,
        job: &Progress<'_>,
        stack: &Stack,
        section: &Build,
    ) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut opened = BTreeMap::new();
        if section.secrets.is_empty() {
            return Ok(opened);
        }
        let (store, environment) = (&self.parts.store, &job.environment.id);
        let key = config::tenant_key(store, &self.parts.vault, job.tenant).await?;
        let values = self.configuration(job).await?;
        for (id, name) in &section.secrets {
            let reference = stack.secrets.get(name);
            let value = match reference.map(|r| (&r.name, r.version)) {
                Some((name, Some(version))) => {
                    secrets::open(store, &key, job.tenant, environment, name, version).await?
                }
                Some((name, None)) => values.get(name.as_str()).map(|v| Secret::new(v.expose().clone().into_bytes())),
                None => None,
            };
            let value =
                value.ok_or_else(|| Failure::Theirs(format!("the secret `{name}` of the build has no value")))?;
            opened.insert(id.clone(), value.expose().clone());
        }
        Ok(opened)
    }

    /// Reads the manifest with the environment's configuration, after the inputs it asks for were made up.
    async fn read_manifest(&self, job: &Progress<'_>, source: &Path, request: &Request) -> Result<Manifest, Failure> {
        let values = self.configuration(job).await?;
        // What it asks for may have no value yet; what is wrong otherwise is said by the second look.
        let unreadable = |e| Failure::platform("the manifest could not be read", &e);
        let first = request.read(source, &values, false).await.map_err(unreadable)?;
        let values = match &first.manifest {
            Some(manifest) => self.make_inputs(job, &manifest.stack, values).await?,
            None => values,
        };
        self.parse(job, source, request, &values).await
    }

    async fn parse(
        &self,
        job: &Progress<'_>,
        source: &Path,
        request: &Request,
        values: &config::Values,
    ) -> Result<Manifest, Failure> {
        let outcome = request
            .read(source, values, true)
            .await
            .map_err(|e| Failure::platform("the manifest could not be read", &e))?;
        let mut errors = Vec::new();
        for finding in outcome.findings.iter().filter(|f| f.severity != Severity::Note) {
            let text = excerpt::render(finding, &outcome.files, false);
            if finding.severity == Severity::Error {
                errors.push(finding.message.clone());
                job.log.error(text).await;
            } else {
                job.log.notice(text).await;
            }
        }
        outcome.manifest.ok_or_else(|| {
            let more = errors.len().saturating_sub(1);
            let others = if more > 0 {
                format!(" (and {more} more; see the log, or run: wharf validate)")
            } else {
                String::new()
            };
            Failure::Theirs(format!(
                "the manifest: {}{others}",
                errors.first().map_or("it cannot be read", String::as_str)
            ))
        })
    }

    /// The newest configuration of the environment, opened.
    pub(super) async fn configuration(&self, job: &Progress<'_>) -> Result<config::Values, Failure> {
        let store = &self.parts.store;
        let now = crate::tenancy::store::projects::by_id(store, job.tenant, &job.environment.id).await?;
        let version = now.map_or(job.environment.config_version, |e| e.config_version);
        let key = config::tenant_key(store, &self.parts.vault, job.tenant).await?;
        Ok(config::values(store, &key, job.tenant, &job.environment.id, version).await?)
    }

    /// The configuration, with values made for the inputs that have none.
    async fn make_inputs(
        &self,
        job: &Progress<'_>,
        stack: &Stack,
        mut values: config::Values,
    ) -> Result<config::Values, Failure> {
        let mut made = Vec::new();
        for (name, input) in &stack.inputs {
            if values.contains_key(name.as_str()) {
                continue;
            }
            let value = match (&input.generate, &input.default) {
                (Some(generator), _) => generate(*generator, &self.parts.random),
                (None, Some(default)) => default.clone(),
                (None, None) if input.required => {
                    let name = name.as_str();
                    let sentence = format!("the manifest asks for `{name}`; set it with: wharf config set {name}=…");
                    return Err(Failure::Theirs(sentence));
                }
                (None, None) => continue,
            };
            made.push(name.as_str().to_owned());
            values.insert(name.as_str().to_owned(), Secret::new(value));
        }
        if made.is_empty() {
            return Ok(values);
        }
        let parts = &self.parts;
        let key = config::tenant_key(&parts.store, &parts.vault, job.tenant).await?;
        let (environment, now) = (&job.environment.id, parts.clock.now());
        let mut tx = parts.store.write().await?;
        config::put(&mut tx, &key, job.tenant, environment, &values, &job.operation.actor, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        job.log.output(format!("made values for {}; see: wharf config", made.join(", "))).await;
        Ok(values)
    }

    /// Stores secrets that stand in files of the source, where they changed, and pins all to their newest version.
    async fn take_secrets_in(
        &self,
        job: &Progress<'_>,
        stack: &mut Stack,
        supplied: BTreeMap<ResourceName, Secret<Vec<u8>>>,
    ) -> Result<(), Failure> {
        if stack.secret_refs_mut().next().is_none() {
            return Ok(());
        }
        let parts = &self.parts;
        let (store, environment, now) = (&parts.store, &job.environment.id, parts.clock.now());
        let key = config::tenant_key(store, &parts.vault, job.tenant).await?;
        let newest = secrets::newest(store, job.tenant, environment).await?;
        let mut versions: BTreeMap<ResourceName, i64> = newest.into_iter().map(|s| (s.name, s.version)).collect();
        for (name, value) in &supplied {
            let known = match versions.get(name) {
                Some(version) => secrets::open(store, &key, job.tenant, environment, name, *version).await?,
                None => None,
            };
            if known.as_ref() == Some(value) {
                continue;
            }
            let mut tx = store.write().await?;
            let (value, actor) = (Some(value), &job.operation.actor);
            let version = secrets::put(&mut tx, &key, job.tenant, environment, name, value, actor, now).await?;
            tx.commit().await.map_err(StoreError::from)?;
            versions.insert(name.clone(), version);
        }
        let configuration = self.configuration(job).await?;
        for reference in stack.secret_refs_mut() {
            reference.version = versions.get(&reference.name).copied();
            if reference.version.is_none() && !configuration.contains_key(reference.name.as_str()) {
                let name = &reference.name;
                let sentence = format!("the secret `{name}` has no value; set it with: wharf secrets set {name}");
                return Err(Failure::Theirs(sentence));
            }
        }
        Ok(())
    }
}

/// The folder of a build section; a link out of the source is refused.
fn folder_of(source: &Path, context: &str) -> Result<PathBuf, Failure> {
    let missing =
        |_| Failure::Theirs(format!("there is no folder `{context}` in the source, and a build section names it"));
    let folder = source.join(context).canonicalize().map_err(missing)?;
    let root = source.canonicalize().map_err(|e| Failure::platform("the source cannot be read", &e))?;
    if !folder.starts_with(&root) {
        return Err(Failure::Theirs(format!("the folder `{context}` of a build section leads out of the source")));
    }
    Ok(folder)
}

/// A made-up value.
fn generate(generator: Generator, random: &crate::kernel::random::Random) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let length = usize::from(generator.length);
    let mut bytes = std::iter::repeat_with(|| random.bytes::<32>()).flatten();
    match generator.kind {
        // What would not fall evenly on the letters is thrown away.
        GeneratorKind::Password => bytes
            .filter(|b| *b < 248)
            .map(|b| char::from(LETTERS[usize::from(b) % LETTERS.len()]))
            .take(length)
            .collect(),
        GeneratorKind::Hex => {
            hex::encode(bytes.by_ref().take(length.div_ceil(2)).collect::<Vec<u8>>())[..length].to_owned()
        }
        GeneratorKind::Base64 => {
            use base64::Engine as _;
            let raw: Vec<u8> = bytes.by_ref().take(length).collect();
            base64::engine::general_purpose::STANDARD.encode(raw)[..length].to_owned()
        }
    }
}
