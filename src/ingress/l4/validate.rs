//! Whether the listeners of a snapshot can be served as written.

use std::collections::HashSet;

use super::model::{Listener, Tls, Transport};
use crate::ingress::error::SnapshotError;

/// More than this point to a writer gone wrong.
const MAX_LISTENERS: usize = 2_000;

/// Refuses what has no clear meaning; the error names the place.
pub(crate) fn validate(listeners: &[Listener]) -> Result<(), SnapshotError> {
    let invalid = |place: String, reason: &str| Err(SnapshotError::Invalid { place, reason: reason.to_owned() });
    if listeners.len() > MAX_LISTENERS {
        return invalid("listeners".into(), "holds more than 2000 listeners");
    }
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    for listener in listeners {
        let place = format!("listener `{}`", listener.id);
        if listener.id.is_empty() || !ids.insert(&listener.id) {
            return invalid(place, "needs an id that no other listener has");
        }
        if listener.address.port() != 0 && !keys.insert(listener.key()) {
            return invalid(place, "listens where another listener does");
        }
        if let Some(reason) = rules_fault(listener) {
            return invalid(place, reason);
        }
    }
    Ok(())
}

fn rules_fault(listener: &Listener) -> Option<&'static str> {
    if listener.rules.is_empty() {
        return Some("has no rule");
    }
    if listener.protocol == Transport::Udp && (listener.reads_tls() || listener.proxy_protocol) {
        return Some("is for UDP, which has neither TLS nor PROXY headers here");
    }
    if !listener.reads_tls() && (listener.rules.len() > 1 || !listener.rules[0].names.is_empty()) {
        return Some("tells rules apart by name without reading TLS");
    }
    let mut names = HashSet::new();
    for rule in &listener.rules {
        if listener.reads_tls() && rule.tls == Tls::Ignore {
            return Some("has a rule that does not say what to do about TLS, beside one that does");
        }
        let claims = if rule.names.is_empty() { vec!["*".to_owned()] } else { rule.names.clone() };
        for name in claims {
            let name = name.to_ascii_lowercase();
            let bare = name.strip_prefix("*.").unwrap_or(&name);
            let is_name = bare == "*"
                || (!bare.is_empty()
                    && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')));
            if !is_name {
                return Some("has a server name that is no name, `*.name` or `*`");
            }
            if !names.insert(name) {
                return Some("has two rules for the same server name");
            }
        }
    }
    None
}
