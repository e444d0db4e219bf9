//! What the verbs take and give: the words of the API and the portal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan_model::PlanBase;
use crate::certificates::model::{Redirect, Source, State};
use crate::kernel::name::{EnvironmentSlug, ProjectSlug, TenantSlug};
use crate::kernel::secret::Secret;
use crate::pipelines::Request;
use crate::tenancy::access::{Entered, Principal, Tenant};
use crate::tenancy::roles::Role;

/// Somebody with a checked permission in a tenant, about to use a verb.
#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant: Tenant,
    pub slug: TenantSlug,
    pub role: Role,
    /// Who, as operations record it: the person's e-mail address.
    pub actor: String,
}

impl Caller {
    /// From a principal that was let in.
    #[must_use]
    pub fn new(who: &Principal, entered: Entered) -> Self {
        Self { tenant: entered.tenant, slug: entered.slug, role: entered.role, actor: who.email.clone() }
    }
}

/// Which app: a project and one of its environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPath {
    pub project: ProjectSlug,
    pub environment: EnvironmentSlug,
}

/// State of an app at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AppState {
    /// Nothing was deployed yet.
    Empty,
    /// A change is being carried out.
    Deploying,
    /// All wanted instances are healthy.
    Running,
    /// Serving, but with fewer healthy instances than wanted.
    Degraded,
    /// Stopped by somebody.
    Stopped,
    /// Nothing healthy serves.
    Down,
}

/// One line of the list of apps.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppSummary {
    pub project: String,
    pub environment: String,
    pub state: AppState,
    /// Where it answers; none before the first deploy of a web service.
    pub url: Option<String>,
    /// The revision that takes traffic.
    pub revision: Option<i64>,
    /// Healthy and wanted instances.
    pub healthy: u32,
    pub wanted: u32,
    /// The newest operation.
    pub last_operation: Option<OperationView>,
}

/// Everything about one app that fits a page.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AppDetail {
    pub tenant: String,
    pub project: String,
    pub environment: String,
    pub state: AppState,
    pub urls: Vec<String>,
    pub domains: Vec<DomainView>,
    /// Ports beside HTTP that lead to it.
    pub ports: Vec<PortView>,
    pub git: GitRemotes,
    pub deploy_branch: Option<String>,
    /// The revision that takes traffic, and the one being rolled out when that differs.
    pub revision: Option<i64>,
    pub target_revision: Option<i64>,
    pub config_version: i64,
    pub services: Vec<ServiceView>,
    /// The release that is taking over, and how far it is.
    #[serde(default)]
    pub rollout: Option<RolloutView>,
    /// What a person must see to, one sentence each.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// The operation that is changing the app now.
    pub operation: Option<OperationView>,
    /// RFC 3339.
    pub created_at: String,
}

/// Where to push.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GitRemotes {
    pub http: String,
    pub ssh: String,
}

/// A release on its way to the traffic.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    pub revision: i64,
    pub actor: String,
    /// `deploy`, `rollback`, `config` …
    pub cause: String,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339; when it fails unless it comes further.
    pub deadline_at: Option<String>,
    /// Who stopped it for a while.
    pub paused_by: Option<String>,
    /// Why it is being taken back.
    pub withdrawn: Option<String>,
    pub services: Vec<RolloutServiceView>,
    /// What it waits for, one sentence each.
    pub waiting_for: Vec<String>,
}

/// One service of a release on its way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RolloutServiceView {
    pub name: String,
    /// `rolling`, `blue-green`, `canary` or `recreate`.
    pub strategy: String,
    /// The present step of a canary, counted from 1.
    pub step: Option<u32>,
    pub steps: u32,
    /// The share of the requests the new version has, in per cent, where that is fixed.
    pub percent: Option<u8>,
}

/// What a person may do to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutCommand {
    Pause,
    Resume,
    /// Ends the present step; with `full` all of them.
    Promote {
        full: bool,
    },
    Abort,
}

/// One service and its instances.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    pub name: String,
    /// `web` or `worker`.
    pub kind: String,
    pub wanted: u32,
    pub healthy: u32,
    /// `provision`, `ready`, `run`, `update`, `rollback`, `scale`, `destroy` or `failed`.
    #[serde(default)]
    pub state: String,
    /// What brought it there, and who.
    #[serde(default)]
    pub cause: String,
    #[serde(default)]
    pub actor: String,
    /// RFC 3339; since when it is in this state.
    #[serde(default)]
    pub since: Option<String>,
    /// RFC 3339; by when this state must be over, where it must.
    #[serde(default)]
    pub deadline_at: Option<String>,
    /// What it waits for and why, one sentence each; empty when all is well.
    pub waiting_for: Vec<String>,
    pub instances: Vec<InstanceView>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// `web.1`
    pub name: String,
    pub revision: i64,
    /// `provision`, `ready`, `run`, `draining`, `failed` …
    pub state: String,
    /// Why, when it is not simply running.
    pub detail: Option<String>,
    /// RFC 3339; none while it does not run.
    pub started_at: Option<String>,
    pub restarts: u32,
}

/// A host name of an app.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DomainView {
    pub host: String,
    pub service: String,
    pub url: String,
    /// Given by the platform; it stays as long as the app.
    pub is_default: bool,
    /// How it stands with HTTPS.
    pub certificate: CertificateView,
}

/// How a host name stands with HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CertificateView {
    pub host: String,
    pub state: State,
    /// What stands behind the state and what to do, one sentence; none when all is well.
    pub detail: Option<String>,
    /// Where the certificate that serves it comes from; none without one.
    pub source: Option<Source>,
    pub issuer: Option<String>,
    /// The names in the certificate.
    pub names: Vec<String>,
    /// RFC 3339.
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    /// When a new one is got by itself.
    pub renew_at: Option<String>,
    /// When getting one is tried again after a failure.
    pub try_at: Option<String>,
    /// SHA-256, hexadecimal.
    pub fingerprint: Option<String>,
    /// Who uploaded it; `wharf` when it was got by itself.
    pub added_by: Option<String>,
    /// Plain HTTP is sent on to HTTPS now.
    pub redirects: bool,
    /// What was chosen about that: `auto` does it when everybody trusts the certificate.
    pub redirect: Redirect,
    /// Age for `Strict-Transport-Security` in seconds; none: the platform's default.
    pub hsts_seconds: Option<u32>,
    /// The chain in PEM, only where one certificate is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}

/// A certificate with its key, in PEM.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateUpload {
    /// The chain: the host's own certificate first, then the ones that signed it.
    pub certificate: String,
    /// The private key, without a passphrase. It is never shown again.
    pub key: String,
}

impl std::fmt::Debug for CertificateUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateUpload").finish_non_exhaustive()
    }
}

/// What became of an upload.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CertificateUploaded {
    pub certificate: CertificateView,
    /// Good to know.
    pub note: Option<String>,
}

/// What is wanted of HTTPS on a domain.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpsChange {
    pub redirect: Redirect,
    /// Age for `Strict-Transport-Security` in seconds; 0: never, none: the platform's default.
    pub hsts_seconds: Option<u32>,
}

/// A release: one revision of the app.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    pub number: i64,
    pub hash: String,
    pub source_commit: Option<String>,
    pub author: String,
    pub message: String,
    pub config_version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// Takes traffic now.
    pub serving: bool,
    /// Why it never served, when it did not.
    pub failed_reason: Option<String>,
    /// What differs from the revision before it.
    pub changes: Vec<String>,
}

/// A durable unit of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    pub id: String,
    /// `deploy`, `rollback`, `config`, `scale`, `restart`, `stop`, `start`, `run`, `destroy`
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`
    pub state: String,
    /// What it is doing now: `build-queue`, `build`, `release`, `rollout` …
    pub phase: String,
    pub actor: String,
    pub cause: String,
    pub revision: Option<i64>,
    /// The result, or the reason of the failure, in one sentence.
    pub summary: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    pub finished_at: Option<String>,
    pub deadline_at: String,
}

/// One line of an operation's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationLine {
    pub seq: i64,
    /// RFC 3339.
    pub at: String,
    /// `step`, `output`, `notice`, `error`
    pub kind: String,
    pub line: String,
}

/// One line an instance printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// RFC 3339.
    pub at: String,
    /// `web.1`
    pub instance: String,
    pub revision: i64,
    /// `stdout` or `stderr`
    pub stream: String,
    pub line: String,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Only this service.
    pub service: Option<String>,
    /// Only so many seconds back.
    pub since_seconds: Option<u32>,
    /// At most so many of the last lines of each instance.
    pub tail: Option<u32>,
    /// Go on with new lines, also of instances that start later.
    pub follow: bool,
}

/// The configuration with its values.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConfigView {
    pub version: i64,
    pub values: BTreeMap<String, String>,
}

/// A change of the configuration.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// Variables to set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Names to remove.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Only store it; the next deploy takes it.
    #[serde(default)]
    pub no_restart: bool,
}

/// What a change of the configuration led to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConfigOutcome {
    pub version: i64,
    /// The operation that brings it to the instances; none when nothing runs or it was not wanted.
    pub operation: Option<OperationView>,
}

/// A deploy of an image.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageDeploy {
    /// Such as `ghcr.io/acme/shop:1.2`.
    pub image: String,
    #[serde(default)]
    pub message: Option<String>,
}

/// A deploy of sources that were uploaded or pushed.
#[derive(Debug, Clone, Default)]
pub struct SourceDeploy {
    /// Full commit id, for a push.
    pub commit: Option<String>,
    pub message: String,
    /// How it is read and built.
    pub request: Request,
    /// What must serve for this to be applied, as a plan found it.
    pub base: Option<PlanBase>,
    /// `push` or `upload`.
    pub cause: String,
}

/// A port of the machine that leads to a service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PortView {
    pub service: String,
    /// `tcp` or `udp`
    pub transport: String,
    /// Inside the container.
    pub port: u16,
    /// Where it is reached: `example.com:20000`
    pub address: String,
}

/// A volume of an app.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VolumeView {
    pub name: String,
    /// The services of the serving revision that have it.
    pub services: Vec<String>,
    pub size_bytes: Option<u64>,
    pub in_use: Option<bool>,
    /// RFC 3339.
    pub created_at: Option<String>,
}

/// A secret, without its value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    pub name: String,
    pub version: i64,
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
}

/// A new value of a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// It is never shown again.
    #[schema(value_type = String)]
    pub value: Secret<String>,
}

/// A one-off command.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The argument vector.
    pub command: Vec<String>,
    /// Whose image and limits; `web` when left out, or the first service.
    #[serde(default)]
    pub service: Option<String>,
    /// With a terminal.
    #[serde(default)]
    pub tty: bool,
    #[serde(default)]
    pub columns: Option<u16>,
    #[serde(default)]
    pub rows: Option<u16>,
}
