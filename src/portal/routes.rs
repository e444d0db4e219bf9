//! The portal's table: every page and form with who may use it.

use axum::handler::Handler as _;
use axum::middleware::from_fn_with_state;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use super::PortalState;
use super::outer::{FACE, finish};
use super::pages::{
    account, apps, config, data_plane, deploys, difference, domains, error, gateway, home, jobs, login, logs, members,
    new_app, new_organisation, new_person, operation, overview, releases, rollout, secrets, settings, setup, statics,
    volumes,
};
use crate::api::access::{Account, Mounted, Operator, Permission, Public, Routes, Within};

type Table = Routes<PortalState>;

/// Where the pages of one app lie.
const APP: &str = "/t/{tenant}/{project}/{environment}";

/// Mounts everything.
pub(super) fn mount(state: PortalState) -> Mounted {
    let table = Routes::new(state.guard.clone(), FACE, state.clone());
    let table = app_changes(app(tenant(personal(public(table)))));
    table.finish().wrap(|router| router.layer(from_fn_with_state(state, finish)))
}

fn public(table: Table) -> Table {
    table
        .get("/static/{fingerprint}/{name}", Public, statics::file.layer(packed()))
        .get("/setup", Public, setup::show)
        .post("/setup", Public, setup::submit)
        .get("/login", Public, login::show)
        .post("/login", Public, login::submit)
        .post("/preferences", Public, home::preferences)
        .any("/{*rest}", Public, error::nothing_here)
}

/// Files are sent compressed, fonts excepted, which are so already. Pages are not: they hold the session's CSRF token, and
/// the size of a compressed page would tell an attacker who makes it echo guesses how near they are (BREACH).
fn packed() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(NotForContentType::const_new("font/")))
}

fn personal(table: Table) -> Table {
    table
        .get("/", Account::SEE, home::show)
        .post("/logout", Account::SEE, login::leave)
        .get("/account", Account::SEE, account::show)
        .post("/account/password", Account::CHANGE, account::change_password)
        .post("/account/tokens", Account::CHANGE, account::make_token)
        .post("/account/tokens/{id}/revoke", Account::CHANGE, account::revoke_token)
        .post("/account/ssh-keys", Account::CHANGE, account::add_key)
        .post("/account/ssh-keys/{id}/remove", Account::CHANGE, account::remove_key)
        .get("/organisations/new", Operator, new_organisation::show)
        .post("/organisations/new", Operator, new_organisation::submit)
        .get("/people/new", Operator, new_person::show)
        .post("/people/new", Operator, new_person::submit)
        .get("/gateway", Operator, data_plane::show)
        .post("/gateway", Operator, data_plane::change)
        .post("/gateway/drain", Operator, data_plane::drain)
        .post("/gateway/purge", Operator, data_plane::purge)
}

fn tenant(table: Table) -> Table {
    table
        .get("/t/{tenant}", Within(Permission::AppView), apps::show)
        .get("/t/{tenant}/new", Within(Permission::AppCreate), new_app::show)
        .post("/t/{tenant}/new", Within(Permission::AppCreate), new_app::submit)
        .get("/t/{tenant}/members", Within(Permission::MemberView), members::show)
        .post("/t/{tenant}/members", Within(Permission::MemberManage), members::put)
        .post("/t/{tenant}/members/remove", Within(Permission::MemberManage), members::remove)
        .get("/t/{tenant}/{project}", Within(Permission::AppView), overview::production)
}

fn app(table: Table) -> Table {
    let path = |rest: &str| format!("{APP}{rest}");
    table
        .get(APP, Within(Permission::AppView), overview::show)
        .get(&path("/deploys"), Within(Permission::AppView), deploys::show)
        .get(&path("/deploys/{operation}"), Within(Permission::AppLogs), operation::show)
        .get(&path("/deploys/{operation}/events"), Within(Permission::AppLogs), operation::events)
        .get(&path("/releases"), Within(Permission::AppView), releases::show)
        .get(&path("/releases/{revision}/diff"), Within(Permission::AppView), difference::show)
        .get(&path("/secrets"), Within(Permission::AppView), secrets::show)
        .get(&path("/volumes"), Within(Permission::AppView), volumes::show)
        .get(&path("/jobs"), Within(Permission::AppView), jobs::show)
        .get(&path("/jobs/{job}"), Within(Permission::AppView), jobs::detail)
        .get(&path("/jobs/{job}/{run}"), Within(Permission::AppView), jobs::detail)
        .get(&path("/config"), Within(Permission::AppView), config::show)
        .get(&path("/config/values"), Within(Permission::AppConfig), config::show_values)
        .get(&path("/domains"), Within(Permission::AppView), domains::show)
        .get(&path("/gateway"), Within(Permission::AppView), gateway::show)
        .get(&path("/logs"), Within(Permission::AppLogs), logs::show)
        .get(&path("/logs/events"), Within(Permission::AppLogs), logs::events)
        .get(&path("/settings"), Within(Permission::AppView), settings::show)
}

fn app_changes(table: Table) -> Table {
    let path = |rest: &str| format!("{APP}{rest}");
    table
        .post(&path("/deploys/{operation}/cancel"), Within(Permission::AppDeploy), operation::cancel)
        .post(&path("/releases/rollback"), Within(Permission::AppDeploy), releases::roll_back)
        .post(&path("/rollout/pause"), Within(Permission::AppDeploy), rollout::pause)
        .post(&path("/rollout/resume"), Within(Permission::AppDeploy), rollout::resume)
        .post(&path("/rollout/promote"), Within(Permission::AppDeploy), rollout::promote)
        .post(&path("/rollout/abort"), Within(Permission::AppDeploy), rollout::abort)
        .post(&path("/retry"), Within(Permission::AppOperate), rollout::retry)
        .post(&path("/jobs/{job}/run"), Within(Permission::AppOperate), jobs::start)
        .post(&path("/jobs/{job}/suspend"), Within(Permission::AppOperate), jobs::suspend)
        .post(&path("/jobs/{job}/resume"), Within(Permission::AppOperate), jobs::resume)
        .post(&path("/jobs/{job}/{run}/cancel"), Within(Permission::AppOperate), jobs::cancel)
        .post(&path("/config"), Within(Permission::AppConfig), config::change)
        .post(&path("/secrets"), Within(Permission::AppConfig), secrets::set)
        .post(&path("/secrets/remove"), Within(Permission::AppConfig), secrets::remove)
        .post(&path("/domains"), Within(Permission::AppDomains), domains::add)
        .post(&path("/domains/remove"), Within(Permission::AppDomains), domains::remove)
        .post(&path("/domains/certificate"), Within(Permission::AppDomains), domains::upload)
        .post(&path("/domains/certificate/remove"), Within(Permission::AppDomains), domains::remove_upload)
        .post(&path("/domains/certificate/renew"), Within(Permission::AppDomains), domains::renew)
        .post(&path("/gateway"), Within(Permission::AppDomains), gateway::change)
        .post(&path("/gateway/maintenance/on"), Within(Permission::AppDomains), gateway::maintenance_on)
        .post(&path("/gateway/maintenance/off"), Within(Permission::AppDomains), gateway::maintenance_off)
        .post(&path("/gateway/visitors"), Within(Permission::AppDomains), gateway::add_visitor)
        .post(&path("/gateway/visitors/remove"), Within(Permission::AppDomains), gateway::remove_visitor)
        .post(&path("/settings/scale"), Within(Permission::AppOperate), settings::scale)
        .post(&path("/settings/restart"), Within(Permission::AppOperate), settings::restart)
        .post(&path("/settings/stop"), Within(Permission::AppOperate), settings::stop)
        .post(&path("/settings/start"), Within(Permission::AppOperate), settings::start)
        .post(&path("/settings/environments"), Within(Permission::AppCreate), settings::create_environment)
        .post(&path("/settings/destroy"), Within(Permission::AppDestroy), settings::destroy)
}
