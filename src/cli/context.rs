//! What a command works on: which Wharf, who, which organisation, which app.
//!
//! Order, first that is there: option, environment variable, the git remote `wharf` of this directory, what
//! `wharf login` stored.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::failure::{Failure, exit};
use crate::kernel::process::Command;

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Global {
    /// App: NAME, or NAME/ENVIRONMENT away from production
    #[arg(short, long, global = true, value_name = "APP", env = "WHARF_APP")]
    pub(super) app: Option<String>,
    /// Organisation
    #[arg(short, long, global = true, value_name = "NAME", env = "WHARF_TENANT")]
    pub(super) tenant: Option<String>,
    /// Address of the Wharf
    #[arg(long, global = true, value_name = "URL", env = "WHARF_URL")]
    pub(super) url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What `wharf login` stores.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stored {
    pub(super) url: Option<String>,
    pub(super) token: Option<String>,
    pub(super) tenant: Option<String>,
}

/// An app by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppName {
    pub(super) project: String,
    pub(super) environment: String,
}

impl AppName {
    /// From `shop` or `shop/staging`.
    pub(super) fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((project, environment)) => Self { project: project.to_owned(), environment: environment.to_owned() },
            None => Self { project: text.to_owned(), environment: "production".to_owned() },
        }
    }
}

/// What the git remote says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    url: Option<String>,
    tenant: String,
    app: AppName,
}

/// Everything a command needs to begin.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) json: bool,
    global: Global,
    stored: Stored,
    remote: Option<Remote>,
}

impl Context {
    pub(super) async fn new(global: &Global) -> Result<Self, Failure> {
        let stored = Stored::load()?;
        let remote = git_remote().await;
        let url = global
            .url
            .clone()
            .or_else(|| remote.as_ref().and_then(|r| r.url.clone()))
            .or_else(|| stored.url.clone())
            .unwrap_or_else(|| "http://wharf.localhost".to_owned());
        let own = stored.url.as_deref().is_none_or(|known| same_origin(known, &url));
        let token = std::env::var("WHARF_TOKEN").ok().or_else(|| stored.token.clone().filter(|_| own));
        let client = Client::new(&url, token)?;
        Ok(Self { client, json: global.json, global: global.clone(), stored, remote })
    }

    /// The organisation; asked of the server when only one is possible.
    pub(super) async fn tenant(&self) -> Result<String, Failure> {
        let known = self.global.tenant.clone();
        let known = known.or_else(|| self.remote.as_ref().map(|r| r.tenant.clone())).or_else(|| self.stored.tenant.clone());
        if let Some(tenant) = known {
            return Ok(tenant);
        }
        let account: crate::api::model::AccountView = self.client.get("/account").await?;
        match account.tenants.as_slice() {
            [only] => Ok(only.slug.clone()),
            [] => Err(Failure::new(exit::DENIED, "you are not a member of any organisation yet; ask an owner to add you")),
            many => {
                let names: Vec<&str> = many.iter().map(|t| t.slug.as_str()).collect();
                Err(Failure::usage(format!("which organisation? Name one with --tenant: {}", names.join(", "))))
            }
        }
    }

    /// The app.
    pub(super) fn app(&self) -> Result<AppName, Failure> {
        if let Some(app) = &self.global.app {
            return Ok(AppName::parse(app));
        }
        self.remote.as_ref().map(|r| r.app.clone()).ok_or_else(|| {
            Failure::usage("which app? Name it with --app NAME, or run this in a directory with a git remote called `wharf`")
        })
    }

    /// The path of the app in the API.
    pub(super) async fn app_path(&self) -> Result<String, Failure> {
        let app = self.app()?;
        let tenant = self.tenant().await?;
        Ok(format!(
            "/tenants/{}/projects/{}/environments/{}",
            encode(&tenant),
            encode(&app.project),
            encode(&app.environment)
        ))
    }
}

/// A path segment.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn same_origin(a: &str, b: &str) -> bool {
    let origin = |text: &str| reqwest::Url::parse(text).ok().map(|u| u.origin());
    origin(a).is_some() && origin(a) == origin(b)
}

/// Reads the remote `wharf` of the directory's repository, if there is one.
async fn git_remote() -> Option<Remote> {
    let output = Command::new("git").args(["config", "--get", "remote.wharf.url"]).run().await.ok()?;
    parse_remote(String::from_utf8_lossy(&output.stdout).trim())
}

/// `http://wharf.example.com/git/acme/shop.git`, or `ssh://git@wharf.example.com:2222/acme/shop/staging.git`.
fn parse_remote(text: &str) -> Option<Remote> {
    let url = reqwest::Url::parse(text).ok()?;
    let path = url.path().trim_matches('/').strip_suffix(".git")?.to_owned();
    let parts: Vec<&str> = path.strip_prefix("git/").unwrap_or(&path).split('/').collect();
    let (tenant, app) = match parts.as_slice() {
        [tenant, project] => (*tenant, AppName::parse(project)),
        [tenant, project, environment] => (*tenant, AppName::parse(&format!("{project}/{environment}"))),
        _ => return None,
    };
    // Over SSH the HTTP port is not known, so the stored address is used.
    let web = matches!(url.scheme(), "http" | "https").then(|| {
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
    });
    Some(Remote { url: web, tenant: tenant.to_owned(), app })
}

impl Stored {
    fn path() -> Result<PathBuf, Failure> {
        let dir = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
            .ok_or_else(|| Failure::failed("neither HOME nor XDG_CONFIG_HOME is set, so the log-in cannot be stored"))?;
        Ok(dir.join("wharf").join("config.toml"))
    }

    /// What is stored; nothing when nothing is.
    pub(super) fn load() -> Result<Self, Failure> {
        let Ok(path) = Self::path() else { return Ok(Self::default()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Failure::failed(format!("{} is not valid: {e}", path.display()))),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Stores it, readable for its owner only.
    pub(super) fn save(&self) -> Result<PathBuf, Failure> {
        let path = Self::path()?;
        if let Some(dir) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let text = toml::to_string(self).map_err(|e| Failure::failed(e.to_string()))?;
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_name_the_app() {
        let remote = parse_remote("http://git:t@wharf.localhost:8080/git/acme/shop.git").expect("a remote");
        assert_eq!(remote.url.as_deref(), Some("http://wharf.localhost:8080"));
        assert_eq!((remote.tenant.as_str(), remote.app), ("acme", AppName::parse("shop")));
        let remote = parse_remote("ssh://git@wharf.example.com:2222/acme/shop/staging.git").expect("a remote");
        assert_eq!((remote.url, remote.app), (None, AppName::parse("shop/staging")));
        assert_eq!(parse_remote("https://github.com/a/b/c/d.git"), None);
    }

    #[test]
    fn a_token_goes_only_to_where_it_came_from() {
        assert!(same_origin("http://wharf.localhost", "http://wharf.localhost/x"));
        assert!(!same_origin("http://wharf.localhost", "http://wharf.localhost:81"));
        assert!(!same_origin("http://wharf.localhost", "https://wharf.localhost"));
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(encode("a b/ü"), "a%20b%2F%C3%BC");
    }
}
