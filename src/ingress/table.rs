//! The compiled route table: what a snapshot becomes before requests use it. Pure: matching only.
//!
//! Order of matching: exact host, then the longest wildcard, then `*`; within a host the longest path prefix. A host
//! that has no prefix for the path falls through to the next, so a wildcard can hold what an exact host leaves open.

use std::collections::HashMap;
use std::sync::Arc;

use super::l4::table::Listeners;
use super::rate::Limiter;
use super::snapshot::{Route, Snapshot};
use super::stats::{Registry, RouteStats, UpstreamState};
use super::validate::Network;

/// A table ready for use; immutable, shared by all threads.
#[derive(Debug)]
pub(crate) struct Table {
    pub snapshot: Arc<Snapshot>,
    pub routes: Vec<RouteEntry>,
    pub listeners: Listeners,
    trusted: Vec<Network>,
    /// Whose connections begin with a PROXY header.
    heralded: Vec<Network>,
    exact: HashMap<Box<str>, Vec<Rule>>,
    /// Keyed by the part after `*.`.
    wildcard: HashMap<Box<str>, Vec<Rule>>,
    any: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// Without a slash at the end; empty takes all.
    prefix: Box<str>,
    route: usize,
}

/// A route with what is remembered about it across snapshots.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub route: Route,
    pub stats: Arc<RouteStats>,
    pub upstreams: Vec<Arc<UpstreamState>>,
    pub limiter: Option<Arc<Limiter>>,
    /// The route's part of an access-log line, rendered once.
    pub log_fields: String,
}

impl Table {
    /// Compiles a valid snapshot; states of upstreams and routes that stay are taken over from the registry.
    pub(crate) fn compile(snapshot: Arc<Snapshot>, registry: &mut Registry) -> Self {
        let mut table = Self {
            listeners: Listeners::compile(&snapshot, registry),
            heralded: networks(&snapshot.settings.proxy_protocol_from),
            trusted: networks(&snapshot.settings.trusted_proxies),
            routes: Vec::with_capacity(snapshot.routes.len()),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Vec::new(),
            snapshot: Arc::clone(&snapshot),
        };
        for (index, route) in snapshot.routes.iter().enumerate() {
            for host in &route.hosts {
                let rule = Rule { prefix: route.path_prefix.trim_end_matches('/').into(), route: index };
                let host = host.to_ascii_lowercase();
                match host.strip_prefix("*.") {
                    Some(suffix) => table.wildcard.entry(suffix.into()).or_default().push(rule),
                    None if host == "*" => table.any.push(rule),
                    None => table.exact.entry(host.into()).or_default().push(rule),
                }
            }
            table.routes.push(RouteEntry {
                stats: registry.route(&route.id),
                upstreams: route.upstreams.iter().map(|upstream| registry.upstream(&route.id, upstream)).collect(),
                limiter: route.policy.rate_limit.as_ref().map(|limit| registry.limiter(&route.id, limit)),
                log_fields: super::phases::log::route_fields(route),
                route: route.clone(),
            });
        }
        let lists = table.exact.values_mut().chain(table.wildcard.values_mut()).chain([&mut table.any]);
        for rules in lists {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        }
        table
    }

    /// The route for a host (any case, port allowed) and a path.
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Match {
        let mut name = [0u8; 256];
        let Some(host) = normalize(host, &mut name) else { return Match::UnknownHost };
        let mut known = false;
        let mut look = |rules: Option<&Vec<Rule>>| {
            let rules = rules?;
            known = true;
            rules.iter().find(|rule| covers(&rule.prefix, path)).map(|rule| rule.route)
        };
        let mut found = look(self.exact.get(host));
        let mut rest = host;
        while found.is_none() {
            let Some((_, suffix)) = rest.split_once('.') else { break };
            found = look(self.wildcard.get(suffix));
            rest = suffix;
        }
        let found = found.or_else(|| look(Some(&self.any).filter(|rules| !rules.is_empty())));
        match found {
            Some(route) => Match::Route(route),
            None if known => Match::UnknownPath,
            None => Match::UnknownHost,
        }
    }

    /// Whether connections from this peer begin with a PROXY header.
    pub(crate) fn is_heralded(&self, peer: std::net::IpAddr) -> bool {
        self.heralded.iter().any(|network| network.contains(peer))
    }

    /// Whether forwarding headers from this peer are believed.
    pub(crate) fn trusts(&self, peer: std::net::IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }
}

fn networks(list: &[String]) -> Vec<Network> {
    list.iter().filter_map(|text| Network::parse(text)).collect()
}

/// Result of [`Table::find`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Index into [`Table::routes`].
    Route(usize),
    UnknownHost,
    UnknownPath,
}

fn covers(prefix: &str, path: &[u8]) -> bool {
    path.starts_with(prefix.as_bytes()) && matches!(path.get(prefix.len()), None | Some(b'/')) || prefix.is_empty()
}

/// Lower case, no port, no dot at the end.
fn normalize<'a>(host: &[u8], name: &'a mut [u8; 256]) -> Option<&'a str> {
    let host = if host.starts_with(b"[") {
        let end = host.iter().position(|byte| *byte == b']')?;
        &host[..=end]
    } else {
        let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
        &host[..end]
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let name = name.get_mut(..host.len())?;
    name.copy_from_slice(host);
    name.make_ascii_lowercase();
    std::str::from_utf8(name).ok()
}
