//! How many instances, restart, stop and start, one more environment, and the end of an app.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Form;

use crate::api::access::{App, CSRF_FIELD, In, Me, State};
use crate::apps::{AppError, AppPath, Caller, OperationView};
use crate::kernel::name::EnvironmentSlug;
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer, Failure};
use crate::portal::context::{app_path, tenant_path};
use crate::portal::visit::Visit;
use crate::tenancy::access::Principal;
use serde::Deserialize;

use crate::portal::app_view::{AppView, Tab};
use crate::portal::forms::Errors;
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};
use crate::tenancy::roles::Permission;

/// What is typed in one of the page's forms.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SettingsForm {
    pub environment: String,
    pub confirm: String,
}

#[derive(Template)]
#[template(path = "pages/settings.html")]
pub(crate) struct SettingsPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    /// Services and how many instances are wanted, as typed.
    pub formation: BTreeMap<String, String>,
    pub form: SettingsForm,
    pub errors: Errors,
}

/// Instances of one service that can be asked for here.
const MOST: u32 = 100;

async fn page(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    form: SettingsForm,
    errors: Errors,
) -> Result<SettingsPage, Failure> {
    let view = portal.app(visit, caller, app).await?;
    Ok(SettingsPage {
        formation: view.services.iter().map(|s| (s.name.clone(), s.wanted.to_string())).collect(),
        app: view,
        shell: portal.inside(visit, who, caller).await?,
        tab: Tab::Settings,
        form,
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
    let nothing = (SettingsForm::default(), Errors::default());
    answer::html(&page(&portal, &visit, (&who, &caller, &app), nothing.0, nothing.1).await?)
}

/// On to the operation that was begun, or the page again with what speaks against it.
async fn begun(
    portal: &PortalState,
    visit: &Visit,
    (who, caller, app): (&Principal, &Caller, &AppPath),
    outcome: Result<OperationView, AppError>,
) -> Answer {
    match outcome {
        Ok(operation) => answer::go(&format!("{}/deploys/{}", app_path(caller, app), operation.id)),
        Err(error) => {
            let errors = Errors::from_refusal(error, &[("formation", "formation")])?;
            answer::refused(&page(portal, visit, (who, caller, app), SettingsForm::default(), errors).await?)
        }
    }
}

pub(crate) async fn scale(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(mut typed): Form<BTreeMap<String, String>>,
) -> Answer {
    typed.remove(CSRF_FIELD);
    let mut wanted = BTreeMap::new();
    let mut errors = Errors::default();
    for (service, count) in &typed {
        match count.trim().parse::<u32>() {
            Ok(count) if count <= MOST => {
                wanted.insert(service.clone(), count);
            }
            _ => errors.add(service, portal.stranger(&visit).t("settings.scale.wrong")),
        }
    }
    let at = (&who, &caller, &app);
    if errors.any() {
        let mut page = page(&portal, &visit, at, SettingsForm::default(), errors).await?;
        page.formation = typed;
        return answer::refused(&page);
    }
    let outcome = portal.apps.scale(&caller, &app, wanted).await;
    begun(&portal, &visit, at, outcome).await
}

pub(crate) async fn restart(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
) -> Answer {
    let outcome = portal.apps.restart(&caller, &app).await;
    begun(&portal, &visit, (&who, &caller, &app), outcome).await
}

pub(crate) async fn stop(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
) -> Answer {
    let outcome = portal.apps.stop(&caller, &app).await;
    begun(&portal, &visit, (&who, &caller, &app), outcome).await
}

pub(crate) async fn start(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
) -> Answer {
    let outcome = portal.apps.start(&caller, &app).await;
    begun(&portal, &visit, (&who, &caller, &app), outcome).await
}

pub(crate) async fn create_environment(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<SettingsForm>,
) -> Answer {
    let errors = match form.environment.trim().parse::<EnvironmentSlug>() {
        Err(error) => Errors::field("environment", format!("{error}")),
        Ok(environment) => {
            let new = AppPath { project: app.project.clone(), environment: environment.clone() };
            match portal.apps.create_environment(&caller, &app.project, environment).await {
                Ok(_) => return answer::go_and_say(&app_path(&caller, &new), &visit, "flash.created"),
                Err(AppError::Conflict(message)) => Errors::field("environment", message),
                Err(error) => Errors::from_refusal(error, &[("name", "environment")])?,
            }
        }
    };
    answer::refused(&page(&portal, &visit, (&who, &caller, &app), form, errors).await?)
}

pub(crate) async fn destroy(
    State(portal): State<PortalState>,
    (Me(who), In(caller), App(app)): (Me, In, App),
    visit: Visit,
    Form(form): Form<SettingsForm>,
) -> Answer {
    let at = (&who, &caller, &app);
    let view = portal.app(&visit, &caller, &app).await?;
    // The verb says it in the words of the command line.
    let errors = if form.confirm.trim() == view.display_name() {
        match portal.apps.destroy(&caller, &app, form.confirm.trim()).await {
            Ok(_) => return answer::go_and_say(&tenant_path(&caller), &visit, "flash.destroyed"),
            Err(error) => Errors::from_refusal(error, &[("confirm", "confirm")])?,
        }
    } else {
        Errors::field("confirm", portal.stranger(&visit).t1("settings.destroy.wrong", view.display_name()))
    };
    answer::refused(&page(&portal, &visit, at, form, errors).await?)
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, shell, viewer};
    let path = "/t/acme/shop/production/settings";
    let page = |shell, state, confirm: &str, errors| SettingsPage {
        shell,
        app: app(state),
        tab: Tab::Settings,
        formation: [("web".to_owned(), "2".to_owned()), ("worker".to_owned(), "1".to_owned())].into(),
        form: SettingsForm { confirm: confirm.into(), ..SettingsForm::default() },
        errors,
    };
    let wrong = Errors::field("confirm", "`shpo` is not the app's name: type `shop` to destroy it");
    vec![
        Sample::page("settings", &page(shell(language, path), AppState::Running, "", Errors::default())),
        Sample::page("settings-errors", &page(shell(language, path), AppState::Stopped, "shpo", wrong)),
        Sample::page("settings-viewer", &page(viewer(language, path), AppState::Running, "", Errors::default())),
    ]
}
