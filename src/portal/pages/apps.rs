//! The apps of an organisation, their state at a glance.

use crate::api::access::{In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::context::tenant_path;
use crate::portal::visit::Visit;
use askama::Template;

use crate::apps::{AppState, AppSummary};
use crate::portal::app_view::short_url;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

#[derive(Template)]
#[template(path = "pages/apps.html", blocks = ["list"])]
pub(crate) struct AppsPage {
    pub shell: Shell,
    /// `/t/acme`
    pub base: String,
    /// Where the portal answers, for commands to copy.
    pub origin: String,
    pub apps: Vec<AppSummary>,
}

impl AppsPage {
    fn short_url<'a>(&self, url: &'a str) -> &'a str {
        short_url(url)
    }

    fn cli_commands(&self) -> String {
        format!("wharf login {}\nwharf up", self.origin)
    }

    /// How many apps are in which state, what needs a look first.
    fn tally(&self) -> Vec<(&'static str, usize)> {
        use AppState::{Degraded, Deploying, Down, Empty, Running, Stopped};
        let count = |state| (self.shell.app_word(&state), self.apps.iter().filter(|app| app.state == state).count());
        [Down, Degraded, Deploying, Running, Stopped, Empty].map(count).into_iter().filter(|(_, n)| *n > 0).collect()
    }
}

pub(crate) async fn show(State(portal): State<PortalState>, Me(who): Me, In(caller): In, visit: Visit) -> Answer {
    let page = AppsPage {
        apps: portal.apps.list(&caller).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        base: tenant_path(&caller),
        origin: visit.origin.clone(),
    };
    if visit.partial { answer::html(&page.as_list()) } else { answer::html(&page) }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::portal::samples::{Sample, operation, shell, viewer, with_flash};
    let app = |project: &str, state, healthy, wanted, last| AppSummary {
        project: project.into(),
        environment: if project == "billing" { "staging".into() } else { "production".into() },
        state,
        url: (state != AppState::Empty).then(|| format!("https://{project}.wharf.example.net/")),
        revision: (state != AppState::Empty).then_some(42),
        healthy,
        wanted,
        last_operation: last,
    };
    let apps = vec![
        app("atlas-search", AppState::Running, 3, 3, Some(operation("deploy", "succeeded", "done", 86_500))),
        app("billing", AppState::Degraded, 1, 2, Some(operation("scale", "succeeded", "done", 4_000))),
        app("guestbook", AppState::Down, 0, 1, Some(operation("deploy", "failed", "rollout", 700))),
        app("mailer", AppState::Stopped, 0, 0, Some(operation("stop", "succeeded", "done", 700_000))),
        app("shop", AppState::Deploying, 2, 2, Some(operation("deploy", "running", "build", 9))),
        app("status-page", AppState::Empty, 0, 0, None),
    ];
    let page =
        |shell, apps| AppsPage { shell, base: "/t/acme".into(), origin: "https://wharf.example.net".into(), apps };
    let full = page(with_flash(shell(language, "/t/acme"), "flash.destroyed"), apps);
    let empty = page(shell(language, "/t/acme"), vec![]);
    vec![
        Sample::page("apps", &full).with(&full.as_list()),
        Sample::page("apps-empty", &empty).with(&empty.as_list()),
        Sample::page("apps-empty-viewer", &page(viewer(language, "/t/acme"), vec![])),
    ]
}
