//! The releases of an app: what changed, which one serves, and back to an older one.

use askama::Template;
use axum::extract::Form;
use serde::Deserialize;

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::app_path;
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;

use crate::apps::{AppPath, Caller, RevisionView};
use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

#[derive(Template)]
#[template(path = "pages/releases.html")]
pub(crate) struct ReleasesPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub releases: Vec<RevisionView>,
    pub errors: Errors,
}

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    errors: Errors,
) -> Result<ReleasesPage, Failure> {
    Ok(ReleasesPage {
        releases: portal.apps.revisions(caller, app).await?,
        app: portal.app(visit, caller, app).await?,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Releases,
        errors,
    })
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&page(&portal, &visit, (&who, &caller, &app), Errors::default()).await?)
}

/// Which release to go back to.
#[derive(Debug, Deserialize)]
pub(crate) struct Rollback {
    revision: i64,
}

pub(crate) async fn roll_back(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(to): Form<Rollback>,
) -> Answer {
    match portal.apps.rollback(&caller, &app, Some(to.revision)).await {
        Ok(operation) => answer::go(&format!("{}/deploys/{}", app_path(&caller, &app), operation.id)),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[])?;
            answer::refused(&page(&portal, &visit, (&who, &caller, &app), errors).await?)
        }
    }
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, before, shell};
    let release = |number: i64, message: &str, changes: &[&str]| RevisionView {
        number,
        hash: "sha256:9b1f0c77a2".into(),
        source_commit: Some("3f9c2ab14e5d60718293a4b5c6d7e8f901234567".into()),
        author: "ada@acme.example".into(),
        message: message.into(),
        config_version: number - 35,
        created_at: before((43 - number) * 40_000),
        serving: number == 42,
        failed_reason: (number == 41).then(|| "web.1 exited with status 1 within 2 s, three times in a row".into()),
        changes: changes.iter().map(|&c| c.to_owned()).collect(),
    };
    let releases = vec![
        release(
            42,
            "Show the order note on the packing slip",
            &["image of web: 3f9c2ab1 → 91bd0a77", "web: instances 1 → 2"],
        ),
        release(41, "Switch the queue to Redis streams", &["image of web", "image of worker", "QUEUE_URL added"]),
        release(40, "config: LOG_LEVEL", &["LOG_LEVEL changed"]),
        release(39, "First release", &[]),
    ];
    let page = |state, releases| ReleasesPage {
        shell: shell(language, "/t/acme/shop/production/releases"),
        app: app(state),
        tab: Tab::Releases,
        releases,
        errors: Errors::default(),
    };
    vec![
        Sample::page("releases", &page(AppState::Running, releases)),
        Sample::page("releases-empty", &page(AppState::Empty, vec![])),
    ]
}
