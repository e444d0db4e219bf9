//! Host names against the names in certificates. Pure.

/// Names below which only this machine answers (RFC 6761).
const LOOPBACK: &str = "localhost";

/// Endings under which registries sell names three labels long. Only for keeping within a budget of certificates, so
/// the well-known ones do; an ending that is missing makes the budget stricter, never wider.
const TWO_LABEL_ENDINGS: [&str; 24] = [
    "co.uk", "org.uk", "ac.uk", "gov.uk", "com.au", "net.au", "org.au", "co.nz", "co.jp", "ne.jp", "or.jp", "com.br",
    "com.cn", "net.cn", "org.cn", "com.hk", "com.tw", "com.sg", "co.in", "co.kr", "co.za", "com.mx", "com.tr",
    "com.ar",
];

/// Whether a name of a certificate stands for this host. `*` stands for exactly one label, and never for a whole
/// `*.host`; `*.name` as a host needs that very name in the certificate.
#[must_use]
pub fn covers(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    // Browsers refuse `*` directly below a top-level name (`*.localhost`).
    let Some(parent) = name.strip_prefix("*.").filter(|parent| parent.contains('.')) else { return false };
    match host.split_once('.') {
        Some((label, rest)) => label != "*" && rest.eq_ignore_ascii_case(parent),
        None => false,
    }
}

/// Whether the local authority serves this host: `localhost`, names below it, and those below the operator's own
/// `local_domains`.
#[must_use]
pub fn is_local(host: &str, local_domains: &[String]) -> bool {
    let below = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|head| head.ends_with('.'));
    below(LOOPBACK) || local_domains.iter().any(|domain| below(domain))
}

/// The domain somebody bought, as certificate authorities count by: `shop.example.co.uk` → `example.co.uk`.
#[must_use]
pub fn registered_domain(host: &str) -> String {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let labels: Vec<&str> = host.split('.').collect();
    let last_two = labels.iter().rev().take(2).rev().copied().collect::<Vec<_>>().join(".");
    let wanted = if TWO_LABEL_ENDINGS.contains(&last_two.as_str()) { 3 } else { 2 };
    labels[labels.len().saturating_sub(wanted)..].join(".")
}
