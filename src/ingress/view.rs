//! A request as the rules of a route see it, whatever HTTP version brought it.

use std::net::IpAddr;

use super::h1::header;
use super::table::Table;
use super::transaction::{Peer, Transaction};

/// What conditions, hash keys and limits may ask of a request.
pub(crate) trait RequestView {
    fn method(&self) -> &[u8];
    /// Path without the query, as sent.
    fn path(&self) -> &[u8];
    /// After the `?`; empty when there is none.
    fn query(&self) -> &[u8];
    /// The n-th header of this name (any case).
    fn header(&self, name: &str, n: usize) -> Option<&[u8]>;
}

impl RequestView for Transaction {
    fn method(&self) -> &[u8] {
        self.head.method.get(&self.bytes)
    }

    fn path(&self) -> &[u8] {
        self.head.path(&self.bytes)
    }

    fn query(&self) -> &[u8] {
        let target = self.head.target.get(&self.bytes);
        target.iter().position(|byte| *byte == b'?').map_or(b"", |at| &target[at + 1..])
    }

    fn header(&self, name: &str, n: usize) -> Option<&[u8]> {
        let mut named =
            self.head.lines.iter().filter(|line| line.name.get(&self.bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.nth(n).map(|line| line.value.get(&self.bytes))
    }
}

/// The value of a cookie, quotes left on.
pub(crate) fn cookie<'a>(view: &'a dyn RequestView, name: &str) -> Option<&'a [u8]> {
    let mut n = 0;
    while let Some(list) = view.header("cookie", n) {
        let mut pairs = list.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let found = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        if found.is_some() {
            return found;
        }
        n += 1;
    }
    None
}

/// The first value of a parameter of the query; empty for one without `=`.
pub(crate) fn parameter<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"=") }
    })
}

/// The address of the client: that of the peer, or what the trusted proxies in front say it is (the last address
/// of `X-Forwarded-For` that is not one of theirs).
pub(crate) fn client_address(table: &Table, view: &dyn RequestView, peer: &Peer) -> IpAddr {
    let peer = peer.address.ip();
    if !table.trusts(peer) {
        return peer;
    }
    let mut n = 0;
    while view.header("x-forwarded-for", n).is_some() {
        n += 1;
    }
    let mut client = peer;
    for line in (0..n).rev().filter_map(|n| view.header("x-forwarded-for", n)) {
        let hops: Vec<&[u8]> = header::tokens(line).collect();
        for hop in hops.iter().rev() {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
                return client;
            };
            client = address.to_canonical();
            if !table.trusts(client) {
                return client;
            }
        }
    }
    client
}
