//! Checks a snapshot as a whole before any of it is used: a table is taken completely or not at all.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::error::SnapshotError;
use super::snapshot::{Route, Snapshot, VERSION};

mod route;

/// More routes than this in one table point to a writer gone wrong.
const MAX_ROUTES: usize = 50_000;
/// More upstreams than this in one route point to a writer gone wrong.
const MAX_UPSTREAMS: usize = 2_000;

/// Refuses a snapshot that could not be served exactly as written; the error names the place. The ingress does this
/// with every table; writers can do it before.
///
/// # Errors
/// What is wrong, and where.
pub fn validate(snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let invalid = |place: String, reason: &str| Err(SnapshotError::Invalid { place, reason: reason.to_owned() });
    if snapshot.version != VERSION {
        return Err(SnapshotError::Version { found: snapshot.version });
    }
    if snapshot.boot.is_empty() {
        return invalid("boot".into(), "is empty");
    }
    if snapshot.routes.len() > MAX_ROUTES {
        return invalid("routes".into(), "holds more than 50000 routes");
    }
    for network in &snapshot.settings.trusted_proxies {
        if Network::parse(network).is_none() {
            return invalid("settings.trusted_proxies".into(), &format!("`{network}` is not an address or network"));
        }
    }
    for network in &snapshot.settings.proxy_protocol_from {
        if Network::parse(network).is_none() {
            return invalid(
                "settings.proxy_protocol_from".into(),
                &format!("`{network}` is not an address or network"),
            );
        }
    }
    super::l4::validate::validate(&snapshot.listeners)?;
    let mut ids = HashSet::new();
    let mut claims: HashMap<(String, &str, String), &str> = HashMap::new();
    for route in &snapshot.routes {
        let place = format!("route `{}`", route.id);
        if route.id.is_empty() || route.id.contains('\n') || !ids.insert(route.id.as_str()) {
            return invalid(place, "needs an id that no other route has");
        }
        if route.hosts.is_empty() {
            return invalid(place, "has no host");
        }
        if !route.path_prefix.is_empty() && !is_path_prefix(&route.path_prefix) {
            return invalid(
                place,
                "has a path prefix that does not start with `/` or holds a space or control character",
            );
        }
        if route.upstreams.len() > MAX_UPSTREAMS {
            return invalid(place, "has more than 2000 upstreams");
        }
        if let Err(reason) = route::check(route) {
            return invalid(place, &reason);
        }
        let conditions = conditions(route);
        for host in &route.hosts {
            let name = host.to_ascii_lowercase();
            if !is_host_pattern(&name) {
                return invalid(place, &format!("has the host `{host}`, which is no name, `*.name` or `*`"));
            }
            let prefix = route.path_prefix.trim_end_matches('/');
            if let Some(other) = claims.insert((name, prefix, conditions.clone()), &route.id) {
                return invalid(place, &format!("claims `{host}{prefix}/`, which route `{other}` has already"));
            }
        }
    }
    Ok(())
}

/// Two routes may share host and prefix only if their conditions differ.
fn conditions(route: &Route) -> String {
    if route.matching.is_any() {
        return String::new();
    }
    serde_json::to_string(&route.matching).unwrap_or_default()
}

fn is_path_prefix(prefix: &str) -> bool {
    prefix.starts_with('/') && prefix.bytes().all(|b| b > b' ' && b != 0x7f && b != b'?' && b != b'#')
}

fn is_host_pattern(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    name == "*"
        || (!name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':')))
}

/// An address block, for trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { base, bits })
    }

    /// Whether the address lies in this block (IPv4-mapped IPv6 counts as IPv4).
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(base) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(base) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }
}
