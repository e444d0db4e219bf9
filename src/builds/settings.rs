//! What the operator and the owner of an app may say about a build. Everything has a default; nothing must be said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{CaBundle, ProviderId};

/// Explicit settings of one app; they win over everything found in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The provider to use, without detection.
    pub provider: Option<ProviderId>,
    /// Path of the Dockerfile to use.
    pub dockerfile: Option<String>,
    /// Look past a Compose file: the source is one service of it.
    pub beside_compose: bool,
    /// Version of the language, as in an image tag: `3.12`, `22`.
    pub version: Option<String>,
    /// Command that installs the dependencies, in place of the detected one.
    pub install: Option<String>,
    /// Command that builds the app, in place of the detected one.
    pub build: Option<String>,
    /// Command of the web process.
    pub start: Option<String>,
    /// Folder with the finished static site; makes the app a static site.
    pub static_dir: Option<String>,
    /// Whether unknown paths of a static site get its index page.
    pub spa: Option<bool>,
    /// Port the app is told to listen on.
    pub port: Option<u16>,
    /// Debian packages wanted at build time and at run time.
    pub packages: Vec<String>,
    /// What the platform decides for all builds.
    pub platform: Platform,
}

/// The operator's part of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Base images, see [`BaseImages`].
    pub base_images: BaseImages,
    /// Prefix of all build cache ids. Give every app its own: a shared cache lets one tenant plant files in another's build.
    pub cache_scope: String,
    /// How builds get the operator's CA bundle, when there is one.
    pub extra_ca: Option<CaBundle>,
    /// Names of build arguments that point package managers at another index (`PIP_INDEX_URL`, `NPM_CONFIG_REGISTRY`, `GOPROXY`).
    /// Their values go to the build, never into the image or the generated file.
    pub build_args: Vec<String>,
}

impl Default for Platform {
    fn default() -> Self {
        Self { base_images: BaseImages::default(), cache_scope: "wharf".into(), extra_ca: None, build_args: Vec::new() }
    }
}

/// Base images by key; `{v}` stands for the language version. Unset keys have the defaults of [`BaseImages::default_of`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BaseImages(pub BTreeMap<String, String>);

/// Key, default image, and what it is used for.
pub const BASE_IMAGES: &[(&str, &str, &str)] = &[
    ("python", "python:{v}-slim", "Python, build and run"),
    ("node", "node:{v}-slim", "Node.js, build and run"),
    ("bun", "oven/bun:{v}-slim", "Bun, build and run"),
    ("deno", "denoland/deno:{v}", "Deno, build and run"),
    ("go", "golang:{v}-bookworm", "Go, build"),
    ("rust", "rust:{v}-slim-bookworm", "Rust, build"),
    ("ruby", "ruby:{v}-slim", "Ruby, build and run"),
    ("php", "php:{v}-apache", "PHP, run"),
    ("composer", "composer:2", "PHP, build"),
    ("java-jdk", "eclipse-temurin:{v}-jdk", "Java, build with a wrapper"),
    ("java-maven", "maven:3-eclipse-temurin-{v}", "Java, build with Maven"),
    ("java-gradle", "gradle:8-jdk{v}", "Java, build with Gradle"),
    ("java-jre", "eclipse-temurin:{v}-jre", "Java, run"),
    ("dotnet-sdk", "mcr.microsoft.com/dotnet/sdk:{v}", ".NET, build"),
    ("dotnet-aspnet", "mcr.microsoft.com/dotnet/aspnet:{v}", ".NET, run"),
    ("elixir", "elixir:{v}-slim", "Elixir, build and run"),
    ("debian", "debian:bookworm-slim", "compiled programs, run"),
    ("static", "wharf/static-server:{v}", "static sites, run; made by Wharf itself"),
];

impl BaseImages {
    /// The default image of a key.
    pub fn default_of(key: &str) -> Option<&'static str> {
        BASE_IMAGES.iter().find(|(k, ..)| *k == key).map(|(_, image, _)| *image)
    }

    /// The image for a key and version.
    pub fn resolve(&self, key: &str, version: &str) -> String {
        let own = self.0.get(key).map(String::as_str);
        let template = own.or_else(|| Self::default_of(key)).unwrap_or("scratch");
        template.replace("{v}", version)
    }
}
