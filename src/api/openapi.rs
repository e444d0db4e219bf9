//! The description of the API, made from the handlers' own annotations and the table of routes.
//!
//! The annotations say what a handler takes and gives. What the table knows better is added from it: who may call a
//! path, how they show who they are, the parameters of the path, and the refusals that follow from these.

use http::Method;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::access::{Access, Entry, SESSION_COOKIE};
use super::problem::{MEDIA_TYPE, ProblemBody};
use super::routes::BASE;
use super::{
    accounts, certificates, changes, gateway, jobs, logs, members, operations, platform, projects, run, stacks,
};
use crate::apps::RunRequest;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wharf",
        description = "The API of a Wharf installation: organisations, apps, deploys, operations.\n\n\
            Show an API token as `Authorization: Bearer TOKEN`. A tenant that is not yours is answered like one that \
            does not exist. Errors are `application/problem+json` with a stable `code`. Lists take `limit` and \
            `cursor`. Times are RFC 3339 in UTC. `GET` answers carry an `ETag`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        accounts::setup, accounts::login, accounts::account, accounts::change_password, accounts::tokens,
        accounts::create_token, accounts::revoke_token, accounts::ssh_keys, accounts::add_ssh_key,
        accounts::remove_ssh_key, platform::health, platform::description, platform::manifest_schema, platform::system,
        platform::create_tenant, platform::create_person, members::list, members::put, members::remove,
        projects::list, projects::create, projects::create_environment, projects::detail, projects::destroy,
        projects::config, projects::config_names, projects::change_config, projects::domains, projects::add_domain,
        projects::remove_domain, certificates::list, certificates::detail, certificates::upload,
        certificates::remove, certificates::renew, certificates::change_https, certificates::every,
        certificates::upload_platform, certificates::remove_platform, certificates::renew_platform,
        certificates::local_ca, gateway::show, gateway::change, gateway::traffic, gateway::show_platform,
        gateway::change_platform, gateway::every_traffic, gateway::status, gateway::table, gateway::diff,
        gateway::find, gateway::drain, gateway::purge, gateway::log_level, gateway::set_log_level, changes::scale, changes::restart, changes::stop, changes::start,
        changes::revisions, changes::rollout, changes::pause, changes::resume, changes::promote, changes::abort,
        changes::retry, changes::rollback, changes::deploy_image, changes::deploy_source, changes::plan,
        stacks::diff, stacks::volumes, stacks::secrets, stacks::set_secret, stacks::remove_secret, operations::list,
        jobs::list, jobs::detail, jobs::runs, jobs::start, jobs::run, jobs::cancel, jobs::suspend, jobs::resume,
        operations::detail, operations::cancel, operations::log, operations::events, logs::logs, run::run,
    ),
    components(schemas(ProblemBody, RunRequest)),
    tags(
        (name = "account", description = "Set-up, log-in, one's own tokens and keys"),
        (name = "platform", description = "The installation itself; for operators"),
        (name = "members", description = "Who belongs to an organisation"),
        (name = "apps", description = "Projects and their environments"),
        (name = "configuration", description = "Environment variables"),
        (name = "domains", description = "Host names"),
        (name = "certificates", description = "HTTPS on host names"),
        (name = "gateway", description = "What happens on host names before the app is asked"),
        (name = "deploy", description = "Bringing new images and sources in"),
        (name = "releases", description = "Revisions and rollback"),
        (name = "operate", description = "Scale, restart, logs, one-off commands"),
        (name = "jobs", description = "What runs to its end: jobs and workflows, on a schedule or on request"),
        (name = "operations", description = "Durable units of change and their logs"),
    ),
)]
struct Annotations;

/// The document for the routes that are mounted. Routes outside of the API's base are left out.
pub(super) fn document(entries: &[Entry]) -> Value {
    let mut document = serde_json::to_value(Annotations::openapi()).expect("a description is representable as JSON");
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["components"]["securitySchemes"] = json!({
        "token": {"type": "http", "scheme": "bearer", "description": "An API token (`wharf_…`)"},
        "session": {
            "type": "apiKey", "in": "cookie", "name": SESSION_COOKIE,
            "description": "A browser session; what changes something needs `X-CSRF-Token` too, from a page of ours",
        },
    });
    document["components"]["responses"] = refusals().into_iter().map(|(s, d)| (name(s), refusal(d))).collect();
    for entry in entries.iter().filter(|e| e.path.starts_with(BASE)) {
        let Some(method) = &entry.method else { continue };
        let path = &mut document["paths"][&entry.path];
        let operation = &mut path[method.as_str().to_ascii_lowercase()];
        if operation.is_object() {
            complete(operation, entry);
            if entry.path.contains('{') {
                path["parameters"] = path_parameters(entry);
            }
        }
    }
    document
}

/// What can be refused, by status.
fn refusals() -> [(u16, &'static str); 9] {
    [
        (400, "The request cannot be read"),
        (401, "No credential was shown, or it is not valid"),
        (403, "The credential or the role does not allow this"),
        (404, "It is not there, or not yours"),
        (409, "It cannot be done in the present state, or another operation is changing the app"),
        (413, "The body is too large"),
        (415, "The body has another media type than is taken"),
        (422, "A value is wrong; `field` says which"),
        (500, "The platform failed; `error_id` names the entry in its log"),
    ]
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn refusal(description: &str) -> Value {
    let schema = json!({"schema": {"$ref": "#/components/schemas/ProblemBody"}});
    json!({"description": description, "content": {MEDIA_TYPE: schema}})
}

/// Adds what follows from the table.
fn complete(operation: &mut Value, entry: &Entry) {
    let (rule, sentence) = match entry.access {
        Access::Public => (json!("public"), "Anybody may call this.".to_owned()),
        Access::Account { change: false } => (json!("account"), "Needs a valid credential.".to_owned()),
        Access::Account { change: true } => {
            (json!("account-change"), "Needs a session, or an unbound token of full scope.".to_owned())
        }
        Access::Operator => (json!("operator"), "Only for operators of the platform.".to_owned()),
        Access::Tenant(permission) => {
            let word = serde_json::to_value(permission).expect("a word");
            let sentence = format!("Needs the permission `{}`.", word.as_str().unwrap_or_default());
            operation["x-wharf-permission"] = word;
            (json!("tenant"), sentence)
        }
    };
    operation["x-wharf-access"] = rule;
    let before = operation["description"].as_str().unwrap_or_default();
    operation["description"] = json!(format!("{before}\n\n{sentence}").trim());
    let public = entry.access == Access::Public;
    operation["security"] = if public { json!([]) } else { json!([{"token": []}, {"session": []}]) };
    let has_body = operation.get("requestBody").is_some();
    let accepted = operation["responses"].get("202").is_some();
    if accepted && entry.method == Some(Method::POST) {
        push(
            &mut operation["parameters"],
            json!({
                "name": "Idempotency-Key", "in": "header", "required": false, "schema": {"type": "string", "maxLength": 200},
                "description": "Sent again with the same key within a day, the request is not carried out twice",
            }),
        );
    }
    // Handlers' names are short; with the subject they are unique.
    let id = operation["operationId"].as_str().unwrap_or_default();
    operation["operationId"] = json!(format!("{}_{id}", operation["tags"][0].as_str().unwrap_or("api")));
    for (status, _) in refusals() {
        let possible = match status {
            401 | 403 => !public,
            404 => entry.path.contains('{'),
            409 => entry.method != Some(Method::GET) && !public,
            400 | 413 | 415 | 422 => has_body,
            _ => true,
        };
        if possible {
            operation["responses"][status.to_string()] =
                json!({"$ref": format!("#/components/responses/{}", name(status))});
        }
    }
}

/// The parameters of the path.
fn path_parameters(entry: &Entry) -> Value {
    let names = entry.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let describe = |name: &str| match name {
        "tenant" => "The short name of the organisation",
        "project" => "The name of the app",
        "environment" => "Such as `production`",
        "id" => "The id, as lists give it",
        "host" => "The host name",
        "name" => "The name",
        _ => "The e-mail address",
    };
    let one = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "description": describe(name)});
    names.map(one).collect()
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = Value::Array(vec![item]),
    }
}
