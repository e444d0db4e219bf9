//! Checks one route; the error completes a sentence that begins with the route's name.

use std::collections::HashSet;

use super::{Network, is_path_prefix};
use crate::ingress::matching::regex;
use crate::ingress::snapshot::{
    Access, HashKey, HeaderEdits, Matching, PathMatch, PathRewrite, Pin, RateKey, RateLimit, Redirect, Route,
    ValueMatch,
};

/// Most conditions, pins, edits or rate limits of one kind in a route.
const MAX_LIST: usize = 64;
/// Largest error page in bytes, and most of them.
const MAX_PAGE: usize = 64 << 10;
const MAX_PAGES: usize = 8;
/// Most users of basic auth.
const MAX_USERS: usize = 1_000;
/// Headers that belong to the framing of messages: changing them could make two readers disagree.
const FRAMING: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

type Checked = Result<(), String>;

/// All that can be wrong with one route by itself.
pub(super) fn check(route: &Route) -> Checked {
    matching(&route.matching)?;
    backends(route)?;
    balance(route)?;
    header_edits("request_headers", &route.request_headers)?;
    header_edits("response_headers", &route.response_headers)?;
    if let Some(path) = &route.rewrite.path {
        path_rewrite("rewrite.path", path)?;
    }
    if let Some(host) = &route.rewrite.host {
        host_name("rewrite.host", host)?;
    }
    route.redirect.as_ref().map_or(Ok(()), redirect)?;
    access(&route.access)?;
    error_pages(route)?;
    policy(route)
}

fn matching(matching: &Matching) -> Checked {
    match &matching.path {
        Some(PathMatch::Exact(path)) if !is_path_prefix(path) => {
            return Err(format!("has the exact path `{path}`, which is no path"));
        }
        Some(PathMatch::Regex(pattern)) => compiles("matching.path", pattern)?,
        _ => {}
    }
    let is_method = |method: &String| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if let Some(method) = matching.methods.iter().find(|method| !is_method(method)) {
        return Err(format!("names the method `{method}`; methods are written in capitals"));
    }
    for (what, list) in [("headers", &matching.headers), ("cookies", &matching.cookies), ("query", &matching.query)] {
        if list.len() > MAX_LIST {
            return Err(format!("has more than {MAX_LIST} conditions in matching.{what}"));
        }
        list.iter().try_for_each(|one| value_match(what, one))?;
    }
    Ok(())
}

fn value_match(what: &str, one: &ValueMatch) -> Checked {
    if !is_token(&one.name) {
        return Err(format!("has a condition on {what} whose name `{}` is no name", one.name));
    }
    let tests = [&one.exact, &one.prefix, &one.regex].iter().filter(|test| test.is_some()).count();
    if tests > 1 {
        return Err(format!("tests `{}` in more than one way; use one of exact, prefix, regex", one.name));
    }
    one.regex.as_ref().map_or(Ok(()), |pattern| compiles(&one.name, pattern))
}

fn compiles(place: &str, pattern: &str) -> Checked {
    regex(pattern).map(|_| ()).map_err(|reason| format!("has the pattern `{pattern}` in {place}, which {reason}"))
}

fn backends(route: &Route) -> Checked {
    let mut ids = HashSet::new();
    for backend in &route.backends {
        if backend.id.is_empty() || backend.id.contains('\n') || !ids.insert(backend.id.as_str()) {
            return Err(format!("has the backend `{}` twice or without an id", backend.id));
        }
        if backend.pins.len() > MAX_LIST {
            return Err(format!("has more than {MAX_LIST} pins for backend `{}`", backend.id));
        }
        for pin in &backend.pins {
            let (Pin::Header(one) | Pin::Cookie(one)) = pin;
            value_match("pins", one)?;
        }
    }
    if !route.backends.is_empty() && route.backends.iter().all(|backend| backend.weight == 0) {
        return Err("gives every backend the weight 0; at least one needs more".into());
    }
    if let Some(stray) = route.upstreams.iter().find(|upstream| !ids.contains(upstream.backend.as_str()))
        && !(route.backends.is_empty() && stray.backend.is_empty())
    {
        return Err(format!("has the upstream `{}` of backend `{}`, which it does not list", stray.id, stray.backend));
    }
    if let Some(mirror) = &route.mirror {
        if !ids.contains(mirror.backend.as_str()) {
            return Err(format!("mirrors to the backend `{}`, which it does not list", mirror.backend));
        }
        if !(0.0..=100.0).contains(&mirror.percent) {
            return Err("has a mirror percentage that is not between 0 and 100".into());
        }
    }
    Ok(())
}

fn balance(route: &Route) -> Checked {
    let balance = &route.balance;
    if balance.bounded_load_percent < 100 {
        return Err("has a bounded_load_percent below 100, which could not carry the load".into());
    }
    for key in [Some(&balance.hash_by), balance.split_by.as_ref()].into_iter().flatten() {
        if let HashKey::Header(name) | HashKey::Cookie(name) = key
            && !is_token(name)
        {
            return Err(format!("hashes by `{name}`, which is no name"));
        }
    }
    match &balance.sticky {
        Some(sticky) if !is_token(&sticky.cookie) => {
            Err(format!("has the sticky cookie `{}`, which is no name", sticky.cookie))
        }
        _ => Ok(()),
    }
}

fn header_edits(place: &str, edits: &HeaderEdits) -> Checked {
    if edits.set.len() + edits.add.len() + edits.remove.len() > MAX_LIST {
        return Err(format!("has more than {MAX_LIST} changes in {place}"));
    }
    let pairs = || edits.set.iter().chain(&edits.add);
    for name in pairs().map(|(name, _)| name).chain(&edits.remove) {
        if !is_token(name) {
            return Err(format!("changes the header `{name}` in {place}, which is no header name"));
        }
        if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!(
                "changes `{name}` in {place}; the ingress sets that header itself (use rewrite.host for the host)"
            ));
        }
    }
    match pairs().find(|(_, value)| !is_value(value)) {
        Some((name, _)) => Err(format!("has a value for `{name}` in {place} with characters a header cannot hold")),
        None => Ok(()),
    }
}

fn path_rewrite(place: &str, rewrite: &PathRewrite) -> Checked {
    match rewrite {
        PathRewrite::Prefix(path) | PathRewrite::Full(path) if !is_path_prefix(path) => {
            Err(format!("has `{path}` in {place}, which is no path"))
        }
        PathRewrite::Prefix(_) | PathRewrite::Full(_) => Ok(()),
        PathRewrite::Regex { pattern, replacement } => {
            compiles(place, pattern)?;
            let allowed = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'?' && byte != b'#' && byte != b'\\';
            if replacement.bytes().all(allowed) {
                Ok(())
            } else {
                Err(format!("has the replacement `{replacement}` in {place} with characters a path cannot hold"))
            }
        }
    }
}

fn host_name(place: &str, host: &str) -> Checked {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if !host.is_empty() && host.len() <= 260 && host.bytes().all(allowed) {
        Ok(())
    } else {
        Err(format!("has `{host}` in {place}, which is no host"))
    }
}

fn redirect(redirect: &Redirect) -> Checked {
    if ![301, 302, 303, 307, 308].contains(&redirect.status) {
        return Err(format!("redirects with status {}; use 301, 302, 303, 307 or 308", redirect.status));
    }
    if redirect.scheme.as_ref().is_some_and(|scheme| !["http", "https"].contains(&scheme.as_str())) {
        return Err("redirects to a scheme that is neither http nor https".into());
    }
    if let Some(host) = &redirect.host {
        host_name("redirect.host", host)?;
    }
    if redirect.scheme.is_none() && redirect.host.is_none() && redirect.port.is_none() && redirect.path.is_none() {
        return Err("redirects to where the request came from; set scheme, host, port or path".into());
    }
    redirect.path.as_ref().map_or(Ok(()), |path| path_rewrite("redirect.path", path))
}

fn access(access: &Access) -> Checked {
    if let Some(bad) = access.allow.iter().chain(&access.deny).find(|text| Network::parse(text).is_none()) {
        return Err(format!("has `{bad}` in its access lists, which is not an address or network"));
    }
    if let Some(basic) = &access.basic {
        if basic.users.is_empty() || basic.users.len() > MAX_USERS {
            return Err(format!("needs 1 to {MAX_USERS} users for basic auth"));
        }
        if let Some(user) = basic.users.iter().find(|user| !user.hash.starts_with("$argon2") || user.name.contains(':'))
        {
            return Err(format!("has the user `{}` without an argon2 hash or with a colon in the name", user.name));
        }
        if !is_value(&basic.realm) || basic.realm.contains(['"', '\\']) {
            return Err("has a realm with characters a header cannot hold".into());
        }
    }
    if let Some(forward) = &access.forward {
        if !is_path_prefix(forward.path.split('?').next().unwrap_or_default()) || !is_value(&forward.path) {
            return Err(format!("asks forward auth at `{}`, which is no path", forward.path));
        }
        if !forward.host.is_empty() {
            host_name("access.forward.host", &forward.host)?;
        }
        if let Some(name) = forward
            .copy_headers
            .iter()
            .find(|name| !is_token(name) || FRAMING.contains(&name.to_ascii_lowercase().as_str()))
        {
            return Err(format!("copies the header `{name}` from forward auth, which cannot be copied"));
        }
        if forward.timeout_ms == 0 {
            return Err("has no time-out for forward auth".into());
        }
    }
    Ok(())
}

fn error_pages(route: &Route) -> Checked {
    if route.error_pages.len() > MAX_PAGES {
        return Err(format!("has more than {MAX_PAGES} error pages"));
    }
    for (key, page) in &route.error_pages {
        let is_status = key.len() == 3 && key.parse::<u16>().is_ok_and(|status| (400..600).contains(&status));
        if !is_status && !["4xx", "5xx", "maintenance", "*"].contains(&key.as_str()) {
            return Err(format!("has an error page for `{key}`; use a status, `4xx`, `5xx`, `maintenance` or `*`"));
        }
        if page.len() > MAX_PAGE {
            return Err(format!("has an error page for `{key}` of more than 64 KiB"));
        }
    }
    Ok(())
}

fn policy(route: &Route) -> Checked {
    let policy = &route.policy;
    if policy.rate_limits.len() > MAX_LIST {
        return Err(format!("has more than {MAX_LIST} rate limits"));
    }
    policy.rate_limit.iter().chain(&policy.rate_limits).try_for_each(rate_limit)?;
    if let Some(status) = policy.retry.on_status.iter().find(|status| !(500..600).contains(*status)) {
        return Err(format!("retries on status {status}; only 5xx can be retried"));
    }
    if let Some(outlier) = &policy.outlier
        && (outlier.failure_percent > 100 || outlier.max_ejected_percent > 100)
    {
        return Err("has a percentage over 100 in policy.outlier".into());
    }
    if let Some(check) = &policy.active_check
        && (check.interval_ms < 100 || check.timeout_ms == 0 || !is_value(&check.path) || !is_value(&check.host))
    {
        return Err("needs an active check with an interval of at least 100 ms, a time-out and a path".into());
    }
    if let Some(breaker) = &policy.breaker
        && (breaker.failure_percent > 100 || breaker.failure_percent == 0 || breaker.window_ms < 100)
    {
        return Err("needs a breaker with a failure_percent of 1 to 100 and a window of at least 100 ms".into());
    }
    if let Some(limit) = &policy.concurrency
        && (limit.max == 0 || (limit.adaptive && (limit.min == 0 || limit.min > limit.max)))
    {
        return Err("needs a concurrency limit with 1 <= min <= max".into());
    }
    match &route.waiting_room {
        Some(room) if room.max_wait_ms == 0 || room.max_wait_ms > 600_000 => {
            Err("needs a waiting room with a time of 1 ms to 10 minutes".into())
        }
        _ => Ok(()),
    }
}

fn rate_limit(limit: &RateLimit) -> Checked {
    if limit.requests == 0 || limit.window_ms == 0 {
        return Err("has a rate limit without requests or window; use maintenance to refuse all".into());
    }
    if !is_value(&limit.name) || limit.name.contains(['"', '\\']) {
        return Err("has a rate limit whose name a header cannot hold".into());
    }
    match &limit.key {
        RateKey::Header(name) if !is_token(name) => {
            Err(format!("limits by the header `{name}`, which is no header name"))
        }
        _ => Ok(()),
    }
}

/// A token of HTTP: header, cookie and parameter names.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 256 && name.bytes().all(allowed)
}

/// What a header value or path may hold here: visible ASCII and spaces, no line ends.
fn is_value(value: &str) -> bool {
    value.len() <= 4_096 && value.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}
