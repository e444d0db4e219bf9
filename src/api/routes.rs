//! The table of the API: every path, who may call it, and what answers.

use axum::handler::Handler as _;
use axum::middleware::from_fn_with_state;

use super::access::{Account, Mounted, Operator, Permission, Public, Routes, Within};
use super::idempotency::{Idempotency, once};
use super::problem::FACE;
use super::reply::finish;
use super::{
    ApiState, accounts, certificates, changes, gateway, jobs, logs, members, openapi, operations, platform, projects,
    run, stacks,
};

/// Below this all of the API lies.
pub(super) const BASE: &str = "/api/v1";
/// A tenant.
pub(super) const TENANT: &str = "/api/v1/tenants/{tenant}";
/// An environment of a project: an app.
pub(super) const APP: &str = "/api/v1/tenants/{tenant}/projects/{project}/environments/{environment}";

type Table = Routes<ApiState>;

pub(super) fn mount(state: ApiState) -> Mounted {
    let (random, document) = (state.random.clone(), state.document.clone());
    let once = Idempotency::new(state.clock.clone());
    let table = Routes::new(state.guard.clone(), FACE, state);
    let table = app_changes(app(tenant(data_plane(platform(table))), &once), &once);
    let table = app_jobs(table, &once);
    let table = table.any("/api", Public, platform::unknown).any("/api/{*rest}", Public, platform::unknown);
    let mounted = table.finish().wrap(|router| {
        router.method_not_allowed_fallback(platform::wrong_method).layer(from_fn_with_state(random, finish))
    });
    document.get_or_init(|| openapi::document(mounted.entries()).to_string());
    mounted
}

fn platform(table: Table) -> Table {
    let path = |rest: &str| format!("{BASE}{rest}");
    table
        .get(&path("/health"), Public, platform::health)
        .get(&path("/openapi.json"), Public, platform::description)
        .get(&path("/schemas/compose.json"), Public, platform::manifest_schema)
        .post(&path("/setup"), Public, accounts::setup)
        .post(&path("/login"), Public, accounts::login)
        .get(&path("/account"), Account::SEE, accounts::account)
        .put(&path("/account/password"), Account::CHANGE, accounts::change_password)
        .get(&path("/account/tokens"), Account::SEE, accounts::tokens)
        .post(&path("/account/tokens"), Account::CHANGE, accounts::create_token)
        .delete(&path("/account/tokens/{id}"), Account::CHANGE, accounts::revoke_token)
        .get(&path("/account/ssh-keys"), Account::SEE, accounts::ssh_keys)
        .post(&path("/account/ssh-keys"), Account::CHANGE, accounts::add_ssh_key)
        .delete(&path("/account/ssh-keys/{id}"), Account::CHANGE, accounts::remove_ssh_key)
        .post(&path("/tenants"), Operator, platform::create_tenant)
        .post(&path("/people"), Operator, platform::create_person)
        .get(&path("/system"), Operator, platform::system)
        .get(&path("/local-ca.pem"), Public, certificates::local_ca)
        .get(&path("/certificates"), Operator, certificates::every)
        .put(&path("/certificates/{host}"), Operator, certificates::upload_platform)
        .delete(&path("/certificates/{host}"), Operator, certificates::remove_platform)
        .post(&path("/certificates/{host}/renew"), Operator, certificates::renew_platform)
}

fn data_plane(table: Table) -> Table {
    let path = |rest: &str| format!("{BASE}/gateway{rest}");
    table
        .get(&path(""), Operator, gateway::show_platform)
        .patch(&path(""), Operator, gateway::change_platform)
        .get(&path("/routes"), Operator, gateway::every_traffic)
        .get(&path("/status"), Operator, gateway::status)
        .get(&path("/table"), Operator, gateway::table)
        .post(&path("/diff"), Operator, gateway::diff)
        .get(&path("/match"), Operator, gateway::find)
        .post(&path("/drain"), Operator, gateway::drain)
        .post(&path("/purge"), Operator, gateway::purge)
        .get(&path("/log-level"), Operator, gateway::log_level)
        .put(&path("/log-level"), Operator, gateway::set_log_level)
}

fn tenant(table: Table) -> Table {
    let path = |rest: &str| format!("{TENANT}{rest}");
    table
        .get(&path("/members"), Within(Permission::MemberView), members::list)
        .put(&path("/members"), Within(Permission::MemberManage), members::put)
        .delete(&path("/members/{email}"), Within(Permission::MemberManage), members::remove)
        .get(&path("/projects"), Within(Permission::AppView), projects::list)
        .post(&path("/projects"), Within(Permission::AppCreate), projects::create)
        .post(&path("/projects/{project}/environments"), Within(Permission::AppCreate), projects::create_environment)
}

fn app(table: Table, keys: &Idempotency) -> Table {
    let path = |rest: &str| format!("{APP}{rest}");
    let once = || from_fn_with_state(keys.clone(), once);
    table
        .get(APP, Within(Permission::AppView), projects::detail)
        .delete(APP, Within(Permission::AppDestroy), projects::destroy)
        .get(&path("/config"), Within(Permission::AppConfig), projects::config)
        .get(&path("/config/names"), Within(Permission::AppView), projects::config_names)
        .patch(&path("/config"), Within(Permission::AppConfig), projects::change_config)
        .get(&path("/domains"), Within(Permission::AppView), projects::domains)
        .post(&path("/domains"), Within(Permission::AppDomains), projects::add_domain)
        .delete(&path("/domains/{host}"), Within(Permission::AppDomains), projects::remove_domain)
        .get(&path("/certificates"), Within(Permission::AppView), certificates::list)
        .get(&path("/certificates/{host}"), Within(Permission::AppView), certificates::detail)
        .put(&path("/certificates/{host}"), Within(Permission::AppDomains), certificates::upload)
        .delete(&path("/certificates/{host}"), Within(Permission::AppDomains), certificates::remove)
        .post(&path("/certificates/{host}/renew"), Within(Permission::AppDomains), certificates::renew)
        .put(&path("/certificates/{host}/https"), Within(Permission::AppDomains), certificates::change_https)
        .get(&path("/gateway"), Within(Permission::AppView), gateway::show)
        .patch(&path("/gateway"), Within(Permission::AppDomains), gateway::change)
        .get(&path("/gateway/routes"), Within(Permission::AppView), gateway::traffic)
        .get(&path("/operations"), Within(Permission::AppView), operations::list)
        .get(&path("/operations/{id}"), Within(Permission::AppView), operations::detail)
        .post(&path("/operations/{id}/cancel"), Within(Permission::AppDeploy), operations::cancel.layer(once()))
        .get(&path("/operations/{id}/log"), Within(Permission::AppLogs), operations::log)
        .get(&path("/operations/{id}/events"), Within(Permission::AppLogs), operations::events)
        .get(&path("/logs"), Within(Permission::AppLogs), logs::logs)
        .get(&path("/run"), Within(Permission::AppExec), run::run)
}

fn app_jobs(table: Table, keys: &Idempotency) -> Table {
    let path = |rest: &str| format!("{APP}/jobs{rest}");
    let once = || from_fn_with_state(keys.clone(), once);
    table
        .get(&path(""), Within(Permission::AppView), jobs::list)
        .get(&path("/{name}"), Within(Permission::AppView), jobs::detail)
        .get(&path("/{name}/runs"), Within(Permission::AppView), jobs::runs)
        .post(&path("/{name}/runs"), Within(Permission::AppOperate), jobs::start.layer(once()))
        .get(&path("/{name}/runs/{number}"), Within(Permission::AppView), jobs::run)
        .post(&path("/{name}/runs/{number}/cancel"), Within(Permission::AppOperate), jobs::cancel)
        .post(&path("/{name}/suspend"), Within(Permission::AppOperate), jobs::suspend)
        .post(&path("/{name}/resume"), Within(Permission::AppOperate), jobs::resume)
}

fn app_changes(table: Table, keys: &Idempotency) -> Table {
    let path = |rest: &str| format!("{APP}{rest}");
    let once = || from_fn_with_state(keys.clone(), once);
    table
        .put(&path("/formation"), Within(Permission::AppOperate), changes::scale)
        .post(&path("/restart"), Within(Permission::AppOperate), changes::restart.layer(once()))
        .post(&path("/stop"), Within(Permission::AppOperate), changes::stop.layer(once()))
        .post(&path("/start"), Within(Permission::AppOperate), changes::start.layer(once()))
        .get(&path("/revisions"), Within(Permission::AppView), changes::revisions)
        .get(&path("/rollout"), Within(Permission::AppView), changes::rollout)
        .post(&path("/rollout/pause"), Within(Permission::AppDeploy), changes::pause)
        .post(&path("/rollout/resume"), Within(Permission::AppDeploy), changes::resume)
        .post(&path("/rollout/promote"), Within(Permission::AppDeploy), changes::promote)
        .post(&path("/rollout/abort"), Within(Permission::AppDeploy), changes::abort)
        .post(&path("/retry"), Within(Permission::AppOperate), changes::retry)
        .post(&path("/rollback"), Within(Permission::AppDeploy), changes::rollback.layer(once()))
        .post(&path("/deployments"), Within(Permission::AppDeploy), changes::deploy_image.layer(once()))
        .post(&path("/plan"), Within(Permission::AppDeploy), changes::plan)
        .get(&path("/diff"), Within(Permission::AppView), stacks::diff)
        .get(&path("/volumes"), Within(Permission::AppView), stacks::volumes)
        .get(&path("/secrets"), Within(Permission::AppView), stacks::secrets)
        .put(&path("/secrets/{name}"), Within(Permission::AppConfig), stacks::set_secret)
        .delete(&path("/secrets/{name}"), Within(Permission::AppConfig), stacks::remove_secret)
        .post(&path("/sources"), Within(Permission::AppDeploy), changes::deploy_source.layer(once()))
}
