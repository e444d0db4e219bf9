//! An app as the portal's pages look at it.

use std::ops::Deref;

use crate::apps::{AppDetail, AppState};

/// The detail of an app, with what pages derive from it.
#[derive(Debug, Clone)]
pub(crate) struct AppView {
    detail: AppDetail,
    /// Where the portal and the API answer, for commands to copy.
    origin: String,
}

impl Deref for AppView {
    type Target = AppDetail;
    fn deref(&self) -> &AppDetail {
        &self.detail
    }
}

impl AppView {
    /// Wraps a detail.
    pub(crate) fn new(detail: AppDetail, origin: String) -> Self {
        Self { detail, origin }
    }

    /// The path of the app's pages.
    pub(crate) fn base(&self) -> String {
        format!("/t/{}/{}/{}", self.tenant, self.project, self.environment)
    }

    /// `shop`, or `shop/staging` away from production: what the command line calls it too.
    pub(crate) fn display_name(&self) -> String {
        if self.environment == "production" {
            self.project.clone()
        } else {
            format!("{}/{}", self.project, self.environment)
        }
    }

    /// The address people open.
    pub(crate) fn url(&self) -> Option<&str> {
        self.urls.first().map(String::as_str)
    }

    /// An address without what every reader knows.
    pub(crate) fn short_url<'a>(&self, url: &'a str) -> &'a str {
        short_url(url)
    }

    /// Whether nothing was deployed yet.
    pub(crate) fn is_new(&self) -> bool {
        self.state == AppState::Empty && self.revision.is_none() && self.operation.is_none()
    }

    /// Whether somebody stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == AppState::Stopped
    }

    fn branch(&self) -> &str {
        self.deploy_branch.as_deref().unwrap_or("main")
    }

    /// The first push, from an existing repository.
    pub(crate) fn git_commands(&self) -> String {
        format!("git remote add wharf {}\ngit push wharf {}", self.git.http, self.branch())
    }

    /// The same over SSH.
    pub(crate) fn ssh_command(&self) -> String {
        format!("git remote add wharf {}\ngit push wharf {}", self.git.ssh, self.branch())
    }

    /// Without git.
    pub(crate) fn cli_command(&self) -> String {
        format!("wharf login {}\nwharf up --app {}", self.origin, self.display_name())
    }

    /// A ready-made image.
    pub(crate) fn image_command(&self) -> String {
        format!("wharf deploy --app {} --image ghcr.io/you/{}:latest", self.display_name(), self.project)
    }
}

/// An address without scheme and closing slash.
pub(crate) fn short_url(url: &str) -> &str {
    let url = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
    url.trim_end_matches('/')
}

/// A page of an app, as its tabs show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Deploys,
    Releases,
    Config,
    Secrets,
    Volumes,
    Domains,
    Gateway,
    Jobs,
    Logs,
    Settings,
}

impl Tab {
    const ALL: [Self; 11] = [
        Self::Overview,
        Self::Deploys,
        Self::Releases,
        Self::Jobs,
        Self::Config,
        Self::Secrets,
        Self::Volumes,
        Self::Domains,
        Self::Gateway,
        Self::Logs,
        Self::Settings,
    ];

    /// All tabs in order.
    pub(crate) fn all(self) -> [Self; 11] {
        Self::ALL
    }

    /// The end of its text's key under `tab`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Deploys => "deploys",
            Self::Releases => "releases",
            Self::Config => "config",
            Self::Secrets => "secrets",
            Self::Volumes => "volumes",
            Self::Domains => "domains",
            Self::Gateway => "gateway",
            Self::Jobs => "jobs",
            Self::Logs => "logs",
            Self::Settings => "settings",
        }
    }

    /// Where it lies below the app's path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Deploys => "/deploys",
            Self::Releases => "/releases",
            Self::Config => "/config",
            Self::Secrets => "/secrets",
            Self::Volumes => "/volumes",
            Self::Domains => "/domains",
            Self::Gateway => "/gateway",
            Self::Jobs => "/jobs",
            Self::Logs => "/logs",
            Self::Settings => "/settings",
        }
    }

    /// Whether it is the first one.
    pub(crate) fn is_overview(self) -> bool {
        self == Self::Overview
    }
}
