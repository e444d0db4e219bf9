//! Settings of the gateway in the words of the ingress. Pure.
//!
//! A route with settings the ingress would not take must not spoil the whole table: settings are checked when they are
//! said ([`check`]), and a route whose settings cannot be used all the same (an older row, a newer rule) is closed with
//! a page that says so, for leaving them out could open what was to be closed.

use std::collections::BTreeMap;

use super::desired::Wish;
use crate::gateway::model::{self, Balance, Platform, Protocol, Redirect, Robots, Settings};
use crate::ingress;
use crate::ingress::snapshot::{
    AccessLog, Algorithm, BasicAuth, BasicUser, Compression, HeaderEdits, Maintenance, PathRewrite, RateKey, RateLimit,
    Route, Settings as Plane, Shedding, Snapshot, Sticky,
};
use crate::tenancy::model::Domain;

/// Adds to the routes of apps what was set for their hosts.
pub(super) fn apply(routes: &mut [Route], wish: &Wish) {
    let domains: BTreeMap<&str, &Domain> = wish.domains.iter().map(|domain| (domain.host.as_str(), domain)).collect();
    for route in routes {
        // The platform's own routes stay as they are.
        let Some(domain) = route.hosts.first().and_then(|host| domains.get(host.as_str())) else { continue };
        let settings = wish.gateway.on(&domain.environment_id, &domain.host);
        // Most apps say nothing, and there is nothing to check about them.
        let plain = (!settings.is_empty()).then(|| route.clone());
        add(&settings, route);
        if let Some(plain) = plain
            && let Err(reason) = fits(route)
        {
            let host = domain.host.as_str();
            tracing::error!(host, reason, "the gateway settings of a host cannot be used; it is closed until they can");
            *route = closed(plain);
        }
    }
}

fn closed(route: Route) -> Route {
    let message = "The settings of this site cannot be used at the moment.".to_owned();
    Route { maintenance: Some(Maintenance { message, retry_after_secs: Some(60) }), ..route }
}

/// Whether the ingress takes these settings.
///
/// # Errors
/// A sentence about "it": the settings.
pub fn check(settings: &Settings) -> Result<(), String> {
    let mut route = Route { id: "app".to_owned(), hosts: vec!["app.example.com".to_owned()], ..Route::default() };
    if let Some(redirect) = &settings.redirect
        && elsewhere(redirect).is_none()
    {
        return Err(format!("it redirects to `{}`, which is no http or https address", redirect.to));
    }
    if let Some(limit) = &settings.rate_limit
        && rate_key(&limit.by).is_none()
    {
        return Err(format!("it limits by `{}`; use address, app or header:NAME", limit.by));
    }
    add(settings, &mut route);
    // The ingress's own words name the route that was tried, which says nothing here.
    fits(&route).map_err(|reason| reason.replace("route `app`", "it"))
}

/// Whether the ingress takes the platform's settings.
///
/// # Errors
/// A sentence that says what is wrong, and where.
pub fn check_platform(platform: &Platform) -> Result<(), String> {
    check(&platform.defaults)?;
    accepted(Snapshot { settings: plane(platform), ..Snapshot::default() })
}

fn fits(route: &Route) -> Result<(), String> {
    accepted(Snapshot { routes: vec![route.clone()], ..Snapshot::default() })
}

fn accepted(table: Snapshot) -> Result<(), String> {
    let table = Snapshot { version: ingress::snapshot::VERSION, boot: "check".to_owned(), ..table };
    ingress::validate(&table).map_err(|error| error.to_string())
}

/// The settings of the whole data plane.
pub(super) fn plane(platform: &Platform) -> Plane {
    let usual = Plane::default();
    let ms = |seconds: Option<u32>, usual: u64| seconds.map_or(usual, |seconds| u64::from(seconds) * 1_000);
    Plane {
        trusted_proxies: platform.trusted_proxies.clone(),
        proxy_protocol_from: platform.proxy_protocol_from.clone(),
        max_connections: platform.max_connections.unwrap_or(usual.max_connections),
        max_connections_per_address: platform.max_connections_per_address.unwrap_or(usual.max_connections_per_address),
        keep_alive_ms: ms(platform.keep_alive_seconds, usual.keep_alive_ms),
        head_timeout_ms: ms(platform.head_timeout_seconds, usual.head_timeout_ms),
        max_streams: platform.max_streams.unwrap_or(usual.max_streams),
        shedding: Shedding {
            cpu_percent: platform.shed_cpu_percent.unwrap_or(usual.shedding.cpu_percent),
            ..usual.shedding
        },
        access_log: match platform.access_log.unwrap_or_default() {
            model::AccessLog::All => AccessLog::All,
            model::AccessLog::Errors => AccessLog::Errors,
            model::AccessLog::Off => AccessLog::Off,
        },
        ..usual
    }
}

/// Writes settings into a route; what they do not say stays as it is there.
fn add(settings: &Settings, route: &mut Route) {
    if let Some(maintenance) = &settings.maintenance {
        route.maintenance = Some(Maintenance {
            message: maintenance.message.clone(),
            retry_after_secs: maintenance.retry_after_seconds,
        });
    }
    access(settings, route);
    if let Some(limit) = settings.rate_limit.as_ref() {
        route.policy.rate_limit = rate_limit(limit);
    }
    if let Some(redirect) = settings.redirect.as_ref().and_then(elsewhere) {
        route.redirect = Some(redirect);
    }
    edits(&settings.request_headers, &mut route.request_headers);
    edits(&settings.response_headers, &mut route.response_headers);
    route.noindex |= match settings.robots.unwrap_or_default() {
        Robots::Auto => !matches!(route.owner.environment.as_str(), "" | "production"),
        Robots::Allow => false,
        Robots::Deny => true,
    };
    route.error_pages.extend(settings.error_pages.clone());
    if settings.compression.unwrap_or(true) {
        route.compression.get_or_insert_with(Compression::default);
    } else {
        route.compression = None;
    }
    if let Some(bytes) = settings.max_body_bytes {
        route.policy.max_body = Some(bytes);
    }
    if let Some(seconds) = settings.request_timeout_seconds {
        route.policy.response_timeout_ms = u64::from(seconds) * 1_000;
    }
    if let Some(sticky) = settings.sticky {
        route.balance.sticky = sticky.then(Sticky::default);
    }
    if let Some(balance) = settings.balance {
        route.balance.algorithm = match balance {
            Balance::PeakEwma => Algorithm::PeakEwma,
            Balance::RoundRobin => Algorithm::RoundRobin,
            Balance::LeastRequests => Algorithm::LeastRequests,
            Balance::ConsistentHash => Algorithm::ConsistentHash,
        };
    }
    if let Some(protocol) = settings.protocol {
        route.protocol = match protocol {
            Protocol::Http1 => ingress::snapshot::Protocol::Http1,
            Protocol::H2c => ingress::snapshot::Protocol::H2c,
        };
    }
}

fn access(settings: &Settings, route: &mut Route) {
    if !settings.allow.is_empty() {
        route.access.allow.clone_from(&settings.allow);
    }
    if !settings.deny.is_empty() {
        route.access.deny.clone_from(&settings.deny);
    }
    // Nobody named is nobody asked for.
    if let Some(basic) = settings.basic_auth.as_ref().filter(|basic| !basic.users.is_empty()) {
        let user = |(name, user): (&String, &model::User)| BasicUser {
            name: name.clone(),
            hash: user.hash.clone().unwrap_or_default(),
        };
        route.access.basic = Some(BasicAuth {
            realm: basic.realm.clone(),
            users: basic.users.iter().map(user).collect(),
            pass_on: false,
        });
    }
}

fn rate_limit(limit: &model::RateLimit) -> Option<RateLimit> {
    Some(RateLimit {
        name: String::new(),
        requests: limit.requests,
        window_ms: u64::from(limit.per_seconds) * 1_000,
        burst: limit.burst.unwrap_or(limit.requests),
        key: rate_key(&limit.by)?,
    })
}

fn rate_key(by: &str) -> Option<RateKey> {
    match by {
        "address" => Some(RateKey::Address),
        "app" => Some(RateKey::Route),
        other => other.strip_prefix("header:").map(|name| RateKey::Header(name.to_ascii_lowercase())),
    }
}

/// A redirect of its address; `None` when that is none.
fn elsewhere(redirect: &Redirect) -> Option<ingress::snapshot::Redirect> {
    let to: http::Uri = redirect.to.parse().ok()?;
    let scheme = to.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?.to_owned();
    let path = match (to.path(), redirect.keep_path) {
        ("/" | "", true) => None,
        (path, true) => Some(PathRewrite::Prefix(path.to_owned())),
        (path, false) => Some(PathRewrite::Full(path.to_owned())),
    };
    Some(ingress::snapshot::Redirect {
        status: redirect.status,
        scheme: Some(scheme),
        host: Some(to.host()?.to_owned()),
        port: to.port_u16(),
        path,
        keep_query: redirect.keep_path,
    })
}

fn edits(wanted: &BTreeMap<String, String>, edits: &mut HeaderEdits) {
    for (name, value) in wanted {
        if value.is_empty() {
            edits.remove.push(name.clone());
        } else {
            edits.set.push((name.clone(), value.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: serde_json::Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    fn route(environment: &str) -> Route {
        let mut route = Route { id: "a".into(), hosts: vec!["a.test".into()], ..Route::default() };
        route.owner.environment = environment.into();
        route
    }

    #[test]
    fn what_is_said_reaches_the_route_and_the_rest_stays() {
        let mut changed = route("production");
        changed.policy.retries = 7;
        let said = settings(json!({
            "maintenance": {"message": "back at noon", "retry_after_seconds": 60},
            "allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"],
            "basic_auth": {"users": {"ann": {"hash": "$argon2id$x"}}},
            "rate_limit": {"requests": 5, "per_seconds": 10, "by": "header:X-Key"},
            "redirect": {"to": "https://www.example.com:8443/new"},
            "request_headers": {"x-a": "1"}, "response_headers": {"server": "", "x-b": "2"},
            "robots": "deny", "error_pages": {"5xx": "<h1>{status}</h1>"}, "compression": false,
            "max_body_bytes": 9, "request_timeout_seconds": 3, "sticky": true, "balance": "least-requests", "protocol": "h2c",
        }));
        add(&said, &mut changed);
        let made = serde_json::to_value(&changed).unwrap();
        for (path, want) in [
            ("/maintenance", json!({"message": "back at noon", "retry_after_secs": 60})),
            ("/access/allow", json!(["10.0.0.0/8"])),
            ("/access/deny", json!(["10.9.0.0/16"])),
            ("/access/basic/users", json!([{"name": "ann", "hash": "$argon2id$x"}])),
            ("/policy/rate_limit", json!({"requests": 5, "window_ms": 10_000, "burst": 5, "key": {"header": "x-key"}})),
            (
                "/redirect",
                json!({
                    "status": 308, "scheme": "https", "host": "www.example.com", "port": 8443,
                    "path": {"prefix": "/new"}, "keep_query": true,
                }),
            ),
            ("/request_headers", json!({"set": [["x-a", "1"]]})),
            ("/response_headers", json!({"set": [["x-b", "2"]], "remove": ["server"]})),
            ("/noindex", json!(true)),
            ("/error_pages", json!({"5xx": "<h1>{status}</h1>"})),
            ("/compression", serde_json::Value::Null),
            ("/policy/max_body", json!(9)),
            ("/policy/response_timeout_ms", json!(3_000)),
            ("/policy/retries", json!(7)),
            ("/balance/algorithm", json!("least_requests")),
            ("/balance/sticky/cookie", json!("wharf_instance")),
            ("/protocol", json!("h2c")),
        ] {
            assert_eq!(made.pointer(path).cloned().unwrap_or_default(), want, "{path}");
        }
        assert_eq!(fits(&changed), Ok(()));
    }

    #[test]
    fn nothing_said_means_compressed_and_previews_hidden() {
        for (environment, hidden) in [("production", false), ("staging", true)] {
            let mut changed = route(environment);
            add(&Settings::default(), &mut changed);
            let want = Route { noindex: hidden, compression: Some(Compression::default()), ..route(environment) };
            assert_eq!(changed, want);
        }
        let mut found = route("staging");
        add(&settings(json!({"robots": "allow"})), &mut found);
        assert!(!found.noindex);
    }

    #[test]
    fn what_the_ingress_would_not_take_is_refused_when_it_is_said() {
        for (value, word) in [
            (json!({"allow": ["10.0.0.0/40"]}), "10.0.0.0/40"),
            (json!({"rate_limit": {"requests": 0, "per_seconds": 1}}), "without requests"),
            (json!({"rate_limit": {"requests": 1, "per_seconds": 1, "by": "moon"}}), "moon"),
            (json!({"redirect": {"to": "www.example.com"}}), "www.example.com"),
            (json!({"redirect": {"to": "ftp://a.test"}}), "ftp://"),
            (json!({"redirect": {"to": "https://a.test", "status": 200}}), "200"),
            (json!({"request_headers": {"host": "x"}}), "host"),
            (json!({"response_headers": {"x": "a\r\nb: c"}}), "cannot hold"),
            (json!({"error_pages": {"200": "x"}}), "200"),
            (json!({"basic_auth": {"users": {"a": {}}}}), "argon2"),
        ] {
            let error = check(&settings(value.clone())).unwrap_err();
            assert!(error.contains(word), "{value}: {error}");
        }
        let bad = Platform { trusted_proxies: vec!["nowhere".into()], ..Platform::default() };
        assert!(check_platform(&bad).unwrap_err().contains("nowhere"));
    }
}
