//! The plan of a build: every decision made, nothing left to choose. It is data, printable as JSON, and the Dockerfile follows
//! from it alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::appjson::{AppJson, CronJob, EnvVar, Formation, HealthCheck, HealthKind};
pub use super::command::CommandLine;
pub use super::userfile::DockerfileFacts;

/// Port an app is told to listen on (`PORT`) when nothing says another one.
pub const DEFAULT_PORT: u16 = 8080;

/// Who knows how to build an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ProviderId {
    Static,
    Node,
    Bun,
    Deno,
    Python,
    Go,
    Rust,
    Ruby,
    Php,
    Java,
    Dotnet,
    Elixir,
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "a static site",
            Self::Node => "Node.js",
            Self::Bun => "Bun",
            Self::Deno => "Deno",
            Self::Python => "Python",
            Self::Go => "Go",
            Self::Rust => "Rust",
            Self::Ruby => "Ruby",
            Self::Php => "PHP",
            Self::Java => "Java",
            Self::Dotnet => ".NET",
            Self::Elixir => "Elixir",
        })
    }
}

/// What decided how the app is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Input {
    /// A Compose file: a whole stack, not one image.
    Compose {
        /// Its path.
        file: String,
    },
    /// The app's own Dockerfile.
    Dockerfile {
        /// Its path.
        file: String,
    },
    /// Detected by a provider; the Dockerfile is generated.
    Detected,
}

/// A version and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolVersion {
    /// `python`, `node`, `pnpm`, ...
    pub tool: String,
    /// As used in the image tag or the install command.
    pub version: String,
    /// `.python-version`, `package.json engines.node`, `default`, ...
    pub source: String,
}

/// What installs the dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageManager {
    /// `npm`, `uv`, `bundler`, ...
    pub name: String,
    /// The lock file in use, when there is one.
    pub lockfile: Option<String>,
}

/// A folder kept from build to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Last part of the cache id; the first is the app's scope.
    pub name: String,
    /// Folder inside the build container.
    pub target: String,
}

/// One `RUN` of the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Command for `/bin/sh` inside the build container.
    pub run: String,
    /// Folders kept from build to build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
}

impl Step {
    /// A step without caches.
    pub fn new(run: impl Into<String>) -> Self {
        Self { run: run.into(), caches: Vec::new() }
    }

    /// Adds a cache folder.
    #[must_use]
    pub fn cached(mut self, name: &str, target: &str) -> Self {
        self.caches.push(Cache { name: name.into(), target: target.into() });
        self
    }
}

/// Something copied into the image that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Path in the build stage, or in the source when `from_source`.
    pub from: String,
    /// Path in the image.
    pub to: String,
    /// Copied from the source itself, not from the build stage.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_source: bool,
    /// Belongs to the app's user, who may then write there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub owned: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(b: &bool) -> bool {
    !*b
}

/// Base images of the two stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// `None`: nothing is built, files are only copied.
    pub build: Option<String>,
    /// Image the app runs on.
    pub runtime: String,
}

/// Debian packages by stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Needed to build.
    pub build: Vec<String>,
    /// Needed to run.
    pub runtime: Vec<String>,
}

/// A site served by Wharf's file server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticSite {
    /// Folder with the finished site: in the build stage when something is built, else in the source.
    pub dir: String,
    /// Unknown paths get the index page (single-page apps).
    pub spa: bool,
    /// Page for unknown paths, when the site has one.
    pub not_found: Option<String>,
}

/// Something the person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", content = "text", rename_all = "lowercase")]
pub enum Note {
    /// A decision worth knowing.
    Info(String),
    /// Something that will work worse than it could, or was not honoured.
    Warning(String),
}

/// Where a build finds the operator's CA bundle: all CAs to trust in one PEM file. It is mounted, and so ends in no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaBundle {
    /// The BuildKit secret `wharf-ca`; needs a client whose session serves secrets.
    Secret,
    /// A local image that holds nothing but `/ca.crt`; needs nothing of the client.
    Image(String),
}

/// What the platform decided for this build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOptions {
    /// Prefix of cache ids.
    pub cache_scope: String,
    /// The CA bundle to mount into every step.
    pub extra_ca: Option<CaBundle>,
    /// Names of build arguments for package indexes.
    pub build_args: Vec<String>,
}

/// The plan of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// What decided.
    pub input: Input,
    /// Who made the plan; `None` with the app's own Dockerfile.
    pub provider: Option<ProviderId>,
    /// `flask`, `next`, `rails`, ...
    pub framework: Option<String>,
    /// The language first.
    pub versions: Vec<ToolVersion>,
    /// What installs the dependencies.
    pub package_manager: Option<PackageManager>,
    /// Base images.
    pub images: Images,
    /// Debian packages.
    pub packages: Packages,
    /// Tools the build needs besides its base image; they don't depend on the app.
    pub tools: Vec<Step>,
    /// Files the dependencies follow from, copied first so that the install layer is kept while they don't change.
    /// Empty: the whole source is copied before the install.
    pub manifests: Vec<String>,
    /// Installs the dependencies.
    pub install: Vec<Step>,
    /// Builds the app.
    pub build: Vec<Step>,
    /// Environment of the build stage only.
    pub build_env: BTreeMap<String, String>,
    /// What goes into the image that runs.
    pub artifacts: Vec<Artifact>,
    /// Steps in the runtime stage, as root, before the app is copied.
    pub runtime_steps: Vec<Step>,
    /// Environment of the image, without `PORT`.
    pub env: BTreeMap<String, String>,
    /// User the app runs as.
    pub user: String,
    /// Value of `PORT`.
    pub port: u16,
    /// What the image starts when nothing else is said: the web process.
    pub start: Option<CommandLine>,
    /// All long-running processes by name.
    pub processes: BTreeMap<String, CommandLine>,
    /// Run once before a new revision takes traffic.
    pub release: Option<CommandLine>,
    /// Set for static sites.
    pub static_site: Option<StaticSite>,
    /// Set with the app's own Dockerfile.
    pub dockerfile: Option<DockerfileFacts>,
    /// What `app.json` says about health, cron, formation, environment and scripts.
    pub app: AppJson,
    /// What the person should know.
    pub notes: Vec<Note>,
    /// What the platform decided.
    pub options: BuildOptions,
}
