//! The compiled route table: what a snapshot becomes before requests use it. Pure: matching only.
//!
//! Order of matching: exact host, then the longest wildcard, then `*`. Within a host the most specific route comes
//! first ([`Rank`]): the highest `priority`; then an exact path before a pattern before a prefix, the longer one first;
//! then one that names methods; then the one with more conditions on headers; then the one with more on cookies and
//! query; then by id. The first whose conditions all hold takes the request. A host of which none does falls through
//! to the next, so a wildcard can hold what an exact host leaves open.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::RouteEntry;
use super::l4::table::Listeners;
use super::matching::{Conditions, Rank};
use super::registry::Registry;
use super::snapshot::{Route, Snapshot};
use super::validate::Network;
use super::view::RequestView;

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
    /// Most routes have none.
    conditions: Option<Box<Conditions>>,
    route: usize,
}

impl Rule {
    fn takes(&self, path: &[u8], request: &dyn RequestView) -> bool {
        match &self.conditions {
            None => covers(&self.prefix, path),
            Some(conditions) => {
                (conditions.decides_path() || covers(&self.prefix, path)) && conditions.hold(path, request)
            }
        }
    }
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
                let prefix = route.path_prefix.trim_end_matches('/').into();
                let rule = Rule { prefix, conditions: Conditions::compile(&route.matching), route: index };
                let host = host.to_ascii_lowercase();
                match host.strip_prefix("*.") {
                    Some(suffix) => table.wildcard.entry(suffix.into()).or_default().push(rule),
                    None if host == "*" => table.any.push(rule),
                    None => table.exact.entry(host.into()).or_default().push(rule),
                }
            }
            table.routes.push(RouteEntry::compile(route, registry));
        }
        let lists = table.exact.values_mut().chain(table.wildcard.values_mut()).chain([&mut table.any]);
        for rules in lists {
            rules.sort_by(|a, b| {
                let (a, b) = (&snapshot.routes[a.route], &snapshot.routes[b.route]);
                let rank = |route: &Route| Rank::of(route.path_prefix.trim_end_matches('/'), &route.matching);
                rank(b).cmp(&rank(a)).then_with(|| a.id.cmp(&b.id))
            });
        }
        table
    }

    /// The route for a host (any case, port allowed) and the rest of a request.
    pub(crate) fn find(&self, host: &[u8], request: &dyn RequestView) -> Match {
        let path = request.path();
        let mut name = [0u8; 256];
        let Some(host) = normalize(host, &mut name) else { return Match::UnknownHost };
        let mut known = false;
        let mut look = |rules: Option<&Vec<Rule>>| {
            let rules = rules?;
            known = true;
            rules.iter().find(|rule| rule.takes(path, request)).map(|rule| rule.route)
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
