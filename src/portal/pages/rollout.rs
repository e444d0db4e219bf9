//! The buttons of a rollout under way, and of a service that was left to a person. They stand on the overview.

use axum::extract::Form;
use serde::Deserialize;

use crate::api::access::{App, In, State};
use crate::apps::{AppPath, Caller, RolloutCommand};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::context::app_path;

async fn change(portal: &PortalState, caller: &Caller, app: &AppPath, command: RolloutCommand) -> Answer {
    portal.apps.change_rollout(caller, app, command).await?;
    answer::go(&app_path(caller, app))
}

pub(crate) async fn pause(State(portal): State<PortalState>, In(caller): In, App(app): App) -> Answer {
    change(&portal, &caller, &app, RolloutCommand::Pause).await
}

pub(crate) async fn resume(State(portal): State<PortalState>, In(caller): In, App(app): App) -> Answer {
    change(&portal, &caller, &app, RolloutCommand::Resume).await
}

pub(crate) async fn promote(State(portal): State<PortalState>, In(caller): In, App(app): App) -> Answer {
    change(&portal, &caller, &app, RolloutCommand::Promote { full: false }).await
}

pub(crate) async fn abort(State(portal): State<PortalState>, In(caller): In, App(app): App) -> Answer {
    change(&portal, &caller, &app, RolloutCommand::Abort).await
}

/// The service a button stands for.
#[derive(Debug, Deserialize)]
pub(crate) struct Retry {
    service: String,
}

pub(crate) async fn retry(
    State(portal): State<PortalState>,
    (In(caller), App(app)): (In, App),
    Form(what): Form<Retry>,
) -> Answer {
    portal.apps.retry(&caller, &app, &what.service).await?;
    answer::go(&app_path(&caller, &app))
}
